//! The options of `dwindle compress`, and the names it is given.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

use crate::support::gz::{read_with_flate2, read_with_gzip};
use crate::support::programs::while_none_is_started;
use crate::support::{Data, Dwindle, Original, Sandbox, assert_gz_of, names_below};

fn compress(sandbox: &Sandbox, line: &str) -> Dwindle {
    Dwindle::new(sandbox).args(["compress"]).args(line.split(' '))
}

fn names_in(sandbox: &Sandbox) -> Vec<String> {
    let mut names = names_below(sandbox.root());
    names.retain(|name| !name.starts_with(".runtime"));
    names
}

type Variables<'a> = &'a [(&'a str, &'a str)];

/// Compresses the same text, and returns the size of the `.gz`.
fn size_with(options: &str, variables: Variables<'_>) -> u64 {
    let sandbox = Sandbox::new();
    sandbox.file("f", Data::from_seed(20).log_text(200_000));
    let mut dwindle = Dwindle::new(&sandbox)
        .args(["compress", "f"])
        .args(options.split_whitespace());
    for (name, value) in variables {
        dwindle = dwindle.env(name, value);
    }
    let output = dwindle.finish().expect_code(0);
    assert_eq!(output.report().compressed, 1, "{output}");
    fs::metadata(sandbox.path("f.gz")).unwrap().len()
}

#[test]
fn higher_levels_make_smaller_files_and_each_way_to_say_one_means_the_same() {
    let [fast, default, best] = ["-1", "", "-9"].map(|option| size_with(option, &[]));
    assert!(fast > default && default > best, "{fast} {default} {best}");
    let table: [(&str, Variables<'_>, u64); 10] = [
        ("--fast", &[], fast),
        ("--level 1", &[], fast),
        ("", &[("DWINDLE_LEVEL", "1")], fast),
        ("--level 6", &[("DWINDLE_LEVEL", "1")], default),
        ("-9", &[("DWINDLE_LEVEL", "1")], best),
        ("-6", &[], default),
        ("", &[("DWINDLE_LEVEL", "")], default),
        ("--best", &[], best),
        ("-9 -j 1", &[], best),
        ("-9", &[("DWINDLE_WORKERS", "3")], best),
    ];
    for (options, variables, size) in table {
        assert_eq!(size_with(options, variables), size, "{options:?} {variables:?}");
    }
}

#[test]
fn keep_keeps_the_original_and_is_said_with_other_flags_together() {
    let sandbox = Sandbox::new();
    let original = Original::of(&sandbox.file("f", Data::from_seed(21).log_text(5000)));
    let output = compress(&sandbox, "-9k f").finish().expect_code(0);
    assert_eq!(output.report().compressed, 1, "{output}");
    assert_gz_of(&sandbox.path("f.gz"), &original);
    assert_eq!(fs::read(sandbox.path("f")).unwrap(), original.content);
    let output = compress(&sandbox, "-k f").finish().expect_code(0);
    assert_eq!(output.report().skipped, 1, "{output}");
    assert_eq!(
        output.stderr,
        "dwindle: f: skipped: its compressed file is there and up to date\n"
    );
    let gz = sandbox.file("f.gz", "something else");
    let time = sandbox.path("f").metadata().unwrap().modified().unwrap();
    while_none_is_started(|| fs::File::options().append(true).open(gz)?.set_modified(time)).unwrap();
    let output = compress(&sandbox, "-kf f").finish().expect_code(0);
    assert_eq!(output.report().compressed, 1, "{output}");
    assert_gz_of(&sandbox.path("f.gz"), &original);
}

#[test]
fn an_output_folder_is_made_and_gets_named_files_flat() {
    let sandbox = Sandbox::new();
    let original = Original::of(&sandbox.file("s/t/a", "text"));
    sandbox.file("b", "text");
    let output = compress(&sandbox, "-o out/deep s/t/a b").finish().expect_code(0);
    assert_eq!(output.report().compressed, 2, "{output}");
    assert_gz_of(&sandbox.path("out/deep/a.gz"), &original);
    assert_eq!(
        names_in(&sandbox),
        ["out/", "out/deep/", "out/deep/a.gz", "out/deep/b.gz", "s/", "s/t/"]
    );
}

#[test]
fn an_output_folder_gets_the_tree_of_a_walked_folder() {
    let sandbox = Sandbox::new();
    for name in ["d/a", "d/s/b", "d/s/t/c"] {
        sandbox.file(name, "text");
    }
    let output = compress(&sandbox, "-rk --output-dir out d").finish().expect_code(0);
    assert_eq!(output.report().compressed, 3, "{output}");
    assert_eq!(
        names_below(&sandbox.path("out")),
        ["a.gz", "s/", "s/b.gz", "s/t/", "s/t/c.gz"]
    );
    assert_eq!(names_below(&sandbox.path("d")), ["a", "s/", "s/b", "s/t/", "s/t/c"]);
}

#[test]
fn an_output_folder_that_cannot_be_is_one_sentence_and_nothing_is_done() {
    let sandbox = Sandbox::new();
    sandbox.file("f", "text");
    sandbox.file("out", "text");
    let output = compress(&sandbox, "-o out f").finish().expect_code(1);
    assert_eq!(output.stderr, "dwindle: cannot create out: File exists (os error 17)\n");
    assert_eq!(names_in(&sandbox), ["f", "out"]);
}

#[test]
fn json_is_one_object_with_the_documented_names() {
    let sandbox = Sandbox::new();
    sandbox.file("f", "text");
    sandbox.file("empty", "");
    let output = compress(&sandbox, "--json f empty missing").finish().expect_code(1);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let mut names: Vec<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "bytes_in",
            "bytes_out",
            "compressed",
            "failed",
            "left",
            "seconds",
            "skipped"
        ]
    );
    let bytes_out = fs::metadata(sandbox.path("f.gz")).unwrap().len();
    for (name, number) in [
        ("compressed", 1),
        ("bytes_in", 4),
        ("bytes_out", bytes_out),
        ("skipped", 1),
        ("failed", 1),
        ("left", 0),
    ] {
        assert_eq!(report[name], number, "{name}: {stdout}");
    }
    assert!(report["seconds"].is_number(), "{stdout}");
}

