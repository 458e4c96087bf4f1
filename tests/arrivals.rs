//! Every way in which a file comes into a watched folder. Whatever the way, it becomes one `.gz` with all that is promised of it, the
//! original goes, and nothing else appears.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::inbox::copy;
use crate::support::{Arrival, Data, Inbox, needs};

/// Long enough for a test on a loaded machine to finish a file that it has begun.
const SETTLE: &str = "settle = \"1s\"";

#[test]
fn files_that_were_there_before_the_start() {
    let data = &mut Data::from_seed(100);
    let inbox = Inbox::new();
    let mut files = Arrival::several(data, 5);
    files.push(Arrival::new(data, "reports/2026/may.txt"));
    fs::create_dir_all(inbox.path.join("reports/2026")).unwrap();
    for file in &files {
        file.write_to(&file.path_in(&inbox.path));
    }
    let mut running = inbox.watch(SETTLE);
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(files.len());
}

#[test]
fn copies() {
    arrive(101, |inbox, files| copy(&staged(inbox, files), &inbox.path));
}

#[test]
fn renames_from_outside() {
    arrive(102, |inbox, files| {
        for (file, staged) in files.iter().zip(staged(inbox, files)) {
            fs::rename(staged, file.path_in(&inbox.path)).unwrap();
        }
    });
}

