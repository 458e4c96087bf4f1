use super::*;

/// The table has a watch on each line that is not indented, and verdicts on names on those that are; its header says more.
#[test]
fn names_are_judged_as_the_table_says() {
    let mut select = None;
    for (line, text) in include_str!("../cases/select.txt").lines().enumerate() {
        let place = format!("cases/select.txt, line {}: {text:?}", line + 1);
        if text.trim().is_empty() || text.trim_start().starts_with("# ") || text == "#" {
            continue;
        }
        if !text.starts_with(' ') {
            let compiled = Select::new(&parse_watch(text)).unwrap_or_else(|problem| panic!("{place}: {problem}"));
            select = Some(compiled);
            continue;
        }
        let (expected, path) = text
            .trim_start()
            .split_once(' ')
            .unwrap_or_else(|| panic!("{place}: no path"));
        let select = select.as_ref().unwrap_or_else(|| panic!("{place}: no watch before it"));
        assert_eq!(judge(select, path.trim_start()), expected, "{place}");
    }
}

fn parse_watch(text: &str) -> Watch {
    let mut words = text.split_whitespace();
    let preset = match words.next() {
        Some("inbox") => Preset::Inbox,
        Some("rotated-logs") => Preset::RotatedLogs,
        Some("static-assets") => Preset::StaticAssets,
        other => panic!("no such preset: {other:?}"),
    };
    words.fold(Watch::new("/srv/in", preset), |watch, word| {
        match word.split_once('=') {
            Some(("include", globs)) => watch.with_include(globs.split('|')),
            Some(("exclude", globs)) => watch.with_exclude(globs.split('|')),
            Some(("recursive", yes)) => watch.with_recursive(yes == "yes"),
            Some(("marker", pattern)) => watch.with_marker(pattern),
            Some(("leave-newest", number)) => watch.with_leave_newest(number.parse().expect("a number")),
            Some(("output-dir", folder)) => watch.with_output_dir(folder),
            Some(("done-dir", folder)) => watch.with_done_dir(folder),
            Some(("failed-dir", folder)) => watch.with_failed_dir(folder),
            Some(("shard", shard)) => watch.with_shard(shard.parse().expect("a shard")),
            _ => panic!("no such setting: {word}"),
        }
    })
}

