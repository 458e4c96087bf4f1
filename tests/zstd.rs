//! `format = "zstd"` and `compress --format zstd`: the same promise, another format.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::support::files::Kept;
use crate::support::gz::{assert_zst_of, read_with_zstd};
use crate::support::programs::while_none_is_started;
use crate::support::{Arrival, Data, Dwindle, Inbox, Original, Sandbox, names_below, needs};

fn compress(sandbox: &Sandbox, line: &str) -> Dwindle {
    Dwindle::new(sandbox)
        .args(["compress", "--format", "zstd"])
        .args(line.split(' '))
}

/// Several blocks of text, of what does not compress, and of zeros.
fn mixed(data: &mut Data) -> Vec<u8> {
    [
        data.log_text(2_200_000),
        data.random_bytes(2_500_000),
        vec![0; 700_000],
        data.log_text(100_000),
    ]
    .concat()
}

#[test]
fn a_file_becomes_one_frame_with_its_metadata() {
    needs!(tool "zstd");
    let sandbox = Sandbox::new();
    let mut data = Data::from_seed(400);
    for content in [
        b"x".to_vec(),
        data.log_text(100_000),
        data.random_bytes(70_000),
        mixed(&mut data),
    ] {
        let source = sandbox.file("app.log", content);
        rustix::fs::setxattr(&source, "user.x", b"x", rustix::fs::XattrFlags::empty()).unwrap();
        let original = Original::of(&source);
        let output = compress(&sandbox, "app.log").finish().expect_code(0);
        assert_eq!(output.report().compressed, 1, "{output}");
        assert!(!source.exists());
        assert_zst_of(&sandbox.path("app.log.zst"), &original);
        fs::remove_file(sandbox.path("app.log.zst")).unwrap();
    }
}

#[test]
fn levels_are_zstds_however_they_are_said() {
    needs!(tool "zstd");
    let sandbox = Sandbox::new();
    let content = Data::from_seed(401).log_text(300_000);
    let size = |options: &str, variable: &str| {
        sandbox.file("f", &content);
        let line = format!("{options} f");
        let output = compress(&sandbox, line.trim_start())
            .env("DWINDLE_LEVEL", variable)
            .finish();
        assert_eq!(output.expect_code(0).report().compressed, 1, "{options}");
        let path = sandbox.path("f.zst");
        assert_eq!(read_with_zstd(&path), content, "{options}");
        let size = fs::metadata(&path).unwrap().len();
        fs::remove_file(path).unwrap();
        size
    };
    let [fast, default, nine, best] = ["-1", "", "-9", "--level 19"].map(|options| size(options, ""));
    // On lines as alike as these the fastest happens to make less than the default.
    assert!(
        fast != default && default > nine && nine > best,
        "{fast} {default} {nine} {best}"
    );
    assert_eq!(size("-3", ""), default);
    assert_eq!(size("", "19"), best);
    assert_eq!(size("-9", "19"), nine);
}

#[test]
fn a_level_beyond_the_formats_scale_is_refused_by_its_range() {
    let sandbox = Sandbox::new();
    sandbox.file("f", "text");
    for (line, variable, sentence) in [
        (
            "--format zstd --level 20",
            "",
            "1 (fastest) to 19 (smallest), with --format zstd",
        ),
        (
            "--format zstd --level 0",
            "",
            "1 (fastest) to 19 (smallest), with --format zstd",
        ),
        ("--level 19", "", "1 (fastest) to 9 (smallest)\n"),
        ("--format gzip --level 10", "", "1 (fastest) to 9 (smallest)\n"),
        (
            "--format zstd",
            "20",
            "DWINDLE_LEVEL is \"20\": a level is a number from 1 (fastest) to 19 (smallest)",
        ),
        ("--format lz4", "", "[possible values: gzip, zstd]"),
    ] {
        let output = Dwindle::new(&sandbox)
            .args(["compress", "f"])
            .args(line.split(' '))
            .env("DWINDLE_LEVEL", variable)
            .finish()
            .expect_code(2);
        assert!(output.stderr.contains(sentence), "{line}: {output}");
    }
    assert!(sandbox.path("f").exists() && !sandbox.path("f.zst").exists() && !sandbox.path("f.gz").exists());
}

