//! Rows 22 to 35: other programs open, change, move or replace a file while it waits or while it is at work. Nothing is taken too early, and
//! what is published is what the file held when it was left alone.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::process::Signal;

use super::at_work::{
    AT_ONCE, Delayed, TURN, caught_at_work, contents_below, go_on_after, large_content, only_outputs_in,
    quarantined_below,
};
use crate::support::inbox::state_below;
use crate::support::run::Running;
use crate::support::strace::Strace;
use crate::support::{Arrival, Data, Inbox, Sandbox, names_below, needs, programs};

/// So many files that come later, one after the other, may be done before one that was let go. Whoever only looked again from time to time
/// would need longer by then.
const SOON: usize = 5;

#[test]
fn row_22_a_file_that_is_open_for_writing_is_untouched_and_taken_when_it_is_let_go() {
    let inbox = Inbox::new();
    let mut running = inbox.watch("settle = \"100ms\"");
    let path = inbox.path.join("F");
    let mut writer = File::create(&path).unwrap();
    writer.write_all(b"begin ").unwrap();
    stays_while_others_are_compressed(&inbox, &mut running, "F");
    writer.write_all(b"end").unwrap();
    drop(writer);
    let gz = inbox.path.join("F.gz");
    let mut later = 0;
    while !gz.exists() {
        assert!(later < SOON, "{later} files that came later were quicker");
        compress_another(&inbox, &mut running, later);
        later += 1;
    }
    running.wait_for("F.gz alone", || names_below(&inbox.path) == ["F.gz"]);
    assert_eq!(contents_below(&inbox.path), [b"begin end"]);
    end(running, 1 + OTHERS + later);
}

/// No event and no timestamp tells of what is written through a mapping.
#[test]
fn row_23_a_file_that_is_mapped_writable_is_untouched_and_taken_when_it_is_let_go() {
    needs!(tool "python3");
    let inbox = Inbox::new();
    let mut running = inbox.watch("settle = \"100ms\"");
    let path = inbox.sandbox.file("outside/F", "0123456789");
    let mut mapper = Mapper::start(&path);
    fs::rename(path, inbox.path.join("F")).unwrap();
    stays_while_others_are_compressed(&inbox, &mut running, "F");
    mapper.write_and_end("mapped");
    running.wait_for("F.gz alone", || names_below(&inbox.path) == ["F.gz"]);
    assert_eq!(contents_below(&inbox.path), [b"mapped6789"]);
    end(running, 1 + OTHERS);
}

/// In memory such a mapping leaves no trace once it is gone: the page was there when it was written to. It comes when the file has been read.
#[test]
fn row_23_b_nor_is_what_is_written_through_a_mapping_while_the_output_is_finished_ever_lost() {
    needs!(tool "python3");
    needs!(tool "strace");
    let inbox = Inbox::of(Sandbox::with_room_for(64 << 20));
    let mut delayed = Delayed::start(&inbox, AT_ONCE, "utimensat");
    let path = inbox.sandbox.file("inbox/F", "0123456789");
    delayed.wait_for_call("utimensat(");
    Mapper::start(&path).write_and_end("mapped");
    delayed.running.wait_for_names(&inbox.path, ["F.gz"]);
    assert_eq!(contents_below(&inbox.path), [b"mapped6789"]);
    end(delayed.running, 1);
}

#[test]
fn row_24_appended_while_compressing() {
    change_at_work(241, |path, content| {
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(b"appended").unwrap();
        content.extend_from_slice(b"appended");
    });
}

#[test]
fn row_25_truncated_while_compressing() {
    change_at_work(251, |path, content| {
        File::options().write(true).open(path).unwrap().set_len(1000).unwrap();
        content.truncate(1000);
    });
}

#[test]
fn row_26_overwritten_at_the_same_size_with_its_time_put_back_while_compressing() {
    change_at_work(261, |path, content| {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        let file = File::options().write(true).open(path).unwrap();
        let middle = content.len() / 2;
        file.write_all_at(b"overwritten", middle as u64).unwrap();
        file.set_modified(modified).unwrap();
        content[middle..][..11].copy_from_slice(b"overwritten");
    });
}

