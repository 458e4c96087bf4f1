//! Rows 43 to 51: the folder belongs to somebody who wants what the agent may do. Nothing outside of the folder changes, no name of theirs
//! leads anywhere, nothing waits on what they left there, and their own bytes are not lost either.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flate2::bufread::GzDecoder;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat, renameat};
use rustix::process::{Signal, geteuid};

use super::at_work::{
    AT_ONCE, Delayed, caught_at_work, contents_below, free_name, go_on_after, large_content, only_outputs_in,
    quarantined_below,
};
use super::moments::is_exhaustive;
use crate::support::inbox::state_below;
use crate::support::run::Running;
use crate::support::{Arrival, Data, Inbox, Sandbox, names_below, needs, programs};

/// How long the moment is looked for at which a swap would lead outside.
fn sample() -> Duration {
    Duration::from_secs(if is_exhaustive() { 120 } else { 3 })
}

#[test]
fn row_43_a_a_folder_swapped_for_a_symbolic_link_at_any_moment() {
    swap_while_files_flow(AT_ONCE, "sub");
}

#[test]
fn row_43_b_an_output_folder_swapped_for_a_symbolic_link_at_any_moment() {
    swap_while_files_flow("settle = \"0s\"\noutput-dir = \"archive\"", "archive/sub");
}

/// Each takes the place of a finished file, again and again. One worker: whatever waits on one of them holds up all.
#[test]
fn row_44_a_link_fifo_socket_or_device_in_a_files_place_at_any_moment() {
    let inbox = Inbox::new();
    inbox.sandbox.file("outside/secret", "secret");
    let before = state_below(&inbox.outside);
    let mut running = inbox.dwindle_with("workers = 1", AT_ONCE).start();
    running.wait_for_text("watching");
    let (path, new) = (inbox.path.join("F"), inbox.sandbox.path("new"));
    let end = Instant::now() + sample();
    for number in 0.. {
        match number % 5 {
            0 => symlink(inbox.outside.join("secret"), &new).unwrap(),
            1 => make_node(&new, FileType::Fifo),
            2 => drop(UnixListener::bind(&new).unwrap()),
            3 if geteuid().is_root() => make_node(&new, FileType::CharacterDevice),
            _ => fs::write(&new, "an ordinary file").unwrap(),
        }
        fs::rename(&new, &path).unwrap();
        if Instant::now() > end {
            break;
        }
    }
    let _ = fs::remove_file(&path);
    expect_one_more(&inbox, &mut running);
    assert_eq!(state_below(&inbox.outside), before);
    let contents = contents_below(&inbox.path);
    assert!(
        contents
            .iter()
            .all(|content| content == b"an ordinary file" || content == b"one more")
    );
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
}

#[test]
fn row_45_a_a_hard_link_to_somebody_elses_file() {
    let inbox = Inbox::new();
    let secret = inbox.sandbox.file("outside/secret", "secret");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    if geteuid().is_root() {
        std::os::unix::fs::chown(&secret, Some(1234), Some(1234)).unwrap();
    }
    let mut running = inbox.watch(AT_ONCE);
    fs::hard_link(&secret, inbox.path.join("F")).unwrap();
    let before = (state_below(&inbox.outside), state_below(&inbox.path));
    expect_one_more(&inbox, &mut running);
    fs::remove_file(inbox.path.join("one-more.gz")).unwrap();
    assert_eq!((state_below(&inbox.outside), state_below(&inbox.path)), before);
}

#[test]
fn row_45_b_a_second_name_that_comes_while_compressing() {
    let inbox = Inbox::new();
    let path = inbox.sandbox.file("inbox/F", large_content(452));
    let mut running = caught_at_work(&inbox, AT_ONCE);
    let second = inbox.outside.join("second");
    go_on_after(&running, &path, || fs::hard_link(&path, &second).unwrap());
    let before = (state_below(&inbox.outside), state_below(&inbox.path));
    expect_one_more(&inbox, &mut running);
    fs::remove_file(inbox.path.join("one-more.gz")).unwrap();
    assert_eq!((state_below(&inbox.outside), state_below(&inbox.path)), before);
    fs::remove_file(second).unwrap();
    running.wait_for_names(&inbox.path, ["F.gz"]);
}

