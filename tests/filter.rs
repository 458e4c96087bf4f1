//! `dwindle compress -`: standard input to standard output, as a shell's pipe and logrotate's `compresscmd` call it.

use std::fs;

use crate::support::gz::{read_with_flate2, read_with_gzip, read_with_python};
use crate::support::{Data, Dwindle, Sandbox, needs};

fn filter(sandbox: &Sandbox, input: Vec<u8>, options: &[&str]) -> Vec<u8> {
    let output = Dwindle::new(sandbox)
        .args(["compress", "-"])
        .args(options)
        .input(input)
        .finish()
        .expect_code(0);
    assert_eq!(output.stderr, "", "{}", output.status);
    output.stdout
}

#[test]
fn every_reader_gets_back_exactly_what_went_in() {
    needs!(tool "python3");
    let sandbox = Sandbox::new();
    let mut data = Data::from_seed(30);
    let inputs = [
        data.log_text(100_000),
        data.random_bytes(70_000),
        b"x".to_vec(),
        Vec::new(),
    ];
    for input in inputs {
        let gz = sandbox.file("out.gz", filter(&sandbox, input.clone(), &[]));
        let member = read_with_flate2(&gz);
        assert!(member.content == input, "{} bytes", input.len());
        // Nothing is known of the input but its bytes.
        assert_eq!((member.name, member.modified), (None, 0));
        assert!(read_with_gzip(&gz) == input, "{} bytes", input.len());
        assert!(read_with_python(&gz) == input, "{} bytes", input.len());
    }
}

#[test]
fn twenty_megabytes_go_through() {
    let sandbox = Sandbox::new();
    let mut data = Data::from_seed(31);
    let input = [data.log_text(1 << 20), vec![0; 18 << 20], data.random_bytes(1 << 20)].concat();
    let gz = sandbox.file("out.gz", filter(&sandbox, input.clone(), &["-1"]));
    assert!(read_with_gzip(&gz) == input);
}

#[test]
fn levels_count_here_too() {
    let sandbox = Sandbox::new();
    let input = Data::from_seed(32).log_text(200_000);
    let sizes = ["-1", "-6", "-9"].map(|level| filter(&sandbox, input.clone(), &[level]).len());
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
}

/// logrotate(8), `compresscmd`: the rotated file is its standard input, the `.gz` its standard output, and the code counts.
#[test]
fn it_stands_in_for_gzip_where_logrotate_calls_one() {
    let sandbox = Sandbox::new();
    let input = Data::from_seed(33).log_text(50_000);
    sandbox.file("app.log.1", &input);
    let script = "\"$DWINDLE\" compress -9 - <app.log.1 >app.log.1.gz";
    let output = Dwindle::in_shell(&sandbox, script).finish().expect_code(0);
    assert_eq!((&*output.stdout, &*output.stderr), (&b""[..], ""));
    assert_eq!(read_with_gzip(&sandbox.path("app.log.1.gz")), input);
    assert_eq!(
        fs::read(sandbox.path("app.log.1")).unwrap(),
        input,
        "removing it is logrotate's part"
    );
}

#[test]
fn what_cannot_be_read_or_written_is_a_sentence_and_code_1() {
    let table = [
        (
            "\"$DWINDLE\" compress - </",
            "cannot read standard input: Is a directory (os error 21)",
        ),
        (
            "\"$DWINDLE\" compress - <f >/dev/full",
            "cannot write standard output: No space left on device (os error 28)",
        ),
        // The reader is gone before the writer begins.
        (
            "{ read go; \"$DWINDLE\" compress - <f; echo $? >code; } <pipe | { exec <&-; echo >pipe; }; exit $(cat code)",
            "cannot write standard output: Broken pipe (os error 32)",
        ),
    ];
    for (script, sentence) in table {
        let sandbox = Sandbox::new();
        sandbox.file("f", Data::from_seed(34).random_bytes(300_000));
        let pipe = sandbox.path("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let output = Dwindle::in_shell(&sandbox, script).finish().expect_code(1);
        assert_eq!(output.stderr, format!("dwindle: {sentence}\n"), "{script}");
    }
}

#[test]
fn it_stands_alone_and_a_file_of_that_name_has_another_path() {
    let sandbox = Sandbox::new();
    sandbox.file("f", "text");
    sandbox.file("-", "text");
    for line in ["- f", "f -", "- -o out", "- --json"] {
        let output = Dwindle::new(&sandbox)
            .args(["compress"])
            .args(line.split(' '))
            .finish()
            .expect_code(2);
        assert_eq!(output.stdout, b"", "{line}");
        assert!(output.stderr.starts_with("error: - "), "{output}");
    }
    let output = Dwindle::new(&sandbox).args(["compress", "./-"]).finish().expect_code(0);
    assert_eq!(output.report().compressed, 1, "{output}");
    assert!(sandbox.path("-.gz").exists());
}

#[test]
fn compressed_bytes_are_not_written_to_a_terminal() {
    needs!(tool "script");
    let sandbox = Sandbox::new();
    let script = "script -qec '\"$DWINDLE\" compress -' /dev/null </dev/null";
    let output = Dwindle::in_shell(&sandbox, script).finish().expect_code(2);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("name a file: dwindle compress - > FILE.gz"), "{output}");
}
