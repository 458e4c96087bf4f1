//! Files that are generated and committed: the manual pages and the completions, as packages install them.

use std::fs;
use std::path::Path;

use crate::support::{Dwindle, Sandbox, needs};

/// What is printed, and where it is committed.
const GENERATED: [(&[&str], &str); 5] = [
    (&["man", "dwindle"], "man/dwindle.1"),
    (&["man", "dwindle.toml"], "man/dwindle.toml.5"),
    (&["completions", "bash"], "completions/dwindle.bash"),
    (&["completions", "zsh"], "completions/_dwindle"),
    (&["completions", "fish"], "completions/dwindle.fish"),
];

#[test]
fn committed_files_are_what_the_program_prints() {
    let sandbox = Sandbox::new();
    for (command, path) in GENERATED {
        let printed = Dwindle::new(&sandbox).args(command).finish().expect_code(0).stdout;
        let committed =
            fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path)).unwrap_or_default();
        assert!(
            printed == committed,
            "packaging/{path} is not what `dwindle {}` prints: run packaging/generate and commit what it changes",
            command.join(" ")
        );
    }
}

#[test]
fn every_committed_file_is_generated() {
    for folder in ["man", "completions"] {
        let folder_path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(folder);
        for entry in fs::read_dir(folder_path).expect("the folder") {
            let name = entry.expect("an entry").file_name();
            let path = format!("{folder}/{}", name.to_string_lossy());
            assert!(GENERATED.iter().any(|(_, known)| *known == path), "{path}");
        }
    }
}

#[test]
fn the_page_of_the_configuration_renders_without_a_warning() {
    needs!(tool "groff");
    let sandbox = Sandbox::new();
    let script = "\"$DWINDLE\" man dwindle.toml | LC_ALL=C.UTF-8 groff -man -Tutf8 -P-c -P-b -P-u -ww";
    let output = Dwindle::in_shell(&sandbox, script).finish().expect_code(0);
    assert_eq!(output.stderr, "");
    let page = String::from_utf8(output.stdout).expect("text");
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "[[watch]]",
        "PRESETS",
        "FILES",
        "SEE ALSO",
    ] {
        assert!(page.lines().any(|line| line == section), "{section}: {page}");
    }
    assert!(page.contains("settle = duration"), "{page}");
}
