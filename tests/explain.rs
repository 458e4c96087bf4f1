//! `dwindle explain`: which watch has a path, what every rule says, what happens next; and that a dry run says the same.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use crate::support::programs::while_none_is_started;
use crate::support::run::Output;
use crate::support::{Dwindle, Inbox, Sandbox};

/// Several watches of a sandbox.
fn configure(sandbox: &Sandbox, text: &str) {
    sandbox.file(
        "etc/dwindle.toml",
        text.replace("ROOT", &sandbox.root().display().to_string()),
    );
}

fn explain(sandbox: &Sandbox, paths: &[&str]) -> Output {
    Dwindle::new(sandbox)
        .args(["explain", "-c", "etc/dwindle.toml"])
        .args(paths)
        .finish()
}

/// Without the sandbox's own path.
fn text(sandbox: &Sandbox, output: &Output) -> String {
    let root = format!("{}/", sandbox.root().display());
    String::from_utf8(output.stdout.clone())
        .expect("escaped")
        .replace(&root, "/")
}

fn explained(sandbox: &Sandbox, path: &str) -> String {
    let output = explain(sandbox, &[path]).expect_code(0);
    text(sandbox, &output)
}

/// The line that decides, and the sentence about what comes next on one line.
fn verdict(text: &str) -> (String, String) {
    let decides = text.lines().find_map(|line| line.strip_prefix("  > "));
    let next = text.split_once("\n  next").expect("what comes next").1;
    let next = next.split("\n\n").next().expect("a sentence");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    (words(decides.unwrap_or("nothing")), words(next))
}