#[test]
fn row_27_renamed_while_compressing() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/F", large_content(271));
    let running = &mut caught_at_work(&inbox, AT_ONCE);
    let (old, new) = (inbox.path.join("F"), inbox.path.join("G"));
    go_on_after(running, &old, || fs::rename(&old, &new).unwrap());
    running.wait_for_names(&inbox.path, ["G.gz"]);
    assert_eq!(contents_below(&inbox.path), [large_content(271)]);
}

#[test]
fn row_28_a_replaced_by_a_rename_when_it_is_published() {
    replace_before("linkat(");
}

#[test]
fn row_28_b_replaced_by_a_rename_when_it_is_put_out_of_the_way() {
    replace_before("renameat2(");
}

/// As before 3.15, and still on some file systems: renameat2(2) knows no flag.
#[test]
fn row_28_c_replaced_by_a_rename_where_no_rename_leaves_other_files_alone() {
    needs!(tool "strace");
    let inbox = Inbox::new();
    let strace = Strace::inject(&inbox.sandbox, "renameat2:error=EINVAL").and_inject("unlinkat:delay_enter=2000000");
    let mut running = inbox.dwindle(AT_ONCE).under(&strace).start();
    running.wait_for_text("watching");
    inbox.sandbox.file("inbox/F", "old");
    let new = inbox.sandbox.file("outside/F", "new");
    running.wait_for("a removal", || {
        strace.log().iter().any(|line| line.contains("unlinkat("))
    });
    fs::rename(new, inbox.path.join("F")).unwrap();
    running.wait_for("only outputs", || only_outputs_in(&inbox.path));
    assert!(contents_below(&inbox.path).contains(&b"new".to_vec()));
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
}

#[test]
fn row_29_deleted_while_compressing() {
    let inbox = Inbox::new();
    let path = inbox.sandbox.file("inbox/F", large_content(291));
    let mut running = caught_at_work(&inbox, AT_ONCE);
    go_on_after(&running, &path, || fs::remove_file(&path).unwrap());
    inbox.sandbox.file("inbox/later", "later");
    running.wait_for_names(&inbox.path, ["later.gz"]);
    end(running, 1);
}

#[test]
fn row_31_a_made_anew_during_quarantine() {
    needs!(tool "strace");
    let inbox = Inbox::new();
    let mut delayed = Delayed::start(&inbox, AT_ONCE, "fsync,fdatasync,syncfs");
    inbox.sandbox.file("inbox/F", "first");
    delayed.wait_for_quarantine(&inbox);
    inbox.sandbox.file("inbox/F", "second");
    delayed.running.wait_for_names(&inbox.path, ["F.gz", "F.~1~.gz"]);
    assert_eq!(contents_below(&inbox.path), [&b"first"[..], b"second"]);
    end(delayed.running, 2);
}

/// What was quarantined can't have its name back: it gets one in sight, and the log has it.
#[test]
fn row_31_b_made_anew_during_quarantine_while_the_old_one_is_written_to() {
    needs!(tool "strace");
    let inbox = Inbox::new();
    let mut delayed = Delayed::start(&inbox, AT_ONCE, "fsync,fdatasync,syncfs");
    inbox.sandbox.file("inbox/F", "first");
    let quarantined = delayed.wait_for_quarantine(&inbox);
    inbox.sandbox.file("inbox/F", "second");
    let mut old = File::options().append(true).open(quarantined).unwrap();
    old.write_all(b", continued").unwrap();
    drop(old);
    delayed.running.wait_for_text("F.dwindle-conflict-1");
    let running = &mut delayed.running;
    running.wait_for("only outputs", || only_outputs_in(&inbox.path));
    assert_eq!(contents_below(&inbox.path), [&b"first, continued"[..], b"second"]);
    end(delayed.running, 2);
}

#[test]
fn row_32_a_another_gz_of_its_name_appears_before_the_link() {
    needs!(tool "strace");
    for (on_conflict, names) in [("number", ["F.gz", "F.~1~.gz"]), ("skip", ["F", "F.gz"])] {
        let inbox = Inbox::new();
        let keys = format!("{AT_ONCE}\non-conflict = \"{on_conflict}\"");
        let mut delayed = Delayed::start(&inbox, &keys, "linkat");
        inbox.sandbox.file("inbox/F", "mine");
        delayed.wait_for_call("linkat(");
        let theirs = inbox.sandbox.file("inbox/F.gz", "theirs, and no gzip at all");
        delayed.running.wait_for_names(&inbox.path, names);
        delayed.running.signal(Signal::TERM);
        delayed.running.wait_exit().expect_code(0);
        assert_eq!(names_below(&inbox.path), names);
        assert_eq!(fs::read(theirs).unwrap(), b"theirs, and no gzip at all");
    }
}

