use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::parse_from(line.split(' ').map(OsString::from))
}

#[allow(clippy::unnecessary_wraps)] // as the field has it
fn level(number: u8) -> Option<u8> {
    Some(number)
}

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

fn compress(names: &[&str]) -> Compress {
    Compress {
        paths: paths(names),
        ..Compress::default()
    }
}

#[test]
fn description_is_sound() {
    command().debug_assert();
}

#[test]
fn commands_say_what_they_say() {
    let table = [
        ("dwindle run", Action::Run(Run::default())),
        (
            "dwindle run a b --once --json",
            Action::Run(Run {
                dirs: paths(&["a", "b"]),
                once: true,
                json: true,
                ..Run::default()
            }),
        ),
        (
            "dwindle run --dry-run -c f",
            Action::Run(Run {
                dry_run: true,
                ..Run::default()
            }),
        ),
        (
            "dwindle status --json -w --socket s",
            Action::Status(Status {
                json: true,
                watch: true,
                socket: Some("s".into()),
            }),
        ),
        ("dwindle compress -", Action::Compress(compress(&["-"]))),
        ("dwindle compress -9 -", Action::Compress(compress(&["-"]))),
        ("dwindle compress a -- -b", Action::Compress(compress(&["a", "-b"]))),
        (
            "dwindle compress -rk9 a",
            Action::Compress(Compress {
                recursive: true,
                keep: true,
                ..compress(&["a"])
            }),
        ),
        (
            "dwindle compress a -f -o out --json b",
            Action::Compress(Compress {
                force: true,
                output_dir: Some(PathBuf::from("out")),
                json: true,
                ..compress(&["a", "b"])
            }),
        ),
        (
            "dwindle check",
            Action::Check(Check {
                logrotate: PathBuf::from("/etc/logrotate.conf"),
            }),
        ),
        (
            "dwindle check --logrotate x",
            Action::Check(Check {
                logrotate: PathBuf::from("x"),
            }),
        ),
        (
            "dwindle explain a b",
            Action::Explain(Explain {
                paths: paths(&["a", "b"]),
                ..Explain::default()
            }),
        ),
        (
            "dwindle run --shard 2/4",
            Action::Run(Run {
                shard: Shard::new(2, 4),
                ..Run::default()
            }),
        ),
        (
            "dwindle compress -r --shard=4/4 a",
            Action::Compress(Compress {
                recursive: true,
                shard: Shard::new(4, 4),
                ..compress(&["a"])
            }),
        ),
        ("dwindle completions zsh", Action::Completions { shell: Shell::Zsh }),
        ("dwindle man", Action::Man { page: Page::Program }),
        (
            "dwindle man dwindle.toml",
            Action::Man {
                page: Page::Configuration,
            },
        ),
    ];
    for (line, action) in table {
        assert_eq!(parse(line).unwrap().command, action, "{line}");
    }
}

#[test]
fn last_level_counts_however_it_is_given() {
    let table = [
        ("dwindle compress a", None),
        ("dwindle compress -1 a", level(1)),
        ("dwindle compress --fast a", level(1)),
        ("dwindle compress --best a", level(9)),
        ("dwindle compress -9k a", level(9)),
        ("dwindle compress -k9 a", level(9)),
        ("dwindle compress -rk9 a", level(9)),
        ("dwindle compress -93 a", level(3)),
        ("dwindle compress -9 -9 a", level(9)),
        ("dwindle compress -9 --level 3 a", level(3)),
        ("dwindle compress --level 3 -9 a", level(9)),
        ("dwindle compress --level 3 -9 --level 4 -5 a", level(5)),
        ("dwindle --level 3 compress -9 a", level(9)),
        ("dwindle --level 3 compress -9 --level 4 a", level(4)),
        ("dwindle --level 3 compress a", level(3)),
        ("dwindle run --level 7", level(7)),
        ("dwindle compress --format zstd --level 19 a", level(19)),
        ("dwindle --level 19 compress --format zstd a", level(19)),
        ("dwindle compress --format zstd -9 a", level(9)),
    ];
    for (line, level) in table {
        assert_eq!(parse(line).unwrap().common.level, level, "{line}");
    }
}

#[test]
fn common_options_stand_before_and_after_the_command() {
    let expected = Common {
        config: paths(&["a", "b"]),
        workers: NonZeroUsize::new(3),
        level: level(2),
        verbose: 2,
        quiet: 1,
        log_format: Some(LogFormat::Json),
        color: Color::Never,
    };
    let options = "-c a --config b -vvq -j3 --level 2 --log-format json --color never";
    for line in [format!("dwindle {options} check"), format!("dwindle check {options}")] {
        let common = parse(&line).unwrap().common;
        assert_eq!(common, expected, "{line}");
        assert_eq!(common.verbosity(), 1);
    }
    assert_eq!(parse("dwindle check").unwrap().common, Common::default());
}

#[test]
fn wrong_lines_are_usage_errors_that_say_what_is_wrong() {
    let table = [
        ("dwindle frobnicate", "frobnicate"),
        ("dwindle compress", "<PATH>"),
        ("dwindle compress --level 0 a", "from 1 (fastest) to 9 (smallest)"),
        ("dwindle compress --level 10 a", "from 1 (fastest) to 9 (smallest)"),
        ("dwindle compress --level x a", "from 1 (fastest) to 9 (smallest)"),
        ("dwindle compress --level 300 a", "from 1 (fastest) to 9 (smallest)"),
        (
            "dwindle compress --format zstd --level 20 a",
            "from 1 (fastest) to 19 (smallest)",
        ),
        ("dwindle run --level 10", "from 1 (fastest) to 9 (smallest)"),
        ("dwindle run --format zstd", "--format"),
        ("dwindle compress --format lz4 a", "gzip"),
        ("dwindle compress -0 a", "-0"),
        ("dwindle compress -j0 a", "--workers"),
        ("dwindle run -k", "-k"),
        ("dwindle run -9", "-9"),
        ("dwindle run a -c f", "DIR and --config exclude each other"),
        ("dwindle -c f run a", "DIR and --config exclude each other"),
        ("dwindle compress a -", "./-"),
        ("dwindle compress - -o out", "standard output"),
        ("dwindle compress - --json", "standard output"),
        ("dwindle run --log-format xml", "json"),
        ("dwindle run --shard 0/4", "write $((JOB_COMPLETION_INDEX + 1))/4"),
        ("dwindle run --shard 5/4", "the last one is 4/4"),
        ("dwindle explain --shard a/b x", "two whole numbers, I/N"),
        ("dwindle compress --shard 1/4 x", "with --recursive"),
        ("dwindle check --shard 1/4", "--shard"),
        ("dwindle completions tcsh", "bash"),
    ];
    for (line, part) in table {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(part), "{line}: {error}");
    }
}

#[test]
fn help_and_version_are_no_failure() {
    for line in [
        "dwindle --help",
        "dwindle compress -h",
        "dwindle --version",
        "dwindle -V",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 0, "{line}");
    }
    let version = parse("dwindle --version").unwrap_err().to_string();
    assert_eq!(version, format!("dwindle {}\n", version::full()));
}

#[test]
fn every_common_option_has_its_variable() {
    for argument in command().get_arguments() {
        let name = argument.get_long().unwrap().replace('-', "_").to_uppercase();
        let variable = argument.get_env().unwrap().to_str().unwrap();
        assert_eq!(variable, format!("DWINDLE_{name}"));
    }
}
