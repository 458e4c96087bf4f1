//! `dwindle run` with the preset `static-assets`: a `.gz` beside each web file, that goes the way of its original.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::support::programs::while_none_is_started;
use crate::support::run::{Output, Running};
use crate::support::{Arrival, Data, Inbox, Original, assert_gz_of, names_below};

const KEYS: &str = "preset = \"static-assets\"\nsettle = \"300ms\"\n";

#[test]
fn only_text_like_web_files_get_a_gz_and_all_originals_stay() {
    let inbox = Inbox::new();
    let data = &mut Data::from_seed(900);
    let taken = "html css js mjs json svg xml txt wasm map ico ttf otf eot";
    let others = ["a.md", "b.png", "c.woff2", "d.log", "e", "f.html.part"];
    let files: Vec<Arrival> = taken
        .split(' ')
        .map(|suffix| Arrival::new(data, format!("x.{suffix}")))
        .collect();
    for file in files.iter().chain(&others.map(|name| Arrival::new(data, name))) {
        file.write_to(&file.path_in(&inbox.path));
    }
    let mut running = inbox.watch(KEYS);
    let originals = files.iter().map(|file| file.original.name.to_str().expect("plain"));
    let stays: Vec<&str> = originals.chain(others).collect();
    inbox.wait_for_gz_of(&mut running, &files, &stays);
    stop(running).expect_compressed(files.len());
}

/// Each as programs do it, under a running agent.
#[test]
fn whatever_is_done_to_an_original_is_done_to_its_gz() {
    let inbox = Inbox::new();
    let path = inbox.path.join("page.html");
    write(&path, "first");
    let mut running = inbox.watch(KEYS);
    expect_gz(&mut running, &path);

    // Truncated and written again.
    write(&path, "second, longer");
    expect_gz(&mut running, &path);
    // Replaced by rename, by one with the time and the size of the one before.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let new = inbox.path.join(".page.html.new");
    write(&new, "SECOND, LONGER");
    set_modified(&new, modified);
    fs::rename(&new, &path).unwrap();
    expect_gz(&mut running, &path);
    // Only touched, through a descriptor and by name.
    set_modified(
        &path,
        SystemTime::UNIX_EPOCH + Duration::new(1_111_111_111, 222_333_444),
    );
    expect_gz(&mut running, &path);
    let touched = rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec { tv_sec: 5, tv_nsec: 6 },
        last_modification: rustix::fs::Timespec { tv_sec: 7, tv_nsec: 8 },
    };
    rustix::fs::utimensat(rustix::fs::CWD, &path, &touched, rustix::fs::AtFlags::empty()).unwrap();
    expect_gz(&mut running, &path);
    // Another mode.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    expect_gz(&mut running, &path);
    // The output is removed, as by a deployment that removes what it does not know.
    fs::remove_file(inbox.path.join("page.html.gz")).unwrap();
    expect_gz(&mut running, &path);
    // Renamed: one goes, one comes.
    let renamed = inbox.path.join("other.html");
    fs::rename(&path, &renamed).unwrap();
    expect_gz(&mut running, &renamed);
    running.wait_for_names(&inbox.path, ["other.html", "other.html.gz"]);
    // Removed.
    fs::remove_file(&renamed).unwrap();
    running.wait_for_names(&inbox.path, [""; 0]);
    let output = stop(running).expect_code(0);
    assert_eq!(output.report().failed, 0, "{output}");
    assert!(
        output
            .stderr
            .contains("removed other.html.gz: it goes with its original"),
        "{output}"
    );
}

#[test]
fn a_gz_goes_when_its_original_turns_into_what_is_never_compressed() {
    let inbox = Inbox::new();
    let path = |name: &str| inbox.path.join(name);
    for name in ["link.css", "folder.css", "empty.css", "stays.css"] {
        write(&path(name), name);
    }
    let mut running = inbox.watch(KEYS);
    for name in ["link.css", "folder.css", "empty.css", "stays.css"] {
        expect_gz(&mut running, &path(name));
    }
    symlink("stays.css", path("link")).unwrap();
    fs::rename(path("link"), path("link.css")).unwrap();
    fs::remove_file(path("folder.css")).unwrap();
    fs::create_dir(path("folder.css")).unwrap();
    write(&path("empty.css"), "");
    let left = ["empty.css", "folder.css/", "link.css", "stays.css", "stays.css.gz"];
    running.wait_for_names(&inbox.path, left);
    stop(running).expect_code(0);
}