#[test]
fn row_46_a_gz_that_is_a_dangling_symbolic_link() {
    for (on_conflict, names) in [
        ("number", ["F.gz", "F.~1~.gz"]),
        ("replace", ["F", "F.gz"]),
        ("skip", ["F", "F.gz"]),
    ] {
        let inbox = Inbox::new();
        let target = inbox.outside.join("made-through-the-link");
        symlink(&target, inbox.path.join("F.gz")).unwrap();
        inbox.sandbox.file("inbox/F", "text");
        let mut running = inbox.watch(&format!("{AT_ONCE}\non-conflict = \"{on_conflict}\""));
        expect_one_more(&inbox, &mut running);
        fs::remove_file(inbox.path.join("one-more.gz")).unwrap();
        running.wait_for_names(&inbox.path, names);
        assert_eq!(fs::read_link(inbox.path.join("F.gz")).unwrap(), target);
        assert!(!target.exists(), "{on_conflict}");
        assert_eq!(contents_below(&inbox.path), [b"text"], "{on_conflict}");
    }
}

#[test]
fn row_47_a_setuid_source_gives_an_output_without_privileges() {
    for mode in [0o4755, 0o2755, 0o1644, 0o7777] {
        let inbox = Inbox::new();
        let path = inbox.sandbox.file("inbox/F", "text");
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let mut running = inbox.watch(AT_ONCE);
        running.wait_for_names(&inbox.path, ["F.gz"]);
        let found = fs::metadata(inbox.path.join("F.gz")).unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode & 0o777, "{mode:o} became {found:o}");
    }
}

#[test]
fn row_48_a_names_of_any_bytes() {
    let longest = "n".repeat(235);
    let names: [&[u8]; 12] = [
        b"two\nlines.csv",
        b"not \xff\xfe UTF-8 \x80.csv",
        longest.as_bytes(),
        b"-rf",
        b"--",
        b"*?[a]{b}",
        b"'quoted' \"twice\" $(id) `id`",
        b"back\\slash",
        b"\x1b[31mred\x07",
        b"ends in a space ",
        b"ends in a dot.",
        "größe-数据-🦀.csv".as_bytes(),
    ];
    let data = &mut Data::from_seed(110);
    let files: Vec<Arrival> = names.map(|name| Arrival::new(data, OsStr::from_bytes(name))).into();
    let inbox = Inbox::new();
    let mut running = inbox.watch(AT_ONCE);
    for file in &files {
        let staged = inbox.outside.join(&file.original.name);
        file.write_to(&staged);
        fs::rename(staged, file.path_in(&inbox.path)).unwrap();
    }
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_compressed(files.len());
    let control = |character: char| character.is_control() && character != '\n';
    assert!(!output.stderr.contains(control), "a name is printed as it is: {output}");
    assert!(!output.stderr.contains("two\nlines"), "{output}");
}

/// Names must be made from its name, and a name has no more than 255 bytes.
#[test]
fn row_48_b_a_name_that_is_too_long_to_make_others_from() {
    let inbox = Inbox::new();
    for length in [236, 250, 252, 253, 255] {
        fs::write(inbox.path.join("n".repeat(length)), "text").unwrap();
    }
    let before = state_below(&inbox.path);
    let mut running = inbox.watch(AT_ONCE);
    expect_one_more(&inbox, &mut running);
    fs::remove_file(inbox.path.join("one-more.gz")).unwrap();
    assert_eq!(state_below(&inbox.path), before);
}

#[test]
fn row_49_append_only_and_immutable_files() {
    needs!(root);
    needs!(tool "chattr");
    let inbox = Inbox::new();
    for flag in ["a", "i"] {
        let path = inbox.sandbox.file(format!("inbox/{flag}"), "text");
        change_flag("+", flag, &path);
    }
    let before = state_below(&inbox.path);
    let mut running = inbox.watch(AT_ONCE);
    expect_one_more(&inbox, &mut running);
    fs::remove_file(inbox.path.join("one-more.gz")).unwrap();
    let after = state_below(&inbox.path);
    for flag in ["a", "i"] {
        change_flag("-", flag, &inbox.path.join(flag));
    }
    assert_eq!(after, before);
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
    // Nothing speaks against them any more.
    inbox.dwindle(AT_ONCE).args(["--once"]).finish().expect_compressed(2);
}

