//! `dwindle run` on file systems of several kinds: what is promised of a `.gz`, and how the folder is watched there.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::support::inbox::copy;
use crate::support::mounts::Mount;
use crate::support::programs;
use crate::support::{Arrival, Data, Dwindle, Inbox, Sandbox, assert_gz_of, names_below, needs};

const KEYS: &str = "settle = \"300ms\"\n";

#[test]
fn in_memory() {
    needs!(mounts);
    let sandbox = Sandbox::new();
    let mount = Mount::in_memory(&sandbox, "size=32m");
    let mut inbox = Inbox::of(sandbox);
    inbox.path = mount.path().to_owned();
    goes_all_the_way(&inbox, 950);
}

/// As in a container: some files are of the image, others were made since.
#[test]
fn on_an_overlay() {
    needs!(mounts);
    let mut inbox = Inbox::of(Sandbox::new());
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| inbox.sandbox.folder(name));
    let of_the_image = Arrival::new(&mut Data::from_seed(951), "image.csv");
    of_the_image.write_to(&lower.join("image.csv"));
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let place = inbox.sandbox.folder("overlay");
    let _mounted = Mounted::by(
        Command::new("mount").args(["-t", "overlay", "-o", &options, "overlay"]),
        &place,
    );
    inbox.path.clone_from(&place);
    let mut running = inbox.watch(KEYS);
    inbox.wait_for_gz_of(&mut running, std::slice::from_ref(&of_the_image), &[]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(1);
    fs::remove_file(inbox.path.join("image.csv.gz")).unwrap();
    goes_all_the_way(&inbox, 952);
}

/// There the kernel may not see who writes, nor tell of it: without a word from a person nothing is taken, and nothing is relied on.
#[test]
fn on_fuse() {
    needs!(mounts);
    needs!(tool "bindfs");
    let mut inbox = Inbox::of(Sandbox::new());
    let (place, behind) = (inbox.sandbox.folder("fuse"), inbox.sandbox.folder("behind"));
    let _mounted = Mounted::by(Command::new("bindfs").arg(&behind), &place);
    inbox.path.clone_from(&place);
    let file = Arrival::new(&mut Data::from_seed(953), "file.csv");
    file.write_to(&behind.join("file.csv"));

    let output = inbox.dwindle(KEYS).args(["--once"]).finish().expect_compressed(0);
    assert!(output.stderr.contains("on FUSE, others may write unseen"), "{output}");
    assert_eq!(names_below(&behind), ["file.csv"]);
    let check = |keys: &str| {
        let config = format!("[[watch]]\npath = \"{}\"\n{keys}", inbox.path.display());
        let config = inbox.sandbox.file("check.toml", config);
        Dwindle::new(&inbox.sandbox)
            .args(["check", "-c"])
            .args([config])
            .finish()
            .expect_code(0)
            .stderr
    };
    assert!(check("").contains("on FUSE, others may write unseen, so no lease can tell"));
    assert!(check("writer-check = \"quiet\"").contains("will be polled every 30s"));
    assert!(check("writer-check = \"quiet\"\nwatcher = \"native\"").contains("may be noticed only after 15 minutes"));
    assert_eq!(check("writer-check = \"quiet\"\nwatcher = \"poll\""), "");

    // Chosen by itself, and said.
    let mut running = inbox
        .dwindle(&format!("{KEYS}writer-check = \"quiet\"\npoll-interval = \"1s\""))
        .start();
    running.wait_for_text("changes on FUSE may happen where this kernel does not see them");
    running.wait_for_names(&behind, ["file.csv.gz"]);
    assert_gz_of(&behind.join("file.csv.gz"), &file.original);
    // Made behind the kernel's back.
    let later = Arrival::new(&mut Data::from_seed(954), "sub/later.csv");
    fs::create_dir(behind.join("sub")).unwrap();
    later.write_to(&later.path_in(&behind));
    running.wait_for_names(&behind, ["file.csv.gz", "sub/", "sub/later.csv.gz"]);
    assert_gz_of(&behind.join("sub/later.csv.gz"), &later.original);
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_compressed(2);
    assert!(output.stderr.contains("mode=\"poll\""), "{output}");
}

/// Files that are there, that come, and that come in folders that come.
fn goes_all_the_way(inbox: &Inbox, seed: u64) {
    let data = &mut Data::from_seed(seed);
    let files: Vec<Arrival> = ["before.csv", "arrives.csv", "new/folder/arrives.csv"]
        .map(|path| Arrival::new(data, path))
        .into();
    files[0].write_to(&files[0].path_in(&inbox.path));
    let mut running = inbox.watch(KEYS);
    for file in &files[1..] {
        fs::create_dir_all(inbox.path.join(&file.folder)).unwrap();
        let staged = inbox.outside.join("arrives.csv");
        file.write_to(&staged);
        copy(&[staged], &inbox.path.join(&file.folder));
    }
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_compressed(3);
    assert!(output.stderr.contains("mode=\"native\""), "{output}");
}

/// Unmounted when dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// By a command whose last argument is the place.
    fn by(command: &mut Command, place: &'a Path) -> Self {
        let output = programs::output(command.arg(place)).expect("it starts");
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Mounted(place)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = programs::status(Command::new("umount").arg("--lazy").arg(self.0));
    }
}