#[test]
fn what_happened_while_the_agent_was_down_is_found_at_the_start() {
    for apart in [false, true] {
        let inbox = Inbox::new();
        let keys = if apart {
            format!("{KEYS}output-dir = \"../outside\"")
        } else {
            KEYS.to_owned()
        };
        let outputs = if apart { &inbox.outside } else { &inbox.path };
        for name in ["gone.js", "changed.js", "same.js", "sub/gone.js", "sub/deep/gone.js"] {
            inbox.sandbox.file(format!("inbox/{name}"), name);
        }
        let once = || inbox.dwindle(&keys).args(["--once"]).finish();
        once().expect_compressed(5);
        fs::write(outputs.join("foreign.js.gz"), "somebody's").unwrap();
        fs::remove_file(inbox.path.join("gone.js")).unwrap();
        fs::remove_file(inbox.path.join("sub/gone.js")).unwrap();
        fs::remove_dir_all(inbox.path.join("sub/deep")).unwrap();
        write(&inbox.path.join("changed.js"), "other content");
        let inode = |name: &str| fs::metadata(outputs.join(name)).unwrap().ino();
        let before = inode("same.js.gz");
        once().expect_compressed(1);
        let of_outputs = ["changed.js.gz", "foreign.js.gz", "same.js.gz"];
        let found = outputs_below(outputs);
        assert_eq!(found, of_outputs, "apart: {apart}");
        assert_eq!(inode("same.js.gz"), before, "apart: {apart}");
        let original = Original::of(&inbox.path.join("changed.js"));
        assert_gz_of(&outputs.join("changed.js.gz"), &original);
    }
}

/// Where outputs are apart, and the originals' disk is not mounted, nothing of them is touched.
#[test]
fn an_empty_folder_takes_no_outputs_with_it_that_are_apart() {
    let inbox = Inbox::new();
    let keys = format!("{KEYS}output-dir = \"../outside\"");
    let once = || inbox.dwindle(&keys).args(["--once"]).finish();
    inbox.sandbox.file("inbox/a.js", "text");
    once().expect_compressed(1);
    fs::rename(&inbox.path, inbox.sandbox.path("away")).unwrap();
    fs::create_dir(&inbox.path).unwrap();
    once().expect_compressed(0);
    assert_eq!(names_below(&inbox.outside), ["a.js.gz"]);
}

#[test]
fn polling_finds_changes_and_removals() {
    let inbox = Inbox::new();
    let path = inbox.path.join("sub/page.html");
    inbox.sandbox.file("inbox/sub/page.html", "first");
    let mut running = inbox.watch(&format!("{KEYS}watcher = \"poll\"\npoll-interval = \"1s\""));
    expect_gz(&mut running, &path);
    write(&path, "second");
    expect_gz(&mut running, &path);
    fs::remove_file(&path).unwrap();
    running.wait_for_names(&inbox.path, ["sub/"]);
    stop(running).expect_code(0);
}

/// A whole tree at once, swapped by renames, as deployments do it.
#[test]
fn a_deployment_that_swaps_many_files_at_once() {
    const FILES: usize = 300;
    let inbox = Inbox::new();
    let make = |folder: &Path, version: usize, numbers: std::ops::Range<usize>| {
        for number in numbers {
            let folder = folder.join(format!("part-{}", number % 7));
            fs::create_dir_all(&folder).unwrap();
            write(
                &folder.join(format!("{number}.js")),
                &format!("version {version} of {number}\n").repeat(50),
            );
        }
    };
    let site = inbox.path.join("site");
    make(&site, 1, 0..FILES);
    let mut running = inbox.watch(KEYS);
    expect_all(&inbox, &mut running, &site, 0..FILES);
    // The tree is replaced by another one, with some files more and some less.
    let next = inbox.outside.join("next");
    make(&next, 2, 100..FILES + 100);
    fs::rename(&site, inbox.outside.join("former")).unwrap();
    fs::rename(&next, &site).unwrap();
    expect_all(&inbox, &mut running, &site, 100..FILES + 100);
    // And in place, file by file, without those that are not part of it any more.
    let last = inbox.outside.join("last");
    make(&last, 3, 0..FILES);
    for number in 0..FILES + 100 {
        let name = format!("part-{}/{number}.js", number % 7);
        if number < FILES {
            fs::rename(last.join(&name), site.join(&name)).unwrap();
        } else {
            fs::remove_file(site.join(&name)).unwrap();
        }
    }
    expect_all(&inbox, &mut running, &site, 0..FILES);
    let output = stop(running).expect_code(0);
    assert_eq!(output.report().failed, 0, "{output}");
}