/// What has the name in quarantine now is theirs, whatever it is; what was quarantined lives on where they put it.
#[test]
fn row_50_a_quarantined_file_swapped_by_the_folders_owner() {
    needs!(tool "strace");
    let swaps: [fn(&Inbox, &Path); 3] = [
        |_, place| fs::write(place, "theirs").unwrap(),
        |inbox, place| symlink(inbox.outside.join("secret"), place).unwrap(),
        |_, place| fs::create_dir(place).unwrap(),
    ];
    for swap in swaps {
        let inbox = Inbox::new();
        inbox.sandbox.file("outside/secret", "secret");
        let before = state_below(&inbox.outside);
        let mut delayed = Delayed::start(&inbox, AT_ONCE, "fsync,fdatasync,syncfs");
        inbox.sandbox.file("inbox/F", "mine");
        let place = delayed.wait_for_quarantine(&inbox);
        fs::rename(&place, inbox.path.join("kept")).unwrap();
        swap(&inbox, &place);
        let is_theirs_there =
            |contents: &[Vec<u8>]| place.is_dir() || place.is_symlink() || contents.contains(&b"theirs".to_vec());
        delayed.running.wait_for("an end of it", || {
            names_below(&inbox.path).contains(&"kept.gz".to_owned())
        });
        delayed.running.signal(Signal::TERM);
        let output = delayed.running.wait_exit().expect_code(0);
        let contents = contents_below(&inbox.path);
        assert!(contents.contains(&b"mine".to_vec()), "{output}");
        let is_back = inbox.path.join("F").is_symlink() || inbox.path.join("F").is_dir();
        assert!(is_back || is_theirs_there(&contents), "{output}");
        assert_eq!(state_below(&inbox.outside), before);
    }
}

/// The largest one, of whose length the member's trailer has room for 32 bits only, takes a minute in a debug build.
#[test]
fn row_51_empty_files_stay_and_sparse_ones_of_any_size_are_read_as_what_they_are() {
    let sizes: &[u64] = if is_exhaustive() {
        &[64 << 20, (4 << 30) + 1]
    } else {
        &[64 << 20]
    };
    for size in sizes {
        let inbox = Inbox::new();
        inbox.sandbox.file("inbox/empty", "");
        let dwindle = inbox.dwindle_with("level = 1", AT_ONCE);
        let mut running = dwindle.deadline(Duration::from_secs(600)).start();
        running.wait_for_text("watching");
        compress_sparse(&inbox, &mut running, *size);
        assert_eq!(names_below(&inbox.path), ["empty", "sparse.gz"]);
    }
}

/// A hole, and text at its end.
fn compress_sparse(inbox: &Inbox, running: &mut Running, size: u64) {
    const TEXT: &[u8] = b"the end";
    let staged = inbox.outside.join("sparse");
    let mut file = File::create(&staged).unwrap();
    file.set_len(size).unwrap();
    io::Seek::seek(&mut file, io::SeekFrom::Start(size)).unwrap();
    file.write_all(TEXT).unwrap();
    drop(file);
    fs::rename(staged, inbox.path.join("sparse")).unwrap();
    let gz = inbox.path.join("sparse.gz");
    running.wait_for("the .gz alone", || {
        gz.exists() && !inbox.path.join("sparse").exists() && quarantined_below(&inbox.path).is_none()
    });
    let mut decoder = GzDecoder::new(io::BufReader::new(File::open(gz).unwrap()));
    let zeros = io::copy(&mut Zeros(decoder.by_ref().take(size)), &mut io::sink()).unwrap();
    let mut end = Vec::new();
    decoder.read_to_end(&mut end).unwrap();
    assert_eq!((zeros, &end[..]), (size, TEXT));
}

/// A reader that panics at any other byte.
struct Zeros<R>(R);

impl<R: Read> Read for Zeros<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.read(buffer)?;
        assert!(buffer[..length].iter().all(|byte| *byte == 0));
        Ok(length)
    }
}