#[test]
fn quiet_says_less_and_verbose_more() {
    let table = [
        (
            "",
            "dwindle: cannot open missing: No such file or directory (os error 2)\ndwindle: empty: skipped: it is empty\n",
        ),
        (
            "-q",
            "dwindle: cannot open missing: No such file or directory (os error 2)\n",
        ),
        ("-qq", ""),
        ("-v", "dwindle: f: 4 -> 26 bytes, now f.gz\n"),
    ];
    for (option, expected) in table {
        let sandbox = Sandbox::new();
        sandbox.file("f", "text");
        sandbox.file("empty", "");
        let files = if option == "-v" {
            &["f"][..]
        } else {
            &["missing", "f", "empty"]
        };
        let output = Dwindle::new(&sandbox)
            .args(["compress", "-j1"])
            .args(files)
            .args(option.split_whitespace())
            .finish();
        let mut lines: Vec<_> = output.stderr.split_inclusive('\n').collect();
        lines.sort_unstable();
        assert_eq!(lines.concat(), expected, "{option}: {output}");
        assert_eq!(output.report().compressed, 1, "{output}");
    }
}

#[test]
fn odd_names_are_compressed_and_never_printed_raw() {
    let sandbox = Sandbox::new();
    let names = [
        &b"-9"[..],
        b"new\nline",
        b"\xff\xfe",
        b" ",
        b"a b",
        b"\x1b[31m",
        "été".as_bytes(),
        b"--keep",
        b"*",
    ];
    let names = names.map(|name| OsString::from_vec(name.to_vec()));
    for name in &names {
        let original = Original::of(&sandbox.file(name, "text"));
        let output = Dwindle::new(&sandbox)
            .args(["compress", "-v", "--"])
            .args([name])
            .finish()
            .expect_code(0);
        assert_eq!(output.report().compressed, 1, "{output}");
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        assert!(
            output.stderr.lines().all(|line| !line.contains(char::is_control)),
            "{output}"
        );
        assert_gz_of(&original.gz_in(sandbox.root()), &original);
    }
    assert_eq!(names_in(&sandbox).len(), names.len());
    let missing = OsString::from_vec(b"no\n\xfe\x1b".to_vec());
    let output = Dwindle::new(&sandbox)
        .args(["compress"])
        .args([missing])
        .finish()
        .expect_code(1);
    let sentence = "dwindle: cannot open no\\n\\xfe\\u{1b}: No such file or directory (os error 2)\n";
    assert_eq!(output.stderr, sentence);
}

#[test]
fn a_name_too_long_to_make_others_from_is_skipped_with_that_reason() {
    let sandbox = Sandbox::new();
    for length in [235, 236, 252, 255] {
        let name = "n".repeat(length);
        sandbox.file(&name, "text");
        let output = compress(&sandbox, &name).finish().expect_code(0);
        let report = output.report();
        if length == 235 {
            assert_eq!((report.compressed, report.skipped), (1, 0), "{output}");
            let member = read_with_flate2(&sandbox.path(format!("{name}.gz")));
            assert_eq!(member.name.as_deref(), Some(name.as_bytes()));
        } else {
            assert_eq!((report.compressed, report.skipped), (0, 1), "{output}");
            let reason = "its name is too long: more than 235 bytes, or than this file system has room for";
            let sentence = format!("dwindle: {name}: skipped: {reason}\n");
            assert_eq!(output.stderr, sentence);
            assert_eq!(fs::read(sandbox.path(&name)).unwrap(), b"text");
        }
    }
}

/// Whoever calls by a script may have closed what it does not read.
#[test]
fn a_closed_or_full_standard_output_loses_the_report_and_no_file() {
    let sandbox = Sandbox::new();
    let table = [
        (">&-", 0, ""),
        (
            ">/dev/full",
            1,
            "dwindle: cannot write the report: No space left on device (os error 28)\n",
        ),
    ];
    for (redirection, code, stderr) in table {
        sandbox.file("f", "text");
        let script = format!("\"$DWINDLE\" compress f {redirection}");
        let output = Dwindle::in_shell(&sandbox, &script).finish().expect_code(code);
        assert_eq!(output.stderr, stderr, "{redirection}");
        assert_eq!(read_with_gzip(&sandbox.path("f.gz")), b"text");
        assert_eq!(names_in(&sandbox), ["f.gz"]);
        fs::remove_file(sandbox.path("f.gz")).unwrap();
    }
    sandbox.file("f", "text");
    let script = "\"$DWINDLE\" compress f missing 2>&-";
    let output = Dwindle::in_shell(&sandbox, script).finish().expect_code(1);
    assert_eq!(output.report().compressed, 1, "{output}");
}