#[test]
fn row_32_b_its_own_gz_made_by_somebody_else_appears_before_the_link() {
    needs!(tool "strace");
    let inbox = Inbox::new();
    let mut delayed = Delayed::start(&inbox, AT_ONCE, "linkat");
    let path = inbox.sandbox.file("outside/F", "text");
    let twin = programs::status(Command::new("gzip").arg("-k").arg(&path)).unwrap();
    assert!(twin.success());
    let before = state_below(&inbox.outside)["F.gz"].clone();
    fs::rename(&path, inbox.path.join("F")).unwrap();
    delayed.wait_for_call("linkat(");
    fs::rename(inbox.outside.join("F.gz"), inbox.path.join("F.gz")).unwrap();
    delayed.running.wait_for_names(&inbox.path, ["F.gz"]);
    assert!(state_below(&inbox.path)["F.gz"].same_file(&before));
    end(delayed.running, 1);
}

/// It is refused for as long as the file is being read, and let in as soon as the agent has noticed.
#[test]
fn row_33_a_writer_that_does_not_wait() {
    let inbox = Inbox::new();
    let mut content = large_content(331);
    let path = inbox.sandbox.file("inbox/F", &content);
    let mut running = caught_at_work(&inbox, AT_ONCE);
    let open = || File::options().append(true).custom_flags(libc::O_NONBLOCK).open(&path);
    assert_eq!(open().unwrap_err().kind(), ErrorKind::WouldBlock);
    running.signal(Signal::CONT);
    let let_in = Instant::now();
    let mut writer = None;
    running.wait_for("the writer's turn", || {
        writer = open().ok();
        writer.is_some()
    });
    assert!(let_in.elapsed() < TURN, "{:?}", let_in.elapsed());
    writer.unwrap().write_all(b"appended").unwrap();
    content.extend_from_slice(b"appended");
    running.wait_for_names(&inbox.path, ["F.gz"]);
    assert!(contents_below(&inbox.path) == [content]);
    end(running, 1);
}

/// The kernel tells a process of a writer by a signal that ends whoever does not expect it.
#[test]
fn row_34_writers_that_come_again_and_again_do_not_end_the_agent() {
    let inbox = Inbox::new();
    let path = inbox.sandbox.file("inbox/F", large_content(341));
    let mut running = caught_at_work(&inbox, AT_ONCE);
    for _ in 0..10 {
        go_on_after(&running, &path, || {
            drop(File::options().append(true).open(&path).unwrap());
        });
        running.wait_for_output_in(&inbox.path);
        running.signal(Signal::STOP);
    }
    running.signal(Signal::CONT);
    running.wait_for_names(&inbox.path, ["F.gz"]);
    end(running, 1);
}

/// Neither a rename nor a file that was written under its name: only CREATE is told.
#[test]
fn row_35_published_by_a_link() {
    let data = &mut Data::from_seed(351);
    let inbox = Inbox::new();
    let files = Arrival::several(data, 6);
    let mut running = inbox.watch("settle = \"500ms\"");
    for (number, file) in files.iter().enumerate() {
        let path = file.path_in(&inbox.path);
        match number % 3 {
            0 => link_from(&inbox.outside.join("temp"), file, &path),
            1 => link_from(&inbox.path.join(".temp"), file, &path),
            _ => link_without_a_name(&inbox.path, file, &path),
        }
    }
    inbox.wait_for_gz_of(&mut running, &files, &[]);
    end(running, files.len());
}

fn link_from(temp: &Path, file: &Arrival, path: &Path) {
    file.write_to(temp);
    fs::hard_link(temp, path).unwrap();
    fs::remove_file(temp).unwrap();
}