fn judge(select: &Select, path: &str) -> String {
    #[cfg(feature = "cli")]
    explains_itself(select, path);
    let verdict = match path.strip_suffix('/') {
        Some(folder) => select.folder(Path::new(folder)),
        None => select.file(Path::new(path)),
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    match verdict {
        Ok(()) if select.standing(OsStr::new(name)).is_some() => "ask-siblings".to_owned(),
        Ok(()) => "take".to_owned(),
        Err(Reason::InProgress(pattern)) => format!("in-progress:{pattern}"),
        Err(Reason::Excluded(glob)) => format!("excluded:{glob}"),
        Err(reason) => reason.label().to_owned(),
    }
}

/// The first rule that is against it is the reason, and all are asked.
#[cfg(feature = "cli")]
fn explains_itself(select: &Select, path: &str) {
    let (answers, verdict) = match path.strip_suffix('/') {
        Some(folder) => (
            select.explain(Path::new(folder), true),
            select.folder(Path::new(folder)),
        ),
        None => (select.explain(Path::new(path), false), select.file(Path::new(path))),
    };
    let first = answers.iter().find(|(_, answer)| answer.decides());
    let first = first.map(|(_, answer)| answer.clone());
    let expected = verdict.err().map(crate::policy::Answer::No);
    assert!(answers.is_empty() || first == expected, "{path}: {answers:?}");
    let of_file = if select.shard.is_some() { 13 } else { 12 };
    assert!([0, 4, of_file].contains(&answers.len()), "{path}: {answers:?}");
}

#[test]
fn small_files_are_passed_over() {
    let select = Select::new(&Watch::new("/srv/in", Preset::Inbox).with_min_size(256)).expect("no patterns");
    assert_eq!(select.size(0), Err(Reason::Empty));
    assert_eq!(select.size(255), Err(Reason::TooSmall));
    assert_eq!(select.size(256), Ok(()));
    assert_eq!(Select::everything(None).size(1), Ok(()));
    assert_eq!(Select::everything(None).size(0), Err(Reason::Empty));
}

#[test]
fn a_bad_pattern_is_refused() {
    let problem =
        Select::new(&Watch::new("/srv/in", Preset::Inbox).with_exclude(["[a"])).expect_err("it is not closed");
    assert_eq!(problem.glob, "[a");
    let problem =
        Select::new(&Watch::new("/srv/in", Preset::Inbox).with_marker(".done")).expect_err("it names no file");
    assert_eq!(problem.glob, ".done");
}

#[test]
fn files_named_by_hand_are_asked_only_what_holds_everywhere() {
    let select = Select::everything(None);
    for (path, expected) in [
        ("deep/er/app.log", Ok(())),
        ("photo.tiff", Ok(())),
        ("a.GZ", Err(Reason::CompressedSuffix("gz"))),
        (".git/config", Err(Reason::DotFile)),
        ("a.part", Err(Reason::InProgress("*.part"))),
    ] {
        assert_eq!(select.file(Path::new(path)), expected, "{path}");
    }
}

#[test]
fn an_output_folder_is_found_inside_the_watched_one() {
    for (root, folder, expected) in [
        ("/srv/in", "archive", Some("archive")),
        ("/srv/in", "./a//b/", Some("a/b")),
        ("/srv/in", "a/../b", Some("b")),
        ("/srv/in/", "/srv/in/archive", Some("archive")),
        ("/srv/in", "/srv/input", None),
        ("/srv/in", "/srv/out", None),
        ("/srv/in", "../out", None),
        ("/srv/in", "../in/out", Some("out")),
        ("/srv/in", ".", None),
        ("/srv/in", "/srv/in", None),
        ("in", "archive", Some("archive")),
        ("./in", "/elsewhere", None),
        ("../in", "../out", None),
        ("/", "/archive", Some("archive")),
    ] {
        assert_eq!(
            inside(Path::new(root), Path::new(folder)),
            expected.map(PathBuf::from),
            "{folder} in {root}"
        );
    }
}

#[test]
fn names_of_any_bytes_are_judged() {
    let bytes = |bytes: &'static [u8]| Path::new(OsStr::from_bytes(bytes));
    let select = Select::everything(None);
    assert_eq!(select.file(bytes(b"caf\xe9.csv")), Ok(()));
    assert_eq!(select.file(bytes(b"a\nb")), Ok(()));
    assert_eq!(select.file(bytes(b"\xff\xfe.gz")), Err(Reason::CompressedSuffix("gz")));
    assert_eq!(select.file(bytes(b"\xff/\xff.part")), Err(Reason::InProgress("*.part")));
    let rotated = Select::new(&Watch::new("/srv/in", Preset::RotatedLogs)).expect("no patterns");
    assert_eq!(rotated.file(bytes(b"\xff.log.1")), Ok(()));
    assert_eq!(rotated.file(bytes(b"\xff.log.\xb2")), Err(Reason::NotRotated));
}

#[test]
fn no_path_whatsoever_is_too_much() {
    let seed = 0x5eed_0001_u64;
    let mut random = Random(seed);
    let watches = [Preset::Inbox, Preset::RotatedLogs, Preset::StaticAssets].map(|preset| {
        let watch = Watch::new("/srv/in", preset)
            .with_output_dir("out")
            .with_exclude(["x*", "a/**", "[!a]/b?"]);
        Select::new(&watch).expect("the patterns are valid")
    });
    for round in 0..20_000 {
        let path = random.path();
        let relative = Path::new(OsStr::from_bytes(&path));
        let result = std::panic::catch_unwind(|| {
            for select in &watches {
                let below_nothing_taken = relative.parent().is_some_and(|folder| select.folder(folder).is_err());
                assert!(
                    !below_nothing_taken || select.file(relative).is_err(),
                    "taken from a folder that is passed over"
                );
                let _ = (select.standing(relative.as_os_str()), select.folder(relative));
            }
        });
        assert!(result.is_ok(), "seed {seed:#x}, round {round}: {}", path.escape_ascii());
    }
}

/// Xorshift, to draw paths that often come close to those with a meaning.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }

    fn path(&mut self) -> Vec<u8> {
        const PARTS: &[&str] = &[
            "/",
            ".",
            "..",
            "-",
            "_",
            "~",
            "#",
            "@",
            "$",
            "*",
            "a",
            "app",
            "lib",
            "audit",
            ".log",
            ".so.",
            ".txt",
            ".gz",
            ".dwindle-",
            ".q",
            ".part",
            "1",
            "12",
            "2026",
            "11",
            "23",
            "20261123",
            "101112",
            "1795392000",
            "T",
            "\0",
            "\n",
            "ä",
            "99999999999999999999",
        ];
        let mut path = Vec::new();
        for _ in 0..self.below(12) {
            match self.below(8) {
                0 => path.push(u8::try_from(self.below(256)).unwrap_or(0)),
                _ => path.extend_from_slice(PARTS[self.below(PARTS.len())].as_bytes()),
            }
        }
        path
    }
}