#[test]
fn what_is_there_already_counts_by_its_content() {
    needs!(tool "zstd");
    let sandbox = Sandbox::new();
    let content = Data::from_seed(402).log_text(50_000);
    sandbox.file("f", &content);
    compress(&sandbox, "-k f").finish().expect_code(0);
    let first = fs::read(sandbox.path("f.zst")).unwrap();
    let output = compress(&sandbox, "-k f").finish().expect_code(0);
    assert_eq!(
        output.stderr,
        "dwindle: f: skipped: its compressed file is there and up to date\n"
    );
    // At another level it holds the same bytes, which is what counts.
    let output = compress(&sandbox, "-9 f").finish().expect_code(0);
    assert_eq!(output.report().compressed, 1, "{output}");
    assert!(fs::read(sandbox.path("f.zst")).unwrap() == first);

    let other = Original::of(&sandbox.file("f", Data::from_seed(403).log_text(50_000)));
    let output = compress(&sandbox, "f").finish().expect_code(1);
    assert!(
        output
            .stderr
            .contains("a .zst of that name is there already, with other content (-f replaces it)"),
        "{output}"
    );
    compress(&sandbox, "-f f").finish().expect_code(0);
    assert_zst_of(&sandbox.path("f.zst"), &other);

    let output = compress(&sandbox, "f.zst").finish().expect_code(0);
    assert_eq!(output.report().skipped, 1, "{output}");
}

/// As logrotate(8) calls it, with `compresscmd`, `compressoptions compress --format zstd -` and `compressext .zst`.
#[test]
fn standard_input_goes_to_standard_output() {
    needs!(tool "zstd");
    let sandbox = Sandbox::new();
    let mut data = Data::from_seed(404);
    for input in [Vec::new(), b"x".to_vec(), data.log_text(90_000), mixed(&mut data)] {
        let output = compress(&sandbox, "-").input(input.clone()).finish().expect_code(0);
        assert_eq!(output.stderr, "");
        assert!(
            read_with_zstd(&sandbox.file("out.zst", output.stdout)) == input,
            "{} bytes",
            input.len()
        );
    }
}