/// Another file, compressed: the program had its time, and nothing holds it up.
fn expect_one_more(inbox: &Inbox, running: &mut Running) {
    let path = inbox.sandbox.file("outside-one-more", "one more");
    fs::rename(path, inbox.path.join("one-more")).unwrap();
    running.wait_for("one more file's .gz", || {
        inbox.path.join("one-more.gz").exists()
            && !inbox.path.join("one-more").exists()
            && quarantined_below(&inbox.path).is_none()
    });
}

/// Files flow into `sub/deep` while the folder `swapped` takes turns with a symbolic link that leads outside, to files of the same names. Nothing
/// outside changes, and what flowed is all there at the end.
fn swap_while_files_flow(keys: &str, swapped: &str) {
    const NAMES: usize = 50;
    let inbox = Inbox::of(Sandbox::with_room_for(64 << 20));
    for number in 0..NAMES {
        for folder in ["outside", "outside/deep"] {
            inbox.sandbox.file(format!("{folder}/{number}"), "not ours to touch");
        }
    }
    let before = state_below(&inbox.outside);
    let flows_into = inbox.sandbox.folder("inbox/sub/deep");
    let swapped = inbox.path.join(swapped);
    fs::create_dir_all(swapped.join("deep")).unwrap();
    let staged = inbox.sandbox.path("staged");
    let mut running = inbox.dwindle(keys).start();
    running.wait_for_text("watching");
    let stop = AtomicBool::new(false);
    let files = thread::scope(|scope| {
        scope.spawn(|| swap(&swapped, &inbox.outside, &stop));
        let folder = File::open(&flows_into).unwrap();
        let end = Instant::now() + sample();
        let mut files = 0;
        for turn in 0.. {
            let name = (turn % NAMES).to_string();
            if !is_in(&folder, &name) {
                fs::write(&staged, format!("file {files}")).unwrap();
                // Into the folder itself, whatever has its name.
                renameat(CWD, &staged, folder.as_fd(), &name).unwrap();
                files += 1;
            }
            thread::sleep(Duration::from_millis(2));
            if Instant::now() > end && files >= NAMES {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        files
    });
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
    assert_eq!(state_below(&inbox.outside), before);
    // What failed for good while its folder was none.
    inbox.dwindle(keys).args(["--once"]).finish().expect_code(0);
    assert_eq!(state_below(&inbox.outside), before);
    assert!(only_outputs_in(&inbox.path), "{:?}", names_below(&inbox.path));
    let contents = contents_below(&inbox.path);
    let lost: Vec<_> = (0..files)
        .filter(|number| !contents.contains(&format!("file {number}").into_bytes()))
        .collect();
    assert!(lost.is_empty(), "lost of {files} files: {lost:?}");
}

fn is_in(folder: &File, name: &str) -> bool {
    rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Moves the folder out of the way, leaves a link to `outside` in its place for a moment, and moves it back.
fn swap(folder: &Path, outside: &Path, stop: &AtomicBool) {
    let away = folder.with_file_name(".away");
    let random = &mut fastrand::Rng::with_seed(43);
    while !stop.load(Ordering::Relaxed) {
        let is_moved = fs::rename(folder, &away).is_ok();
        // The program may have made the folder anew in between.
        let is_linked = symlink(outside, folder).is_ok();
        thread::sleep(Duration::from_micros(random.u64(0..2000)));
        if is_linked {
            fs::remove_file(folder).unwrap();
        }
        if is_moved {
            put_back(&away, folder);
        }
        thread::sleep(Duration::from_micros(random.u64(0..5000)));
    }
}

fn put_back(away: &Path, folder: &Path) {
    if fs::rename(away, folder).is_ok() {
        return;
    }
    // The program has made the folder anew, and put something into it: what was away joins it under another name.
    let free = free_name(|number| folder.with_file_name(format!("sub-{number}")));
    fs::rename(away, free).unwrap();
}

fn make_node(path: &Path, kind: FileType) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o666), makedev(1, 5)).unwrap();
}

fn change_flag(sign: &str, flag: &str, path: &Path) {
    let status = programs::status(Command::new("chattr").arg(format!("{sign}{flag}")).arg(path));
    assert!(status.unwrap().success(), "chattr {sign}{flag} {}", path.display());
}
