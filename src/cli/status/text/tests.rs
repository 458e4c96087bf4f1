use super::*;
use crate::cli::status::line::width;

fn sample() -> Status {
    let watch = |path: &str, mode, state, trouble: Option<&str>, why: Option<&str>| WatchStatus {
        path: path.to_owned(),
        mode,
        why_polling: why.map(str::to_owned),
        state,
        trouble: trouble.map(str::to_owned),
    };
    let file = |path: &str, bytes, bytes_done| InWork {
        path: path.to_owned(),
        bytes,
        bytes_done,
        seconds: 9.0,
        bytes_per_second: 87_139_000,
    };
    Status {
        version: "0.1.0".to_owned(),
        pid: 4242,
        state: State::Running,
        started: "2026-11-25T17:00:00Z".to_owned(),
        uptime_seconds: 8000.4,
        configured_by: "/etc/dwindle/config.toml".to_owned(),
        workers: 4,
        counters: Counters {
            compressed: 412,
            bytes_in: 1_299_227_607,
            bytes_out: 124_151_398,
            skipped: 3,
            failed: 1,
            removed: 7,
        },
        pending: 12,
        queued: 4,
        in_flight: 2,
        bytes_per_second: 89_339_000,
        watches: vec![
            watch("/srv/inbox", Mode::Native, WatchCondition::Watching, None, None),
            watch(
                "/mnt/share",
                Mode::Poll,
                WatchCondition::Watching,
                None,
                Some("the kernel does not tell of other hosts' changes on nfs"),
            ),
            watch(
                "/mnt/disk",
                Mode::Native,
                WatchCondition::Paused,
                Some("cannot write /mnt/disk/a: No space left on device (os error 28)"),
                None,
            ),
        ],
        watches_left_out: 0,
        files: vec![
            file(
                "/srv/inbox/2026/11/a-rather-long-name-of-a-database-dump.sql",
                2_867_000_000,
                1_300_000_000,
            ),
            file("/srv/inbox/日本語.csv", 1000, 1000),
            file("/srv/inbox/empty-so-far", 5_000_000, 0),
        ],
        files_left_out: 5,
        failures: vec![
            Failed {
                path: "/srv/inbox/secret".to_owned(),
                watch: "/srv/inbox".to_owned(),
                step: "open".to_owned(),
                reason: "cannot open /srv/inbox/secret: Permission denied (os error 13)".to_owned(),
                errno: Some(13),
                class: "permanent".to_owned(),
                at: "2026-11-25T17:00:00Z".to_owned(),
                seconds_ago: 125.0,
                tries: 1,
                retry_in_seconds: None,
                given_up: true,
                moved_to: None,
            },
            Failed {
                path: "/srv/inbox/b".to_owned(),
                watch: "/srv/inbox".to_owned(),
                step: "write".to_owned(),
                reason: "cannot write /srv/out/b.gz: Input/output error (os error 5)".to_owned(),
                errno: Some(5),
                class: "transient".to_owned(),
                at: "2026-11-25T16:00:00Z".to_owned(),
                seconds_ago: 3.0,
                tries: 3,
                retry_in_seconds: Some(4.2),
                given_up: false,
                moved_to: None,
            },
        ],
    }
}

fn look(columns: usize, lines: usize) -> Look {
    Look {
        color: false,
        size: Some((columns, lines)),
    }
}