#[test]
fn a_name_without_a_file_is_explained_whole() {
    // A path of known length, so that lines break where they do here.
    let sandbox = Sandbox::new();
    configure(
        &sandbox,
        "[[watch]]\npath = \"/srv/dwindle-inbox\"\nexclude = [\"*.x\"]\n",
    );
    let output = explain(&sandbox, &["/srv/dwindle-inbox/sub/a.x.part"]).expect_code(0);
    let expected = "\
/srv/dwindle-inbox/sub/a.x.part
  watch   /srv/dwindle-inbox, preset inbox (etc/dwindle.toml:2)
  next    nothing has this name now, and a file that gets it is left alone: the
          name says that it is still being written (*.part)

    yes   folder names    no folder on the way is hidden or in progress
    yes   recursive       subfolders are watched, too
    yes   output-dir      outputs go elsewhere, or beside their originals
    yes   folder exclude  no folder on the way is excluded
    yes   marker's name   there are no markers in this watch
    yes   dwindle's own   not a name of dwindle's own
  > NO    in progress     the name says that it is still being written (*.part)
    yes   dot-file        no dot at the beginning
    yes   suffix          not one of what is compressed already
    yes   exclude         no pattern matches
    yes   include         no patterns, so all that the preset takes
    yes   preset          inbox takes every finished file
";
    assert_eq!(text(&sandbox, &output), expected);
    assert_eq!(
        output.stderr.lines().filter(|line| line.contains("error")).count(),
        0,
        "{output}"
    );
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn every_kind_of_file_has_its_deciding_rule_and_its_next_step() {
    let sandbox = Sandbox::new();
    let path = |name: &str| sandbox.path(name);
    configure(
        &sandbox,
        "[[watch]]\npath = \"ROOT/in\"\nsettle = \"0s\"\nexclude = [\"no/\", \"*.bad\"]\nmin-size = 3\nleave-newest = 1\n\
         [[watch]]\npath = \"ROOT/log\"\npreset = \"rotated-logs\"\nsettle = \"1h\"\n\
         [[watch]]\npath = \"ROOT/mark\"\nmarker = \"{name}.done\"\nsettle = \"0s\"\n",
    );
    for name in [
        "in/ready.csv",
        "in/taken.csv",
        "in/no/file",
        "in/a.bad",
        "in/open.csv",
        "log/app.log",
        "log/app.log.1",
    ] {
        sandbox.file(name, "some text");
    }
    for name in [
        "log/alone-20261123",
        "mark/a.csv",
        "in/x.log.1",
        "in/x.log.2",
        "in/linked",
        "in/sub/deep/file",
    ] {
        sandbox.file(name, "some text");
    }
    sandbox.file("in/taken.csv.gz", "somebody's");
    sandbox.file("in/empty", "");
    sandbox.file("in/small", "x");
    sandbox.file("in/packed", b"\x1f\x8b\x08\x00packed");
    fs::hard_link(path("in/linked"), path("in/other")).unwrap();
    symlink("ready.csv", path("in/symbolic")).unwrap();
    let _open = while_none_is_started(|| File::options().append(true).open(path("in/open.csv"))).unwrap();
    for (file, decides, next) in [
        (
            "in/ready.csv",
            "nothing",
            "at once: compressed to /in/ready.csv.gz (9 B); the original is removed",
        ),
        (
            "in/sub/deep/file",
            "nothing",
            "at once: compressed to /in/sub/deep/file.gz (9 B)",
        ),
        (
            "in/taken.csv",
            "nothing",
            "at once: compressed to /in/taken.csv.~1~.gz (9 B)",
        ),
        (
            "in/open.csv",
            "WAIT writer somebody has it open",
            "when its writer closes it: looked at again",
        ),
        (
            "in/a.bad",
            "NO exclude the exclude pattern \"*.bad\" matches",
            "left alone",
        ),
        (
            "in/no/file",
            "NO folder exclude the exclude pattern \"no/\" matches",
            "left alone",
        ),
        (
            "in/empty",
            "NO size it is empty",
            "Looked at again when somebody has written to it",
        ),
        ("in/small", "NO size it is smaller than min-size", "left alone"),
        (
            "in/packed",
            "NO content compressed already, by its first bytes",
            "left alone",
        ),
        (
            "in/taken.csv.gz",
            "NO suffix compressed already, by its suffix",
            "left alone",
        ),
        ("in/linked", "NO hard links it has more than one name", "left alone"),
        ("in/symbolic", "NO kind symbolic links are never followed", "left alone"),
        (
            "in/x.log.1",
            "NO series it is the newest of its series",
            "Taken when enough newer ones have come",
        ),
        ("in/x.log.2", "nothing", "at once: compressed to"),
        ("in/sub", "nothing", "it is a folder that is watched"),
        ("in/no", "NO folder exclude", "nothing in this folder is looked at"),
        ("in", "nothing", "it is the watched folder"),
        (
            "log/app.log.1",
            "WAIT settle touched just now",
            "looked at again, unless it is touched before",
        ),
        (
            "log/app.log",
            "NO preset not a name that only a rotation makes",
            "left alone",
        ),
        ("log/alone-20261123", "WAIT settle", "looked at again"),
        (
            "log/sub/app.log.1",
            "NO recursive it lies in a subfolder",
            "a file that gets it is left alone",
        ),
        (
            "mark/a.csv",
            "NO marker its marker a.csv.done is not there",
            "Taken when that comes",
        ),
        ("mark/a.csv.done", "NO marker's name", "left alone"),
        (
            "in/coming.csv",
            "nothing",
            "nothing has this name now; a file that gets it is looked at as soon as",
        ),
    ] {
        let text = explained(&sandbox, file);
        let (found, found_next) = verdict(&text);
        assert!(found.starts_with(decides), "{file}: {decides:?} in\n{text}");
        assert!(found_next.contains(next), "{file}: {next:?} in\n{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{file}: wide:\n{text}"
        );
    }
    // The rules after the one that decides are asked all the same.
    let text = explained(&sandbox, "in/a.bad");
    for rule in ["include", "kind", "hard links", "size", "content", "series", "writer"] {
        assert!(
            text.lines().any(|line| line.starts_with(&format!("    yes   {rule}"))),
            "{rule} in\n{text}"
        );
    }
}

#[test]
fn where_an_original_goes_and_what_may_become_of_an_output_is_said() {
    let sandbox = Sandbox::new();
    configure(
        &sandbox,
        "[[watch]]\npath = \"ROOT/in\"\nsettle = \"0s\"\ndone-dir = \"done\"\nkeep-for = \"30d\"\n",
    );
    sandbox.file("in/ready.csv", "some text");
    sandbox.file("in/made.csv.gz", b"\x1f\x8b\x08\x00packed");
    let (_, next) = verdict(&explained(&sandbox, "in/ready.csv"));
    assert_eq!(
        next,
        "at once: compressed to /in/ready.csv.gz (9 B); the original is moved to /in/done"
    );
    let (_, next) = verdict(&explained(&sandbox, "in/made.csv.gz"));
    let expected = "left alone: compressed already, by its suffix (.gz). An output that is surplus is removed: dwindle run --dry-run says which are";
    assert_eq!(next, expected);
}

#[test]
fn a_dry_run_says_the_same() {
    let inbox = Inbox::new();
    let keys = "preset = \"static-assets\"\nsettle = \"0s\"";
    for name in ["new.js", "changed.js", "same.js", "gone.js", "taken.js", "emptied.js"] {
        inbox.sandbox.file(format!("inbox/{name}"), name);
    }
    inbox.sandbox.file("inbox/taken.js.gz", "somebody's");
    inbox.sandbox.file("inbox/photo.jpg", "x");
    fs::rename(inbox.path.join("new.js"), inbox.outside.join("new.js")).unwrap();
    inbox.dwindle(keys).args(["--once"]).finish().expect_compressed(4);
    fs::rename(inbox.outside.join("new.js"), inbox.path.join("new.js")).unwrap();
    inbox.sandbox.file("inbox/changed.js", "other content");
    inbox.sandbox.file("inbox/emptied.js", "");
    fs::remove_file(inbox.path.join("gone.js")).unwrap();
    let output = inbox.dwindle(keys).args(["--dry-run"]).finish().expect_code(0);
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    configure(&inbox.sandbox, &format!("[[watch]]\npath = \"ROOT/inbox\"\n{keys}\n"));
    for (name, dry, next) in [
        (
            "new.js",
            "compress",
            "at once: compressed to /inbox/new.js.gz (6 B); the original stays",
        ),
        ("changed.js", "compress", "in the place of the one that is there"),
        ("same.js", "skip", "its compressed file is there and up to date"),
        ("taken.js", "skip", "remove it, or set on-conflict"),
        ("emptied.js", "skip", "it is empty"),
        (
            "emptied.js.gz",
            "remove",
            "at once: removed, since it goes with its original",
        ),
        (
            "gone.js.gz",
            "remove",
            "at once: removed, since it goes with its original",
        ),
        ("same.js.gz", "skip", "compressed already"),
        ("photo.jpg", "skip", "compressed already"),
    ] {
        let path = format!("{}/{name}", inbox.path.display());
        let line = lines.lines().find(|line| {
            let mut words = line.split([' ', ':']).filter(|word| !word.is_empty());
            words.next().is_some() && words.next() == Some(&path)
        });
        assert!(
            line.is_some_and(|line| line.starts_with(dry)),
            "{name}: {dry} in\n{output}"
        );
        let text = explained(&inbox.sandbox, &format!("inbox/{name}"));
        assert!(verdict(&text).1.contains(next), "{name}: {next:?} in\n{text}");
    }
    assert!(
        lines.ends_with("0 failed; 2 to remove\n") && lines.contains("Would compress 2 files of "),
        "{output}"
    );
}

#[test]
fn a_path_in_no_watch_or_in_two_is_told_so() {
    let sandbox = Sandbox::new();
    configure(
        &sandbox,
        "[[watch]]\npath = \"ROOT/a\"\nexclude = [\"b/\"]\n[[watch]]\npath = \"ROOT/a/b\"\n[[watch]]\npath = \"ROOT/missing\"\n",
    );
    sandbox.file("a/b/file", "text");
    let outside = explained(&sandbox, "elsewhere/file");
    assert!(outside.contains("none: it lies in no watched folder"), "{outside}");
    assert!(outside.contains("/a is elsewhere (etc/dwindle.toml:2)"), "{outside}");
    assert!(explained(&sandbox, ".").contains("/a lies below it (etc/dwindle.toml:2)"));
    let nested = explained(&sandbox, "a/b/file");
    assert!(nested.contains("2 watches look into this folder"), "{nested}");
    assert!(
        nested.contains("> NO    folder exclude  the exclude pattern \"b/\" matches"),
        "{nested}"
    );
    assert!(
        nested.contains("watch   /a/b, preset inbox (etc/dwindle.toml:5)"),
        "{nested}"
    );
    let missing = explained(&sandbox, "missing/file");
    assert!(missing.contains("nothing has this name now"), "{missing}");
    // As symbolic links lead there.
    symlink("a", sandbox.path("link")).unwrap();
    assert!(explained(&sandbox, "link/b/file").contains("watch   /a/b, preset inbox"));
}

#[test]
fn names_are_escaped_and_several_paths_have_a_paragraph_each() {
    let sandbox = Sandbox::new();
    configure(&sandbox, "[[watch]]\npath = \"ROOT/a\"\n");
    sandbox.file("a/two\nlines\u{1b}[2J", "text");
    let output = explain(&sandbox, &["a/two\nlines\u{1b}[2J", "a/other"]).expect_code(0);
    let text = text(&sandbox, &output);
    assert!(text.contains("/a/two\\nlines\\u{1b}[2J\n"), "{text}");
    assert!(text.contains("\n\n/a/other\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn exit_codes_are_those_of_every_command() {
    let sandbox = Sandbox::new();
    Dwindle::new(&sandbox).args(["explain"]).finish().expect_code(2);
    sandbox.file("etc/dwindle.toml", "[[watch]]\npaht = \"a\"\n");
    let output = explain(&sandbox, &["a"]).expect_code(78);
    assert!(output.stderr.contains("did you mean `path`?"), "{output}");
    explain(&Sandbox::new(), &["a"]).expect_code(78);
}