/// open(2), `O_TMPFILE`.
fn link_without_a_name(folder: &Path, file: &Arrival, path: &Path) {
    let unnamed = open(folder, OFlags::TMPFILE | OFlags::WRONLY, Mode::from_raw_mode(0o600)).unwrap();
    let mut unnamed = File::from(unnamed);
    unnamed.write_all(&file.original.content).unwrap();
    file.put_metadata_on(&unnamed);
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&unnamed));
    linkat(CWD, link, CWD, path, AtFlags::SYMLINK_FOLLOW).unwrap();
}

/// So many files are compressed while one is held.
const OTHERS: usize = 12;

/// Others come one after the other, for more than two seconds in all: a file that were looked at again ever less often would by then be looked
/// at seconds later.
fn stays_while_others_are_compressed(inbox: &Inbox, running: &mut Running, name: &str) {
    let before = state_below(&inbox.path)[name].clone();
    for number in 0..OTHERS {
        compress_another(inbox, running, number);
        assert!(state_below(&inbox.path)[name] == before, "{name} is not as it was");
    }
    assert_eq!(names_below(&inbox.path), [name]);
}

/// Another file comes and goes all the way, and is taken away again.
fn compress_another(inbox: &Inbox, running: &mut Running, number: usize) {
    let other = inbox.sandbox.file(format!("inbox/other-{number}"), "text");
    let gz = other.with_extension("gz");
    running.wait_for("another file's .gz", || gz.exists() && !other.exists());
    running.wait_for("the end of its removal", || quarantined_below(&inbox.path).is_none());
    fs::remove_file(gz).unwrap();
}

/// A change while the file is at work; what is published is the file as it was left.
fn change_at_work(seed: u64, change: impl FnOnce(&Path, &mut Vec<u8>) + Send) {
    let inbox = Inbox::new();
    let mut content = large_content(seed);
    let path = inbox.sandbox.file("inbox/F", &content);
    let mut running = caught_at_work(&inbox, AT_ONCE);
    let content = &mut content;
    go_on_after(&running, &path, || change(&path, content));
    running.wait_for_names(&inbox.path, ["F.gz"]);
    assert!(
        contents_below(&inbox.path) == [&content[..]],
        "it is not the file as it was left"
    );
    end(running, 1);
}

/// Another file takes the name just before the system call that acts upon it. That one is never touched for the old one's sake; of the old one,
/// which whoever replaced it gave up, an output may be left.
fn replace_before(call: &str) {
    needs!(tool "strace");
    let inbox = Inbox::new();
    let mut delayed = Delayed::start(&inbox, AT_ONCE, call.trim_end_matches('('));
    inbox.sandbox.file("inbox/F", "old");
    let new = inbox.sandbox.file("outside/F", "new");
    delayed.wait_for_call(call);
    fs::rename(new, inbox.path.join("F")).unwrap();
    let running = &mut delayed.running;
    let is_new_compressed = || contents_below(&inbox.path).contains(&b"new".to_vec()) && only_outputs_in(&inbox.path);
    running.wait_for("an output of the new file, and only outputs", is_new_compressed);
    running.signal(Signal::TERM);
    let output = delayed.running.wait_exit().expect_code(0);
    assert_eq!(output.report().failed, 0, "{output}");
    assert!(is_new_compressed());
    let contents = contents_below(&inbox.path);
    assert!(contents == [b"new"] || contents == [b"new", b"old"], "{contents:?}");
}

fn end(running: Running, compressed: usize) {
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(compressed);
}

/// Another process that has a file mapped writable, and no descriptor of it.
struct Mapper {
    process: Child,
}

impl Mapper {
    const PROGRAM: &str = "import mmap, sys\n\
        with open(sys.argv[1], 'r+b') as file: mapping = mmap.mmap(file.fileno(), 0); mapping[0]\n\
        print('mapped', flush=True)\n\
        text = sys.stdin.readline().strip().encode()\n\
        mapping[:len(text)] = text\n";

    fn start(path: &PathBuf) -> Self {
        let mut python = Command::new("python3");
        python.args(["-c", Self::PROGRAM]).arg(path);
        let mut process = programs::start(python.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "mapped\n");
        Mapper { process }
    }

    fn write_and_end(&mut self, text: &str) {
        let mut stdin = self.process.stdin.take().expect("piped");
        writeln!(stdin, "{text}").unwrap();
        drop(stdin);
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