/// Waits until there is a `.gz` of each file's content now, with its time, and no other.
fn expect_all(inbox: &Inbox, running: &mut Running, site: &Path, numbers: std::ops::Range<usize>) {
    let names = numbers.map(|number| format!("part-{}/{number}.js", number % 7));
    let files: Vec<_> = names.map(|name| site.join(name)).collect();
    running.wait_for("a .gz of each file as it is now", || {
        outputs_below(&inbox.path).len() == files.len() && files.iter().all(|file| is_up_to_date(file))
    });
    for file in &files {
        let gz = crate::support::gz::read_with_flate2(&gz_of(file));
        assert_eq!(gz.content, fs::read(file).unwrap(), "{}", file.display());
    }
}

#[test]
fn somebody_elses_gz_is_left_alone() {
    let inbox = Inbox::new();
    let path = |name: &str| inbox.path.join(name);
    write(&path("own.js.gz"), "somebody's");
    write(&path("own.js"), "text");
    write(&path("alone.js.gz"), "somebody's");
    let mut running = inbox.watch(KEYS);
    write(&path("witness.js"), "text");
    expect_gz(&mut running, &path("witness.js"));
    fs::remove_file(path("own.js")).unwrap();
    fs::remove_file(path("witness.js")).unwrap();
    running.wait_for_names(&inbox.path, ["alone.js.gz", "own.js.gz"]);
    for name in ["alone.js.gz", "own.js.gz"] {
        assert_eq!(fs::read(path(name)).unwrap(), b"somebody's");
    }
    stop(running).expect_compressed(1);
}

/// `gzip FILE` leaves a `.gz` that looks much like one of ours, and is all that is left of the file.
#[test]
fn what_gzip_or_compress_made_of_a_file_stays() {
    let inbox = Inbox::new();
    let path = |name: &str| inbox.path.join(name);
    let running = inbox.watch(&format!("{KEYS}exclude = [\"*.tmp.js\"]").replace("300ms", "1h"));
    write(&path("by-gzip.js"), "text");
    write(&path("by-compress.js"), "text");
    let gzip = crate::support::programs::status(std::process::Command::new("gzip").arg(path("by-gzip.js")));
    assert!(gzip.unwrap().success());
    let compress = crate::support::Dwindle::new(&inbox.sandbox)
        .args(["compress"])
        .args([path("by-compress.js")]);
    compress.finish().expect_code(0);
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
    inbox.dwindle(KEYS).args(["--once"]).finish().expect_compressed(0);
    assert_eq!(names_below(&inbox.path), ["by-compress.js.gz", "by-gzip.js.gz"]);
}

fn outputs_below(folder: &Path) -> Vec<String> {
    let mut names = names_below(folder);
    names.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "gz"));
    names
}

fn gz_of(path: &Path) -> std::path::PathBuf {
    let mut gz = path.as_os_str().to_owned();
    gz.push(".gz");
    gz.into()
}

/// As far as times tell, to the nanosecond.
fn is_up_to_date(path: &Path) -> bool {
    let times = |path: &Path| {
        fs::metadata(path)
            .ok()
            .map(|found| (found.mtime(), found.mtime_nsec(), found.mode()))
    };
    times(path).is_some() && times(path) == times(&gz_of(path))
}

/// Waits for a `.gz` of the file as it is now, and checks all that is promised of it.
fn expect_gz(running: &mut Running, path: &Path) {
    let content = fs::read(path).unwrap();
    running.wait_for("a .gz of the file as it is now", || {
        let gz = gz_of(path);
        is_up_to_date(path)
            && fs::read(&gz).is_ok_and(|bytes| {
                let mut unpacked = Vec::new();
                let mut decoder = flate2::bufread::GzDecoder::new(&bytes[..]);
                std::io::Read::read_to_end(&mut decoder, &mut unpacked).is_ok() && unpacked == content
            })
    });
    assert_gz_of(&gz_of(path), &Original::of(path));
}

fn write(path: &Path, content: &str) {
    while_none_is_started(|| fs::write(path, content)).unwrap();
}

fn set_modified(path: &Path, moment: SystemTime) {
    while_none_is_started(|| File::options().append(true).open(path)?.set_modified(moment)).unwrap();
}

fn stop(running: Running) -> Output {
    running.signal(Signal::TERM);
    running.wait_exit()
}
