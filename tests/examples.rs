//! The examples do what they say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::wait::{DEADLINE, poll};
use crate::support::{Data, Sandbox, names_below, programs};

#[test]
fn each_that_embeds_an_agent_compresses_until_its_input_ends() {
    for name in ["embed_smol", "embed_threads", "embed_tokio", "own_runtime"] {
        let sandbox = Sandbox::new();
        let folder = sandbox.folder("inbox");
        sandbox.file("inbox/before", Data::from_seed(950).log_text(10_000));
        let mut command = Command::new(example(name));
        command.arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = programs::start(&mut command).unwrap();
        let has_only = |wanted: &[&str]| poll(DEADLINE, || (names_below(&folder) == wanted).then_some(()));
        let found_before = has_only(&["before.gz"]);
        sandbox.file("inbox/later", "text");
        let found_later = has_only(&["before.gz", "later.gz"]);
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            found_before.and(found_later).is_some(),
            "{name}: {:?}",
            names_below(&folder)
        );
        assert!(said.starts_with("Compressed 2 files: "), "{name}: {said}");
        assert!(output.status.success(), "{name}: {}", output.status);
    }
}

#[test]
fn files_named_are_compressed_and_counted() {
    let sandbox = Sandbox::new();
    let files: Vec<PathBuf> = (0..20).map(|number| sandbox.file(number.to_string(), "text")).collect();
    let run = |files: &[PathBuf]| programs::output(Command::new(example("compress_files")).args(files)).unwrap();
    let output = run(&files);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Compressed 20 files\n");
    assert!(output.status.success());
    assert!(files.iter().all(|file| !file.exists()));
    let output = run(&files[..1]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("No such file or directory"));
}

#[test]
fn the_guide_shows_the_adapter_that_is_run() {
    let text = |path| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let example = text("examples/embed_tokio.rs");
    let begin = example.find("impl Runtime for Tokio {").expect("an adapter");
    let adapter = &example[begin..][..example[begin..].find("\n}\n").expect("its end")];
    assert!(text("docs/embedding.md").contains(adapter), "{adapter}");
}

#[test]
fn a_whole_adapter_has_less_than_60_lines() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/own_runtime.rs");
    let lines = fs::read_to_string(source).unwrap().lines().count();
    assert!(lines < 60, "{lines}");
}

/// `cargo test` builds the examples beside the program.
fn example(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_dwindle"));
    program.parent().unwrap().join("examples").join(name)
}