#[test]
fn a_watch_makes_frames_and_numbers_conflicts() {
    needs!(tool "zstd");
    let inbox = Inbox::new();
    let keys = "settle = \"300ms\"\nformat = \"zstd\"\nlevel = 12";
    let mut running = inbox.watch(keys);
    let mut data = Data::from_seed(405);
    let files: Vec<Arrival> = ["a.csv", "sub/b.csv"].map(|name| Arrival::new(&mut data, name)).into();
    let send = |file: &Arrival| {
        let outside = inbox.outside.join(&file.original.name);
        file.write_to(&outside);
        let to = file.path_in(&inbox.path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(outside, to).unwrap();
    };
    files.iter().for_each(send);
    running.wait_for_names(&inbox.path, ["a.csv.zst", "sub/", "sub/b.csv.zst"]);
    let again = Arrival::new(&mut data, "a.csv");
    send(&again);
    running.wait_for_names(&inbox.path, ["a.csv.zst", "a.csv.~1~.zst", "sub/", "sub/b.csv.zst"]);
    assert_zst_of(&inbox.path.join("a.csv.zst"), &files[0].original);
    assert_zst_of(&inbox.path.join("sub/b.csv.zst"), &files[1].original);
    assert_zst_of(&inbox.path.join("a.csv.~1~.zst"), &again.original);
    running.signal(Signal::TERM);
    running.wait_exit().expect_compressed(3);
}

/// What another format's outputs are is not this watch's to say.
#[test]
fn surplus_outputs_of_the_watchs_own_format_go() {
    let inbox = Inbox::new();
    for (number, days) in [(1, 1), (2, 2), (3, 3)] {
        for suffix in ["zst", "gz"] {
            let log = inbox.sandbox.file(format!("inbox/app.log.{number}"), "text");
            let time = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
            while_none_is_started(|| File::options().append(true).open(&log)?.set_modified(time)).unwrap();
            let format = if suffix == "gz" { "gzip" } else { "zstd" };
            let line = format!("compress --format {format} inbox/app.log.{number}");
            Dwindle::new(&inbox.sandbox)
                .args(line.split(' '))
                .finish()
                .expect_code(0);
        }
    }
    // No frame, in spite of its name.
    let text = inbox.sandbox.file("inbox/app.log.9.zst", "text, and more of it");
    let long_ago = SystemTime::now() - Duration::from_secs(90 * 24 * 3600);
    while_none_is_started(|| File::options().append(true).open(&text)?.set_modified(long_ago)).unwrap();
    let keys = "preset = \"rotated-logs\"\nsettle = \"0s\"\nformat = \"zstd\"\nkeep-count = 1";
    inbox.dwindle(keys).args(["--once"]).finish().expect_code(0);
    assert_eq!(
        names_below(&inbox.path),
        [
            "app.log.1.gz",
            "app.log.1.zst",
            "app.log.2.gz",
            "app.log.3.gz",
            "app.log.9.zst"
        ]
    );
}

/// nginx's module `zstd_static` sends FILE.zst as it is.
#[test]
fn static_assets_are_remade_when_they_change() {
    needs!(tool "zstd");
    let inbox = Inbox::new();
    let mut running = inbox.watch("preset = \"static-assets\"\nformat = \"zstd\"");
    let mut data = Data::from_seed(406);
    for _ in 0..2 {
        let page = Arrival::new(&mut data, "index.html");
        let outside = inbox.outside.join("index.html");
        page.write_to(&outside);
        fs::rename(outside, inbox.path.join("index.html")).unwrap();
        let output = inbox.path.join("index.html.zst");
        running.wait_for("the .zst of this time", || {
            output.exists() && Kept::of(&output).modified == page.original.kept.modified
        });
        assert_eq!(names_below(&inbox.path), ["index.html", "index.html.zst"]);
        assert_zst_of(&output, &page.original);
    }
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
}

/// In either direction, where the format was changed while no agent ran.
#[test]
fn a_dry_run_and_explain_foresee_that_the_outdated_output_of_the_other_format_goes() {
    for (before, now, old, new) in [("gzip", "zstd", "gz", "zst"), ("zstd", "gzip", "zst", "gz")] {
        let inbox = Inbox::new();
        let run = |format: &str, argument: &str| {
            let keys = format!("preset = \"static-assets\"\nsettle = \"0s\"\nformat = \"{format}\"");
            inbox.dwindle(&keys).args([argument]).finish().expect_code(0)
        };
        let path = |name: String| inbox.path.join(name);
        for name in ["changed.js", "same.js"] {
            Arrival::new(&mut Data::from_seed(407), name).write_to(&path(name.to_owned()));
        }
        run(before, "--once");
        Arrival::new(&mut Data::from_seed(408), "changed.js").write_to(&path("changed.js".to_owned()));

        let dry = run(now, "--dry-run");
        let stdout = String::from_utf8_lossy(&dry.stdout).into_owned();
        let going = path(format!("changed.js.{old}"));
        let goes = format!("remove   {}: ", going.display());
        assert!(
            stdout.contains(&goes) && stdout.matches("remove ").count() == 1,
            "{dry}"
        );
        let config = inbox.sandbox.path("dwindle.toml");
        let explain = Dwindle::new(&inbox.sandbox)
            .args(["explain", "-c"])
            .args([&config, &going])
            .finish();
        let explained = String::from_utf8_lossy(&explain.stdout).into_owned();
        assert!(explained.contains("removed, since"), "{explain}");

        run(now, "--once");
        let left = [
            format!("changed.js.{new}"),
            format!("same.js.{old}"),
            format!("same.js.{new}"),
        ];
        let mut left: Vec<String> = left
            .into_iter()
            .chain(["changed.js".to_owned(), "same.js".to_owned()])
            .collect();
        left.sort();
        assert_eq!(names_below(&inbox.path), left, "{before}");
    }
}

#[test]
fn a_dry_run_names_the_output_and_check_knows_the_scale() {
    let inbox = Inbox::new();
    inbox.sandbox.file("inbox/f", "text");
    let output = inbox
        .dwindle("settle = \"0s\"\nformat = \"zstd\"")
        .args(["--dry-run"])
        .finish()
        .expect_code(0);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("/inbox/f.zst"),
        "{output}"
    );

    let check = |keys: &str| {
        let text = format!("[[watch]]\npath = \"{}\"\n{keys}\n", inbox.path.display());
        let config = inbox.sandbox.file("check.toml", text);
        Dwindle::new(&inbox.sandbox)
            .args(["check", "-c"])
            .args([config])
            .finish()
    };
    check("level = 19\nformat = \"zstd\"").expect_code(0);
    let output = check("level = 20\nformat = \"zstd\"").expect_code(78);
    let expected = "check.toml:3:9\n  |\n3 | level = 20\n  |         ^^ expected a number from 1 (fastest) to 19 (smallest), since `format` is \"zstd\"";
    assert!(without_margin(&output.stderr).contains(expected), "{output}");
    let output = check("level = 19").expect_code(78);
    assert!(
        output
            .stderr
            .contains("^^ expected a number from 1 (fastest) to 9 (smallest)\n"),
        "{output}"
    );
}

fn without_margin(text: &str) -> String {
    text.replace("\n   |", "\n  |").replace("\n 3 |", "\n3 |")
}

/// Several large files at a time, read back by the format's own program.
#[test]
fn the_output_is_the_same_however_many_workers_there_are() {
    needs!(tool "zstd");
    let sandbox = Sandbox::new();
    let content = mixed(&mut Data::from_seed(407));
    let outputs = [1, 4].map(|workers| {
        for name in ["a", "b", "c"] {
            sandbox.file(name, &content);
        }
        compress(&sandbox, &format!("-j{workers} a b c"))
            .finish()
            .expect_code(0);
        ["a", "b", "c"].map(|name| take(&sandbox.path(format!("{name}.zst"))))
    });
    assert!(outputs.iter().flatten().all(|output| *output == outputs[0][0]));
    assert!(read_with_zstd(&sandbox.file("x.zst", &outputs[0][0])) == content);
}

fn take(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    fs::remove_file(path).unwrap();
    bytes
}
