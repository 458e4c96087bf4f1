//! The commands that print, and what every command has in common: help, wrong usage, the log.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::run::Output;
use crate::support::skip::present;
use crate::support::{Dwindle, Sandbox, names_below, needs};

const COMMANDS: [&str; 6] = ["run", "compress", "check", "explain", "completions", "man"];

fn dwindle(sandbox: &Sandbox, line: &str) -> Dwindle {
    Dwindle::new(sandbox).args(line.split_whitespace())
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// A configuration that watches `inbox` and waits for nothing.
fn configure(sandbox: &Sandbox) {
    let inbox = sandbox.folder("inbox");
    let inbox = inbox.display();
    let text = format!("[[watch]]\npath = \"{inbox}\"\nsettle = \"1ms\"\n");
    sandbox.file("config.toml", text);
}

#[test]
fn check_says_that_a_configuration_is_valid_and_how_much_it_watches() {
    let sandbox = Sandbox::new();
    configure(&sandbox);
    let output = dwindle(&sandbox, "check -c config.toml").finish().expect_code(0);
    assert_eq!(
        (&*stdout(&output), &*output.stderr),
        ("config.toml: valid, 1 folder to watch\n", "")
    );
    sandbox.file(
        "more.toml",
        format!("[[watch]]\npath = {:?}\n", sandbox.folder("other")),
    );
    let output = dwindle(&sandbox, "check --config config.toml --config more.toml")
        .finish()
        .expect_code(0);
    assert_eq!(stdout(&output), "config.toml, more.toml: valid, 2 folders to watch\n");
    let output = dwindle(&sandbox, "check")
        .env("DWINDLE_CONFIG", "config.toml:more.toml")
        .finish()
        .expect_code(0);
    assert_eq!(stdout(&output), "config.toml, more.toml: valid, 2 folders to watch\n");
}

#[test]
fn check_shows_every_problem_at_its_place_in_every_file() {
    let sandbox = Sandbox::new();
    let inbox = sandbox.folder("inbox");
    sandbox.file(
        "a.toml",
        format!("levle = 6\n[[watch]]\npath = {inbox:?}\nsettle = 2\n"),
    );
    sandbox.file("b.toml", "[[watch]]\npreset = \"inbx\"\n");
    let output = dwindle(&sandbox, "check -c a.toml -c b.toml").finish().expect_code(78);
    assert_eq!(stdout(&output), "");
    let expected = "\
error: unknown key `levle` at the top level
  --> a.toml:1:1
   |
 1 | levle = 6
   | ^^^^^ did you mean `level`?

error: wrong value for `settle`
  --> a.toml:4:10
   |
 4 | settle = 2
   |          ^ a duration needs a unit: \"2s\"
";
    assert!(output.stderr.starts_with(expected), "{output}");
    assert!(output.stderr.contains("--> b.toml:2:10\n"), "{output}");
    let run = dwindle(&sandbox, "run -c a.toml -c b.toml").finish().expect_code(78);
    assert_eq!(run.stderr, output.stderr, "run tells the same");
}

#[test]
fn check_warns_of_what_is_legal_and_hardly_meant() {
    let sandbox = Sandbox::new();
    let inbox = sandbox.folder("inbox");
    let gone = sandbox.path("gone");
    let text = format!("[[watch]]\npath = {gone:?}\n[[watch]]\npath = {inbox:?}\n[[watch]]\npath = {inbox:?}\n");
    sandbox.file("config.toml", text);
    let output = dwindle(&sandbox, "check -c config.toml").finish().expect_code(0);
    assert_eq!(stdout(&output), "config.toml: valid, 3 folders to watch, 2 warnings\n");
    for part in ["cannot watch", "config.toml:2:8", "is watched twice", "config.toml:6:8"] {
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
}

#[test]
fn check_warns_of_logrotate_entries_that_do_not_go_with_a_watch() {
    let sandbox = Sandbox::new();
    sandbox.folder("log");
    let root = sandbox.root().display();
    sandbox.file("dwindle.toml", "[[watch]]\npath = \"log\"\npreset = \"rotated-logs\"\n");
    sandbox.file("logrotate.conf", format!("weekly\ninclude {root}/logrotate.d\n"));
    sandbox.file(
        "logrotate.d/app",
        format!("{root}/log/app.log {{\n    nocompress\n}}\n"),
    );
    sandbox.file(
        "logrotate.d/fine",
        format!("{root}/log/fine.log {{\n    compress\n    delaycompress\n}}\n"),
    );
    let output = dwindle(&sandbox, "check -c dwindle.toml --logrotate logrotate.conf")
        .finish()
        .expect_code(0);
    assert!(
        output
            .stderr
            .starts_with("warning: logrotate would lose sight of what is compressed in "),
        "{output}"
    );
    assert!(
        output.stderr.contains(&format!("--> {root}/logrotate.d/app:2:5\n")),
        "{output}"
    );
    assert!(
        stdout(&output).contains("valid, 1 folder to watch, 1 warning"),
        "{output}"
    );
    let quiet = dwindle(&sandbox, "check -c dwindle.toml --logrotate nowhere")
        .finish()
        .expect_code(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn check_warns_where_no_lease_can_be_had() {
    needs!(root);
    needs!(tool "setpriv");
    let sandbox = Sandbox::new();
    let (with_file, without) = (sandbox.folder("a"), sandbox.folder("b"));
    let file = sandbox.file("a/orders.csv", "text");
    for path in [&file, &without] {
        std::os::unix::fs::chown(path, Some(4242), None).unwrap();
    }
    assert!(with_file.is_dir());
    sandbox.file("dwindle.toml", "[[watch]]\npath = \"a\"\n[[watch]]\npath = \"b\"\n");
    let check = || dwindle(&sandbox, "check -c dwindle.toml --logrotate nowhere");
    assert_eq!(check().finish().expect_code(0).stderr, "");
    let output = check()
        .started_by(["setpriv", "--bounding-set", "-lease", "--"])
        .finish()
        .expect_code(0);
    for part in [
        "no lease can be had: Permission denied (os error 13) on orders.csv",
        "its owner is user 4242",
    ] {
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let sandbox = Sandbox::new();
    for (command, code) in [("check", 78), ("run", 78), ("run --once", 78), ("run --dry-run", 78)] {
        let output = dwindle(&sandbox, &format!("{command} -c nowhere.toml"))
            .finish()
            .expect_code(code);
        let sentence = "error: cannot read the configuration nowhere.toml: No such file or directory (os error 2)";
        assert_eq!(output.stderr.trim_end(), sentence);
    }
}

#[test]
fn without_any_configuration_the_sentence_says_where_it_is_looked_for() {
    if !present("no /etc/dwindle", !Path::new("/etc/dwindle").exists()) {
        return;
    }
    let sandbox = Sandbox::new();
    for command in ["check", "run"] {
        let output = dwindle(&sandbox, command).finish().expect_code(78);
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        assert!(output.stderr.contains("/etc/dwindle/config.toml"), "{output}");
    }
}

#[test]
fn a_folder_to_watch_that_is_missing_may_come_later() {
    let sandbox = Sandbox::new();
    sandbox.file("file", "text");
    for (line, path) in [
        ("run nowhere", "nowhere"),
        ("run --once file", "file"),
        ("run --dry-run nowhere", "nowhere"),
    ] {
        let output = dwindle(&sandbox, line).finish().expect_code(75);
        let path = sandbox.path(path);
        assert!(
            output
                .stderr
                .contains(&format!("{} is not there, or is no folder", path.display())),
            "{output}"
        );
    }
}

#[test]
fn completions_load_in_their_shells() {
    let sandbox = Sandbox::new();
    let script = |shell: &str| {
        let output = dwindle(&sandbox, &format!("completions {shell}"))
            .finish()
            .expect_code(0);
        assert_eq!(output.stderr, "", "{shell}");
        let text = stdout(&output);
        for command in COMMANDS {
            assert!(text.contains(command), "{shell}: {command}");
        }
        sandbox.file(format!("script.{shell}"), text);
    };
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        script(shell);
    }
    let loads = |line: &str| Dwindle::in_shell(&sandbox, line).finish().expect_code(0);
    if present("bash", Path::new("/bin/bash").exists()) {
        // What a person gets who types `dwindle co` and the tabulator.
        let complete = "source script.bash; COMP_WORDS=(dwindle co) COMP_CWORD=1; _dwindle dwindle co dwindle; echo ${COMPREPLY[*]}";
        let output = loads(&format!("bash -euc '{complete}'"));
        assert_eq!((&*stdout(&output), &*output.stderr), ("compress completions\n", ""));
    }
    let installed = |shell: &str| {
        ["/bin", "/usr/bin"]
            .iter()
            .any(|folder| Path::new(folder).join(shell).exists())
    };
    for shell in ["zsh", "fish"] {
        if installed(shell) {
            assert_eq!(loads(&format!("{shell} -n script.{shell}")).stderr, "", "{shell}");
        }
    }
}

#[test]
fn the_manual_page_renders_without_a_warning_and_has_every_command() {
    needs!(tool "groff");
    let sandbox = Sandbox::new();
    let script = "\"$DWINDLE\" man | LC_ALL=C.UTF-8 groff -man -Tutf8 -P-c -P-b -P-u -ww";
    let output = Dwindle::in_shell(&sandbox, script).finish().expect_code(0);
    assert_eq!(output.stderr, "");
    let page = stdout(&output);
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "COMMANDS",
        "EXIT STATUS",
        "FILES",
        "EXAMPLES",
    ] {
        assert!(page.lines().any(|line| line == section), "{section}: {page}");
    }
    for command in COMMANDS {
        assert!(page.contains(&format!("dwindle {command}")), "{command}: {page}");
    }
}

#[test]
fn version_names_commit_and_features() {
    let sandbox = Sandbox::new();
    let output = dwindle(&sandbox, "--version").finish().expect_code(0);
    let expected = format!("dwindle {} (commit ", env!("CARGO_PKG_VERSION"));
    let text = stdout(&output);
    assert!(text.starts_with(&expected), "{text}");
    assert!(
        text.ends_with(", features: cli libdeflate smol watch config zstd)\n"),
        "{text}"
    );
    assert_eq!(stdout(&dwindle(&sandbox, "-V").finish().expect_code(0)), text);
}

#[test]
fn help_is_on_standard_output_and_wrong_usage_on_standard_error() {
    let sandbox = Sandbox::new();
    let help = dwindle(&sandbox, "--help").finish().expect_code(0);
    assert_eq!(help.stderr, "");
    for command in COMMANDS {
        assert!(stdout(&help).contains(&format!("\n  {command} ")), "{command}: {help}");
        let output = dwindle(&sandbox, &format!("{command} --help")).finish().expect_code(0);
        assert!(
            stdout(&output).contains(&format!("Usage: dwindle {command}")),
            "{output}"
        );
    }
    let table = [
        ("", "Usage: dwindle"),
        ("nonsense", "unrecognized subcommand 'nonsense'"),
        ("compress", "<PATH>..."),
        ("compress --nonsense f", "unexpected argument '--nonsense'"),
        ("compress -o", "a value is required"),
        (
            "compress --level 10 f",
            "a level is a number from 1 (fastest) to 9 (smallest)",
        ),
        (
            "compress -j 0 f",
            "the number of workers is a whole number from 1 to 1024",
        ),
        (
            "compress -j x f",
            "the number of workers is a whole number from 1 to 1024",
        ),
        ("completions", "<SHELL>"),
        ("completions sh", "bash, elvish, fish, powershell, zsh"),
        ("run -c f d", "DIR and --config exclude each other"),
        ("run --log-format xml d", "auto, text, json"),
        ("check d", "unexpected argument 'd'"),
    ];
    for (line, part) in table {
        let output = dwindle(&sandbox, line).finish().expect_code(2);
        assert!(
            output.stderr.contains(part) && output.stdout.is_empty(),
            "{line}: {output}"
        );
    }
}

#[test]
fn a_wrong_value_in_a_variable_is_told_with_the_variable() {
    let sandbox = Sandbox::new();
    let table = [
        (
            "DWINDLE_LEVEL",
            "11",
            "DWINDLE_LEVEL is \"11\": a level is a number from 1 (fastest) to 9 (smallest)",
        ),
        ("DWINDLE_WORKERS", "none", "the variable DWINDLE_WORKERS says so"),
        ("DWINDLE_LOG_FORMAT", "xml", "the variable DWINDLE_LOG_FORMAT says so"),
    ];
    for (variable, value, part) in table {
        let output = dwindle(&sandbox, "check").env(variable, value).finish().expect_code(2);
        assert!(output.stderr.contains(part), "{output}");
    }
    let output = dwindle(&sandbox, "check -j x")
        .env("DWINDLE_WORKERS", "3")
        .finish()
        .expect_code(2);
    assert!(!output.stderr.contains("DWINDLE_WORKERS"), "{output}");
}

#[test]
fn the_log_is_on_standard_error_and_only_the_report_on_standard_output() {
    let sandbox = Sandbox::new();
    configure(&sandbox);
    sandbox.file("inbox/f", "text");
    let output = dwindle(&sandbox, "run --once -c config.toml").finish().expect_code(0);
    assert_eq!(stdout(&output).lines().count(), 1, "{output}");
    assert_eq!(output.report().compressed, 1);
    assert!(output.stderr.contains("compressed f -> f.gz"), "{output}");
    assert!(!output.stderr.contains('\x1b'), "{output}");
    sandbox.file("inbox/g", "text");
    let output = dwindle(&sandbox, "run --once --json -qqq -c config.toml")
        .finish()
        .expect_code(0);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!((report["compressed"].as_u64(), &*output.stderr), (Some(1), ""));
}

#[test]
fn colours_are_used_when_asked_for_and_on_a_terminal_without_no_color() {
    needs!(tool "script");
    let sandbox = Sandbox::new();
    configure(&sandbox);
    let coloured = |options: &str, variables: &[(&str, &str)], on_terminal: bool| {
        let line = format!("\"$DWINDLE\" run --once -c config.toml {options} 2>&1");
        let script = if on_terminal {
            format!("script -qec '{line}' /dev/null </dev/null")
        } else {
            line
        };
        let mut shell = Dwindle::in_shell(&sandbox, &script).env("TERM", "xterm");
        for (name, value) in variables {
            shell = shell.env(name, value);
        }
        stdout(&shell.finish().expect_code(0)).contains('\x1b')
    };
    assert!(coloured("", &[], true));
    assert!(!coloured("", &[("NO_COLOR", "1")], true));
    assert!(
        coloured("", &[("NO_COLOR", "")], true),
        "empty is as if not set (no-color.org)"
    );
    assert!(coloured("--color always", &[("NO_COLOR", "1")], true));
    assert!(!coloured("--color never", &[], true));
    assert!(!coloured("", &[], false));
    assert!(coloured("--color always", &[], false));
}

/// The log's lines as JSON.
fn events(output: &Output) -> Vec<serde_json::Value> {
    let lines = output.stderr.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}: {output}")))
        .collect()
}

#[test]
fn json_lines_have_the_documented_fields_and_names_are_escaped() {
    let sandbox = Sandbox::new();
    configure(&sandbox);
    sandbox.file("inbox/a\nb\x1b[31m", "text");
    for options in ["--log-format json", ""] {
        sandbox.file("inbox/a\nb\x1b[31m", "text");
        let output = dwindle(&sandbox, &format!("run --once -c config.toml {options}"))
            .finish()
            .expect_code(0);
        assert!(!output.stderr.contains('\x1b'), "{output}");
        if options.is_empty() {
            assert!(
                output.stderr.lines().all(|line| line.starts_with("20")),
                "one line an event: {output}"
            );
            continue;
        }
        let events = events(&output);
        let event = events
            .iter()
            .find(|event| event["source"].is_string())
            .expect("an event of the file");
        let inbox = sandbox.path("inbox").display().to_string();
        assert_eq!(event["source"], format!("{inbox}/a\\nb\\u{{1b}}[31m"));
        assert_eq!(event["output"], format!("{inbox}/a\\nb\\u{{1b}}[31m.gz"));
        assert_eq!(event["watch"], inbox);
        assert_eq!(event["bytes_in"], 4);
        assert!(event["bytes_out"].is_u64() && event["ms"].is_u64(), "{event}");
        let report = events.last().expect("the report");
        for name in ["compressed", "bytes_in", "bytes_out", "skipped", "failed", "left"] {
            assert!(report[name].is_u64(), "{name}: {report}");
        }
        assert!(report["seconds"].is_f64(), "{report}");
        assert_eq!(names_below(&sandbox.path("inbox")), ["a\nb\x1b[31m.gz"]);
    }
}

#[test]
fn a_failed_file_is_an_event_with_step_errno_and_class() {
    needs!(tool "setpriv");
    let sandbox = Sandbox::new();
    configure(&sandbox);
    let secret = sandbox.file("inbox/secret", "text");
    sandbox.file("inbox/open", "text");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let line = "run --once --log-format json -c config.toml";
    let output = dwindle(&sandbox, line).bound_by_modes().finish().expect_code(1);
    let report = output.report();
    assert_eq!((report.compressed, report.failed), (1, 1), "{output}");
    let events = events(&output);
    let failures: Vec<_> = events.iter().filter(|event| event["errno"].is_number()).collect();
    let [event] = failures[..] else { panic!("{output}") };
    assert_eq!(event["source"], secret.display().to_string());
    assert_eq!(
        (&event["step"], &event["errno"], &event["class"]),
        (&"open".into(), &13.into(), &"permanent".into())
    );
    assert_eq!(
        (&event["level"], &event["watch"]),
        (&"ERROR".into(), &sandbox.path("inbox").display().to_string().into())
    );
}

#[test]
fn a_pipe_that_nobody_writes_to_is_no_configuration_and_a_configuration_that_watches_nothing_is_refused() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
    let check = |config: &str| {
        Dwindle::new(&sandbox)
            .args(["check", "-c", config])
            .finish()
            .expect_code(78)
    };
    let output = check("fifo");
    assert!(output.stderr.contains("nothing came from it within 5 s"), "{output}");
    sandbox.file("empty.toml", "level = 9\n");
    let output = check("empty.toml");
    assert!(output.stderr.starts_with("error: nothing is watched"), "{output}");
    assert_eq!(output.stdout, b"", "{output}");
}