#[test]
fn renames_from_names_of_files_in_progress() {
    let data = &mut Data::from_seed(103);
    let inbox = Inbox::new();
    fs::create_dir(inbox.path.join("_temporary")).unwrap();
    let ways = [
        "upload.part",
        ".upload.AbC123",
        "upload.crdownload",
        "_temporary/upload",
        ".hidden",
        "upload~",
    ];
    let files = Arrival::several(data, ways.len());
    let mut running = inbox.watch(SETTLE);
    for (file, way) in files.iter().zip(ways) {
        file.write_to(&inbox.path.join(way));
    }
    // When a later file has been taken, these would have been.
    let later = [Arrival::new(data, "later")];
    copy(&staged(&inbox, &later), &inbox.path);
    let in_progress: Vec<_> = ways.into_iter().chain(["_temporary/"]).collect();
    inbox.wait_for_gz_of(&mut running, &later, &in_progress);

    for (file, way) in files.iter().zip(ways) {
        fs::rename(inbox.path.join(way), file.path_in(&inbox.path)).unwrap();
    }
    let names = inbox_names(files, later);
    inbox.wait_for_gz_of(&mut running, &names, &["_temporary/"]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(names.len());
}

/// The kernel tells nothing when another name of a file goes, so a file that has just come is looked at again, less and less often.
#[test]
fn hard_links_are_untouched_while_there_is_another_name() {
    let data = &mut Data::from_seed(105);
    let inbox = Inbox::new();
    let mut running = inbox.watch("settle = \"300ms\"");
    let linked = [Arrival::new(data, "linked")];
    let other_name = staged(&inbox, &linked).remove(0);
    fs::hard_link(&other_name, linked[0].path_in(&inbox.path)).unwrap();
    let later = vec![Arrival::new(data, "later")];
    copy(&staged(&inbox, &later), &inbox.path);
    inbox.wait_for_gz_of(&mut running, &later, &["linked"]);

    fs::remove_file(other_name).unwrap();
    let all = inbox_names(later, linked);
    inbox.wait_for_gz_of(&mut running, &all, &[]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
}

/// Open all the time, in pieces, for twice as long as the file would have to be quiet.
#[test]
fn slow_writing_of_an_open_file() {
    write_slowly(106, |path, pieces| {
        let mut file = File::create(path).unwrap();
        for piece in pieces {
            file.write_all(piece).unwrap();
            pause_of_a_slow_writer();
        }
        file
    });
}

/// Each piece with an open and a close of its own: every one of them looks like the end.
#[test]
fn slow_writing_that_closes_the_file_after_each_piece() {
    write_slowly(107, |path, pieces| {
        let open = || File::options().append(true).create(true).open(path).unwrap();
        for piece in pieces {
            open().write_all(piece).unwrap();
            pause_of_a_slow_writer();
        }
        open()
    });
}

#[test]
fn trees_renamed_into_the_folder() {
    let data = &mut Data::from_seed(109);
    let inbox = Inbox::new();
    let files: Vec<Arrival> = ["tree/a/b/c/deep.log", "tree/a/other.log", "tree/flat.log"]
        .map(|path| Arrival::new(data, path))
        .into();
    for file in &files {
        fs::create_dir_all(inbox.outside.join(&file.folder)).unwrap();
        file.write_to(&file.path_in(&inbox.outside));
    }
    let mut running = inbox.watch(SETTLE);
    fs::rename(inbox.outside.join("tree"), inbox.path.join("tree")).unwrap();
    inbox.wait_for_gz_of(&mut running, &files, &[]);

    // It is watched from then on, at every depth.
    let next = vec![
        Arrival::new(data, "tree/a/b/c/next.log"),
        Arrival::new(data, "tree/new/next.log"),
    ];
    fs::create_dir(inbox.path.join("tree/new")).unwrap();
    for file in &next {
        file.write_to(&file.path_in(&inbox.path));
    }
    let all = inbox_names(files, next);
    inbox.wait_for_gz_of(&mut running, &all, &[]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(all.len());
}

#[test]
fn files_in_a_folder_that_is_renamed_meanwhile() {
    const RENAMES: usize = 20;
    let data = &mut Data::from_seed(111);
    let inbox = Inbox::new();
    let mut running = inbox.watch(SETTLE);
    let place = |number: usize| inbox.path.join(format!("place-{number}"));
    fs::create_dir_all(place(0).join("below")).unwrap();
    let mut files = Vec::new();
    for number in 0..RENAMES {
        for folder in ["", "below"] {
            let name = data.name("csv");
            let file = Arrival::new(data, Path::new(&format!("place-{RENAMES}")).join(folder).join(name));
            file.write_to(&place(number).join(folder).join(&file.original.name));
            files.push(file);
        }
        fs::rename(place(number), place(number + 1)).unwrap();
    }
    inbox.wait_for_many_gz_of(&mut running, &files, &[]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(files.len());
}

/// The links are in the way to the folder; below it none is followed.
#[test]
fn files_in_a_folder_that_is_watched_through_a_symbolic_link() {
    let data = &mut Data::from_seed(114);
    let inbox = Inbox::new();
    let real = inbox.sandbox.path("real");
    fs::rename(&inbox.path, &real).unwrap();
    std::os::unix::fs::symlink("real", &inbox.path).unwrap();
    let mut running = inbox.watch(SETTLE);
    let files = [Arrival::new(data, "file.csv"), Arrival::new(data, "sub/file.csv")];
    fs::create_dir(real.join("sub")).unwrap();
    for file in &files {
        file.write_to(&file.path_in(&real));
    }
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(2);
}

/// All the other tests change owners too where they can; this one says when they cannot.
#[test]
fn files_of_another_owner() {
    needs!(root);
    arrive(115, |inbox, files| {
        assert!(files.iter().all(|file| file.original.kept.owner.0 != 0));
        copy(&staged(inbox, files), &inbox.path);
    });
}

/// As in a service that may give files away but is held to their modes like everybody.
#[test]
fn files_of_another_owner_that_only_allow_to_be_read() {
    needs!(root);
    needs!(tool "setpriv");
    let data = &mut Data::from_seed(119);
    let inbox = Inbox::new();
    let mut files = Arrival::several(data, 3);
    for file in &mut files {
        file.original.kept.mode = 0o444;
    }
    let mut running = inbox.dwindle(SETTLE).bound_by_modes().start();
    copy(&staged(&inbox, &files), &inbox.path);
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    running.signal(Signal::TERM);
    let output = running.wait_exit().expect_compressed(files.len());
    assert!(!output.stderr.contains("WARN"), "{output}");
}

#[test]
fn folders_named_on_the_command_line() {
    let data = &mut Data::from_seed(116);
    let inbox = Inbox::new();
    let second = inbox.sandbox.folder("second");
    let dwindle = crate::support::Dwindle::new(&inbox.sandbox).args(["run", "inbox", "second"]);
    let mut running = dwindle.start();
    let files = Arrival::several(data, 2);
    let staged = staged(&inbox, &files);
    for folder in [&inbox.path, &second] {
        copy(&staged, folder);
    }
    for folder in [&inbox.path, &second] {
        running.wait_for_names(folder, crate::support::inbox::names_with_gz_of(&files, &[]));
    }
    running.signal(Signal::INT);
    running.wait_exit().expect_compressed(4);
}

/// Some files, delivered to a running agent, with all that has to come of it.
fn arrive(seed: u64, deliver: impl FnOnce(&Inbox, &[Arrival])) {
    let data = &mut Data::from_seed(seed);
    let inbox = Inbox::new();
    let files = Arrival::several(data, 6);
    let mut running = inbox.watch(SETTLE);
    deliver(&inbox, &files);
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(files.len());
}

/// The files, complete, where nobody watches.
fn staged(inbox: &Inbox, files: &[Arrival]) -> Vec<PathBuf> {
    let stage = |file: &Arrival| {
        let path = inbox.outside.join(&file.original.name);
        file.write_to(&path);
        path
    };
    files.iter().map(stage).collect()
}

fn inbox_names(first: impl IntoIterator<Item = Arrival>, second: impl IntoIterator<Item = Arrival>) -> Vec<Arrival> {
    first.into_iter().chain(second).collect()
}

/// So many pieces are written in ten seconds, with a settle time of five: a writer that the machine holds up for seconds is still slow, not done.
const PIECES: usize = 100;

/// `write` returns the file, open, as it is complete but for its metadata.
fn write_slowly(seed: u64, write: impl FnOnce(&Path, std::slice::Chunks<'_, u8>) -> File) {
    let data = &mut Data::from_seed(seed);
    let inbox = Inbox::new();
    let files = Arrival::several(data, 1);
    let content = &files[0].original.content;
    let mut running = inbox.watch("settle = \"5s\"");
    let file = write(
        &files[0].path_in(&inbox.path),
        content.chunks(content.len().div_ceil(PIECES)),
    );
    files[0].put_metadata_on(&file);
    drop(file);
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(1);
}

/// What a slow source does; no wait for the program.
fn pause_of_a_slow_writer() {
    thread::sleep(Duration::from_millis(100));
}
