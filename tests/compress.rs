//! `dwindle compress`: the files named, all of them, and a sentence for each that did not become a `.gz`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::gz::read_with_flate2;
use crate::support::run::Output;
use crate::support::{Data, Dwindle, Original, Sandbox, assert_gz_of, names_below, needs};

/// Checks compressed, skipped, failed and left of the report.
fn assert_counts(output: &Output, counts: [u64; 4]) {
    let report = output.report();
    let found = [report.compressed, report.skipped, report.failed, report.left];
    assert_eq!(found, counts, "{output}");
}

/// Checks that these sentences and no others are on standard error, whatever their order.
fn assert_sentences(output: &Output, sentences: &[&str]) {
    let mut found: Vec<_> = output.stderr.lines().collect();
    let mut expected: Vec<_> = sentences
        .iter()
        .map(|sentence| format!("dwindle: {sentence}"))
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{output}");
}

fn compress(sandbox: &Sandbox, line: &str) -> Dwindle {
    Dwindle::new(sandbox).args(["compress"]).args(line.split(' '))
}

/// The names in the sandbox, without the runtime folder of the test's own.
fn names_in(sandbox: &Sandbox) -> Vec<String> {
    let mut names = names_below(sandbox.root());
    names.retain(|name| !name.starts_with(".runtime"));
    names
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn each_named_file_becomes_its_gz_and_the_report_counts_them() {
    let sandbox = Sandbox::new();
    let mut data = Data::from_seed(10);
    let sizes = [1, 700, 300_000];
    let originals: Vec<_> = sizes
        .map(|size| Original::of(&sandbox.file(data.name("log"), data.log_text(size))))
        .into();
    let output = Dwindle::new(&sandbox)
        .args(["compress"])
        .args(originals.iter().map(|original| &original.name))
        .finish()
        .expect_code(0);
    assert_counts(&output, [3, 0, 0, 0]);
    assert_sentences(&output, &[]);
    let mut bytes_out = 0;
    for original in &originals {
        let gz = original.gz_in(sandbox.root());
        assert_gz_of(&gz, original);
        bytes_out += fs::metadata(gz).unwrap().len();
        assert!(!sandbox.path(&original.name).exists(), "{:?}", original.name);
    }
    let line = String::from_utf8(output.stdout).unwrap();
    let kib = |bytes: u64| format!("{:.2} KiB", f64::from(u32::try_from(bytes).unwrap()) / 1024.0);
    let sizes = format!("Compressed 3 files: {} -> {} (", kib(300_701), kib(bytes_out));
    assert!(line.starts_with(&sizes), "{line}");
    assert_eq!(names_in(&sandbox).len(), 3);
}

#[test]
fn many_files_at_once_all_become_gz() {
    let sandbox = Sandbox::new();
    let mut data = Data::from_seed(11);
    let originals: Vec<_> = (0..300)
        .map(|_| {
            let size = data.number(1..5000);
            Original::of(&sandbox.file(data.name("csv"), data.log_text(size)))
        })
        .collect();
    let output = Dwindle::new(&sandbox)
        .args(["compress", "--fast"])
        .args(originals.iter().map(|original| &original.name))
        .finish()
        .expect_code(0);
    assert_counts(&output, [300, 0, 0, 0]);
    assert_eq!(names_in(&sandbox).len(), 300);
    for original in originals.iter().step_by(50) {
        assert_gz_of(&original.gz_in(sandbox.root()), original);
    }
}

#[test]
fn a_folder_is_skipped_with_a_word_about_the_flag() {
    let sandbox = Sandbox::new();
    sandbox.file("d/a", "text");
    let output = compress(&sandbox, "d . d/.. d/").finish().expect_code(0);
    assert_counts(&output, [0, 4, 0, 0]);
    let sentence = |path: &str| format!("{path}: skipped: it is a folder (-r goes through folders)");
    let sentences = ["d", ".", "d/..", "d/"].map(sentence);
    assert_sentences(&output, &sentences.each_ref().map(String::as_str));
    assert_eq!(names_in(&sandbox), ["d/", "d/a"]);
}

#[test]
fn a_recursive_walk_takes_finished_files_and_leaves_the_rest() {
    let sandbox = Sandbox::new();
    for name in ["d/a", "d/s/b.log", "d/s/t/c", "other"] {
        sandbox.file(name, "text\n");
    }
    let left = [
        "d/.git/config",
        "d/.hidden",
        "d/x.part",
        "d/s/y.tmp",
        "d/_temporary/z",
        "d/s/old.gz",
        "d/s/i.zip",
    ];
    for name in left {
        sandbox.file(name, "text\n");
    }
    let output = compress(&sandbox, "-r d").finish().expect_code(0);
    assert_eq!(output.report().compressed, 3, "{output}");
    let names: Vec<_> = names_in(&sandbox)
        .into_iter()
        .filter(|name| !name.ends_with('/'))
        .collect();
    let mut expected: Vec<_> = left
        .into_iter()
        .chain(["d/a.gz", "d/s/b.log.gz", "d/s/t/c.gz", "other"])
        .collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn recursive_takes_files_too_and_walks_the_current_folder() {
    let sandbox = Sandbox::new();
    sandbox.file("d/a", "text");
    sandbox.file("b", "text");
    let output = compress(&sandbox, "-r d b").finish().expect_code(0);
    assert_counts(&output, [2, 0, 0, 0]);
    sandbox.file("d/c", "text");
    let output = compress(&sandbox, "-r .").finish().expect_code(0);
    assert_eq!(output.report().compressed, 1, "{output}");
    assert_eq!(names_in(&sandbox), ["b.gz", "d/", "d/a.gz", "d/c.gz"]);
}

#[test]
fn what_was_named_but_cannot_be_compressed_is_told_once_and_the_rest_is_done() {
    let sandbox = Sandbox::new();
    for name in ["good", "other", "x.gz", "twice", "taken"] {
        sandbox.file(name, "text\n");
    }
    sandbox.file("empty", "");
    sandbox.file("taken.gz", "no gzip");
    let line = "missing good nowhere/f empty/f x.gz empty taken other -j 1";
    let output = compress(&sandbox, line).finish().expect_code(1);
    assert_counts(&output, [2, 2, 4, 0]);
    assert_sentences(
        &output,
        &[
            "cannot open missing: No such file or directory (os error 2)",
            "cannot open nowhere: No such file or directory (os error 2)",
            "cannot open empty: Not a directory (os error 20)",
            "x.gz: skipped: compressed already, by its suffix (.gz)",
            "empty: skipped: it is empty",
            "cannot publish taken: a .gz of that name is there already, with other content (-f replaces it)",
        ],
    );
    assert_eq!(
        names_in(&sandbox),
        ["empty", "good.gz", "other.gz", "taken", "taken.gz", "twice", "x.gz"]
    );
}

#[test]
fn a_file_that_may_not_be_read_fails_alone_and_stays() {
    needs!(tool "setpriv");
    let sandbox = Sandbox::new();
    let secret = sandbox.file("secret", "secret");
    sandbox.file("open", "text");
    let closed = sandbox.folder("closed");
    set_mode(&secret, 0o000);
    set_mode(&closed, 0o000);
    let output = compress(&sandbox, "secret open closed/f")
        .bound_by_modes()
        .finish()
        .expect_code(1);
    assert_counts(&output, [1, 0, 2, 0]);
    let sentences = [
        "cannot open secret: Permission denied (os error 13)",
        "cannot open closed: Permission denied (os error 13)",
    ];
    assert_sentences(&output, &sentences);
    let output = compress(&sandbox, "-r closed").bound_by_modes().finish().expect_code(1);
    assert_counts(&output, [0, 0, 1, 0]);
    assert_sentences(&output, &sentences[1..]);
    set_mode(&closed, 0o700);
    assert_eq!(names_in(&sandbox), ["closed/", "open.gz", "secret"]);
}

#[test]
fn in_a_folder_that_may_not_be_written_the_sentence_names_the_output() {
    needs!(tool "setpriv");
    let sandbox = Sandbox::new();
    let file = sandbox.file("d/f", "text");
    set_mode(file.parent().unwrap(), 0o555);
    let output = compress(&sandbox, "d/f").bound_by_modes().finish().expect_code(1);
    assert_counts(&output, [0, 0, 1, 0]);
    assert_sentences(&output, &["cannot create d/f.gz: Permission denied (os error 13)"]);
    set_mode(file.parent().unwrap(), 0o755);
    assert_eq!(names_in(&sandbox), ["d/", "d/f"]);
}

#[test]
fn a_gz_of_the_same_content_is_finished_and_one_of_another_is_replaced_only_by_force() {
    let sandbox = Sandbox::new();
    sandbox.file("f", "text\n");
    compress(&sandbox, "f").finish().expect_code(0);
    let before = fs::read(sandbox.path("f.gz")).unwrap();
    sandbox.file("f", "text\n");
    let output = compress(&sandbox, "f").finish().expect_code(0);
    assert_counts(&output, [1, 0, 0, 0]);
    assert_eq!(names_in(&sandbox), ["f.gz"]);
    assert_eq!(fs::read(sandbox.path("f.gz")).unwrap(), before);

    let other = Original::of(&sandbox.file("f", "other\n"));
    let output = compress(&sandbox, "f").finish().expect_code(1);
    assert_counts(&output, [0, 0, 1, 0]);
    assert_eq!(fs::read(sandbox.path("f.gz")).unwrap(), before);
    assert_eq!(fs::read(sandbox.path("f")).unwrap(), b"other\n");
    compress(&sandbox, "-f f").finish().expect_code(0);
    assert_eq!(names_in(&sandbox), ["f.gz"]);
    assert_gz_of(&sandbox.path("f.gz"), &other);
}

#[test]
fn even_force_replaces_only_a_regular_file() {
    let sandbox = Sandbox::new();
    sandbox.file("f", "text");
    sandbox.folder("f.gz");
    let output = compress(&sandbox, "-f f").finish().expect_code(1);
    let reason = "what has the name of its .gz is no regular file, and only those are replaced";
    assert_sentences(&output, &[&format!("cannot publish f: {reason}")]);
    assert_eq!(names_in(&sandbox), ["f", "f.gz/"]);
}

/// Which of the two finds the other's work, and when, is chance; that the bytes are kept once and one fails is not.
#[test]
fn a_file_named_twice_is_compressed_once_and_fails_once() {
    let sandbox = Sandbox::new();
    let mut data = Data::from_seed(12);
    for path in ["f", "./f", "s/../f"] {
        for workers in ["1", "2"] {
            sandbox.folder("s");
            let original = Original::of(&sandbox.file("f", data.log_text(20_000)));
            let output = Dwindle::new(&sandbox)
                .args(["compress", "f", path, "-j", workers])
                .finish()
                .expect_code(1);
            assert_counts(&output, [1, 0, 1, 0]);
            assert_eq!(output.stderr.lines().count(), 1, "{output}");
            assert_gz_of(&sandbox.path("f.gz"), &original);
            assert_eq!(names_in(&sandbox), ["f.gz", "s/"]);
            fs::remove_file(sandbox.path("f.gz")).unwrap();
        }
    }
}

#[test]
fn links_pipes_and_devices_are_skipped_without_waiting() {
    let sandbox = Sandbox::new();
    sandbox.file("f", "text");
    symlink("f", sandbox.path("link")).unwrap();
    symlink("nowhere", sandbox.path("dangling")).unwrap();
    sandbox.file("one", "text");
    fs::hard_link(sandbox.path("one"), sandbox.path("two")).unwrap();
    let pipe = sandbox.path("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let line = "link dangling pipe /dev/null one two";
    let output = compress(&sandbox, line).finish().expect_code(0);
    assert_counts(&output, [0, 6, 0, 0]);
    assert_sentences(
        &output,
        &[
            "link: skipped: symbolic links are never followed",
            "dangling: skipped: symbolic links are never followed",
            "pipe: skipped: it is not a regular file",
            "/dev/null: skipped: it is not a regular file",
            "one: skipped: it has more than one name (hard links)",
            "two: skipped: it has more than one name (hard links)",
        ],
    );
    assert_eq!(names_in(&sandbox), ["dangling", "f", "link", "one", "pipe", "two"]);
}

#[test]
fn any_path_to_a_file_will_do() {
    let sandbox = Sandbox::new();
    for path in ["f", "./f", "d/../f", "d//../f", "d/./../f"] {
        sandbox.folder("d");
        let original = Original::of(&sandbox.file("f", "text"));
        let output = compress(&sandbox, path).finish().expect_code(0);
        assert_counts(&output, [1, 0, 0, 0]);
        assert_gz_of(&sandbox.path("f.gz"), &original);
        fs::remove_file(sandbox.path("f.gz")).unwrap();
    }
    let original = Original::of(&sandbox.file("d/f", "text"));
    Dwindle::new(&sandbox)
        .args(["compress"])
        .args([sandbox.path("d/f")])
        .finish()
        .expect_code(0);
    assert_gz_of(&sandbox.path("d/f.gz"), &original);
}

/// Unlike a watch, a person who names a file knows that it is finished.
#[test]
fn a_hidden_or_unfinished_looking_name_is_taken_when_it_is_named() {
    let sandbox = Sandbox::new();
    sandbox.file(".profile", "text");
    sandbox.file("a.tmp", "text");
    let output = compress(&sandbox, ".profile a.tmp").finish().expect_code(0);
    assert_counts(&output, [2, 0, 0, 0]);
    assert_eq!(names_in(&sandbox), [".profile.gz", "a.tmp.gz"]);
}

#[test]
fn without_the_right_to_give_a_file_away_group_and_others_get_nothing() {
    needs!(root);
    needs!(tool "setpriv");
    let sandbox = Sandbox::new();
    let file = sandbox.file("d/f", "text");
    set_mode(&file, 0o664);
    set_mode(file.parent().unwrap(), 0o777);
    set_mode(sandbox.root(), 0o755);
    // A copy, since the other user may not reach where the program was built.
    let script = "cp \"$DWINDLE\" dwindle && setpriv --reuid 4242 --regid 4242 --clear-groups ./dwindle compress d/f";
    let output = Dwindle::in_shell(&sandbox, script).finish().expect_code(0);
    assert_counts(&output, [1, 0, 0, 0]);
    let mode = fs::metadata(sandbox.path("d/f.gz")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "{output}");
    assert!(!file.exists());
}

#[test]
fn what_a_killed_run_left_in_quarantine_is_put_right() {
    let sandbox = Sandbox::new();
    let text = Data::from_seed(70).log_text(1000);
    for name in ["logs/named.log", "logs/tree/found.log"] {
        let path = sandbox.path(name);
        sandbox.folder(path.parent().unwrap());
        let quarantined = format!(".{}.dwindle-01234567.q", path.file_name().unwrap().display());
        sandbox.file(path.with_file_name(quarantined), &text);
    }
    let output = Dwindle::new(&sandbox)
        .args(["compress", "-r", "logs/named.log", "logs/tree"])
        .finish();
    assert_eq!(output.expect_code(0).report().compressed, 2);
    let names = names_below(&sandbox.path("logs"));
    assert_eq!(names, ["named.log.gz", "tree/", "tree/found.log.gz"]);
    assert_eq!(read_with_flate2(&sandbox.path("logs/named.log.gz")).content, text);
}