#[test]
fn a_status_is_read_at_a_glance_in_80_columns() {
    let expected = "\
dwindle 0.1.0 running, up 2 h 13 min, process 4242
configured by /etc/dwindle/config.toml

Compressed 412 files: 1.21 GiB -> 118.40 MiB (90.4% smaller)
3 skipped, 1 failed, 7 outputs removed again
12 pending: 2 in work, 4 queued; 85.20 MiB/s with 4 workers

Watches
  native  /srv/inbox
  poll    /mnt/share
          the kernel does not tell of other hosts' changes on nfs
  paused  /mnt/disk
          cannot write /mnt/disk/a: No space left on device (os error 28)

In work
  [====>     ]  45% of    2.67 GiB   83.10 MiB/s  …g-name-of-a-database-dump.sql
  [==========] 100% of      1000 B     finishing  /srv/inbox/日本語.csv
  [>         ]   0% of    4.77 MiB   83.10 MiB/s  /srv/inbox/empty-so-far
  and 5 more

Last failures
   2 min 5 s ago  cannot open /srv/inbox/secret: Permission denied (os error 13)
                  permanent; given up until it is touched
         3 s ago  cannot write /srv/out/b.gz: Input/output error (os error 5)
                  of /srv/inbox/b
                  transient (3 tries); tried again in 4 s";
    let text = lines(&sample(), &look(80, usize::MAX)).join("\n");
    assert_eq!(text, expected, "\n{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal_and_a_screen_has_the_height_of_it() {
    let status = sample();
    for columns in [1, 2, 10, 40, 79, 80, 200] {
        for height in [1, 2, 10, 24, 50] {
            let screen = screen(&status, Some("no answer"), &look(columns, height));
            assert_eq!(screen.len(), height);
            for line in &screen {
                assert!(width(line) <= columns, "{columns}: {line}");
            }
        }
    }
    let small = screen(&status, None, &look(80, 24)).join("\n");
    for part in ["Watches", "In work", "Last failures", "more", "q leaves"] {
        assert!(small.contains(part), "{part}:\n{small}");
    }
    let endless = Look {
        color: false,
        size: None,
    };
    let whole = "/srv/inbox/2026/11/a-rather-long-name-of-a-database-dump.sql";
    assert!(lines(&status, &endless).iter().any(|line| line.ends_with(whole)));
}

#[test]
fn colours_are_only_where_they_are_wanted_and_nothing_told_can_make_others() {
    let mut status = sample();
    status.watches[0].path = "/a\x1b[31m\nb".to_owned();
    let plain = lines(&status, &look(80, usize::MAX)).join("\n");
    assert!(!plain.contains('\x1b'));
    assert!(plain.contains("/a?[31m?b"));
    let colored = Look {
        color: true,
        ..look(80, usize::MAX)
    };
    let colored = lines(&status, &colored).join("\n");
    assert!(colored.contains("\x1b[32mrunning\x1b[0m"), "{colored}");
    let mut stripped = String::new();
    for part in colored.split('\x1b') {
        stripped += part
            .split_once('m')
            .filter(|_| part.starts_with('['))
            .map_or(part, |(_, text)| text);
    }
    let trimmed: Vec<&str> = stripped.lines().map(str::trim_end).collect();
    assert_eq!(trimmed.join("\n"), plain);
}

#[test]
fn an_idle_agent_says_so_and_a_line_has_everything() {
    let mut status = sample();
    status.state = State::Stopping;
    assert_eq!(
        line(&status),
        "stopping: 412 compressed, 3 skipped, 1 failed; 12 pending (2 in work, 4 queued); 85.20 MiB/s"
    );
    status.pending = 0;
    status.workers = 1;
    let text = lines(&status, &look(80, usize::MAX));
    assert_eq!(text[0], "dwindle 0.1.0 stopping, up 2 h 13 min, process 4242");
    assert_eq!(text[5], "Nothing to do for 1 worker");
}

#[test]
fn what_is_too_long_loses_what_says_least() {
    let fit = |line: Line, columns| line.painted(&look(columns, 1));
    let sentence = "cannot open /srv/inbox/a/long/path: Permission denied (os error 13)";
    let line = Line::of(Paint::Plain, "  ").with_sentence(Paint::Bad, sentence);
    assert_eq!(
        fit(line, 60),
        "  cannot open /srv/in…/path: Permission denied (os error 13)"
    );
    let path = Line::of(Paint::Plain, "  ").with_path(Paint::Plain, "/srv/日本/語語.csv");
    assert_eq!(fit(path.clone(), 14), "  …本/語語.csv");
    assert_eq!(fit(path, 13), "  …/語語.csv");
    assert_eq!(fit(Line::of(Paint::Plain, "running"), 4), "run…");
}

#[test]
fn times_have_two_units() {
    let told = |seconds: f64| Span(seconds).to_string();
    assert_eq!(told(0.4), "0 s");
    assert_eq!(told(59.9), "59 s");
    assert_eq!(told(60.0), "1 min 0 s");
    assert_eq!(told(3600.0 * 25.0), "1 d 1 h");
    assert_eq!(told(f64::NAN), "0 s");
}
