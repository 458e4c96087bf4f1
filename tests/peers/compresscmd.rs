//! `dwindle compress -` as logrotate's `compresscmd`: the log on standard input, the `.gz` on standard output, and whatever is said on
//! standard error is an error to logrotate, as is every code but 0 (logrotate(8); `compressLogFile` in its logrotate.c).

use std::fs;
use std::process::Command;

use super::logrotate::logrotate_words;
use super::{assert_contents, configure};
use crate::support::gz::read_with_gzip;
use crate::support::{Data, Sandbox, names_below, needs, programs};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dwindle");

/// What logrotate says, and whether it calls it a success.
fn rotate(sandbox: &Sandbox, compressor: &str) -> (bool, String) {
    let template = include_str!("logrotate/compresscmd.conf")
        .replace("compresscmd @DWINDLE@\ncompressoptions @OPTIONS@\n", compressor);
    let config = configure(sandbox, "logrotate.conf", &template);
    let words = logrotate_words(sandbox, &config);
    let output = programs::output(Command::new(&words[0]).args(&words[1..])).expect("logrotate starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn with_options(options: &str) -> String {
    format!("compresscmd {PROGRAM}\ncompressoptions {options}\n")
}

#[test]
fn logrotate_gets_a_gz_and_silence_whatever_the_options() {
    needs!(tool "logrotate");
    let content = Data::from_seed(400).log_text(300_000);
    let mut sizes = Vec::new();
    for options in [
        "compress -1 -",
        "compress -q -6 -",
        "compress - -9",
        "--level 9 compress -",
    ] {
        let sandbox = Sandbox::new();
        let logs = sandbox.folder("logs");
        sandbox.file("logs/app.log", &content);
        let (success, said) = rotate(&sandbox, &with_options(options));
        assert!(success && said.is_empty(), "{options}: {said}");
        assert_contents(&logs, &[("app.log", b""), ("app.log.1.gz", &content)]);
        assert!(read_with_gzip(&logs.join("app.log.1.gz")) == content, "{options}");
        sizes.push(fs::metadata(logs.join("app.log.1.gz")).unwrap().len());
    }
    assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[0] > sizes[2], "{sizes:?}");
    assert_eq!(sizes[2], sizes[3]);
}

/// The next rotation would put a new log in the place of one that has no `.gz`: so it is worth a look whether the options are right.
#[test]
fn when_it_fails_logrotate_says_why_and_the_log_is_left() {
    needs!(tool "logrotate");
    let table = [
        // Without a line of options there are none at all.
        (format!("compresscmd {PROGRAM}\n"), "Usage: dwindle"),
        (with_options("compress -6 - --json"), "no --json report"),
        (with_options("compress --frobnicate -"), "--frobnicate"),
    ];
    for (compressor, sentence) in table {
        let sandbox = Sandbox::new();
        let logs = sandbox.folder("logs");
        sandbox.file("logs/app.log", "line\n");
        let (success, said) = rotate(&sandbox, &compressor);
        assert!(
            !success && said.contains("app.log.1") && said.contains(sentence),
            "{compressor}: {said}"
        );
        assert_contents(&logs, &[("app.log", b""), ("app.log.1", b"line\n")]);
        sandbox.file("logs/app.log", "next\n");
        assert!(!rotate(&sandbox, &compressor).0);
        assert_eq!(
            names_below(&logs),
            ["app.log", "app.log.1"],
            "logrotate has replaced the older one"
        );
    }
}
