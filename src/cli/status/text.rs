//! A status for people: on one screen of 80 columns, or as many as there are.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use unicode_width::UnicodeWidthChar;

use crate::daemon::control::{Counters, Failed, InWork, Mode, State, Status, WatchCondition, WatchStatus};
use crate::model::{Compressed, Report, Size};

/// Where it is to be shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) color: bool,
    /// Columns and lines; none where lines may be as long as they are.
    pub(super) size: Option<(usize, usize)>,
}

/// Characters between the brackets.
const BAR: usize = 10;

/// So much is told of each, at most.
#[derive(Clone, Copy)]
struct Shown {
    watches: usize,
    files: usize,
    failures: usize,
}

/// All of it.
pub(super) fn lines(status: &Status, look: &Look) -> Vec<String> {
    let all = Shown {
        watches: usize::MAX,
        files: usize::MAX,
        failures: usize::MAX,
    };
    let lines = page(status, None, all);
    lines.into_iter().map(|line| line.painted(look)).collect()
}

/// What fits on a screen, with what is the matter with the agent, if anything is.
pub(super) fn screen(status: &Status, trouble: Option<&str>, look: &Look) -> Vec<String> {
    let (_, height) = look.size.unwrap_or((80, 24));
    let mut shown = Shown {
        watches: status.watches.len(),
        files: status.files.len(),
        failures: status.failures.len(),
    };
    let room = height.saturating_sub(1);
    let mut lines = page(status, trouble, shown);
    while lines.len() > room && shown.take_away() {
        lines = page(status, trouble, shown);
    }
    lines.truncate(room);
    lines.resize_with(room, Line::default);
    lines.push(Line::of(Paint::Dim, "q leaves"));
    lines.into_iter().map(|line| line.painted(look)).collect()
}

/// All in one line, for who reads one after the other.
pub(super) fn line(status: &Status) -> String {
    let Counters {
        compressed,
        skipped,
        failed,
        ..
    } = status.counters;
    let Status {
        pending,
        in_flight,
        queued,
        ..
    } = status;
    let rate = Size(status.bytes_per_second);
    let state = match status.state {
        State::Starting => "starting: ",
        State::Running => "",
        State::Stopping => "stopping: ",
    };
    format!(
        "{state}{compressed} compressed, {skipped} skipped, {failed} failed; {pending} pending ({in_flight} in work, {queued} queued); {rate}/s"
    )
}

impl Shown {
    /// Shows less, of what has most; false where there is nothing that could go.
    fn take_away(&mut self) -> bool {
        let most = self.files.max(self.watches).max(2 * self.failures);
        if most <= 1 {
            return false;
        }
        if self.files == most {
            self.files -= 1;
        } else if self.watches == most {
            self.watches -= 1;
        } else {
            self.failures -= 1;
        }
        true
    }
}

fn page(status: &Status, trouble: Option<&str>, shown: Shown) -> Vec<Line> {
    let mut lines = head(status);
    if let Some(trouble) = trouble {
        lines.push(Line::default().with_sentence(Paint::Bad, trouble));
    }
    let watches = status.watches.iter().take(shown.watches).flat_map(watch);
    let left_out = status.watches_left_out + status.watches.len().saturating_sub(shown.watches);
    section(&mut lines, "Watches", watches.collect(), left_out);
    let files = status.files.iter().take(shown.files).map(file);
    let left_out = status.files_left_out + status.files.len().saturating_sub(shown.files);
    section(&mut lines, "In work", files.collect(), left_out);
    let failures = status.failures.iter().take(shown.failures).flat_map(failure);
    let left_out = status.failures.len().saturating_sub(shown.failures);
    section(&mut lines, "Last failures", failures.collect(), left_out);
    lines
}

fn head(status: &Status) -> Vec<Line> {
    let counters = status.counters;
    let (state, paint) = match status.state {
        State::Starting => ("starting", Paint::Warning),
        State::Running => ("running", Paint::Good),
        State::Stopping => ("stopping", Paint::Warning),
    };
    let uptime = Span(status.uptime_seconds);
    let title = Line::of(Paint::Bold, format!("dwindle {} ", status.version))
        .and(paint, state)
        .and(Paint::Plain, format!(", up {uptime}, process {}", status.pid));
    let report = Report {
        compressed: counters.compressed,
        bytes_in: counters.bytes_in,
        bytes_out: counters.bytes_out,
        ..Report::default()
    };
    let bad = if counters.failed > 0 { Paint::Bad } else { Paint::Plain };
    let mut counts = Line::of(Paint::Plain, format!("{} skipped, ", counters.skipped))
        .and(bad, format!("{} failed", counters.failed));
    if counters.removed > 0 {
        counts = counts.and(Paint::Plain, format!(", {} outputs removed again", counters.removed));
    }
    let workers = match status.workers {
        1 => "1 worker".to_owned(),
        many => format!("{many} workers"),
    };
    let pending = match status.pending {
        0 => format!("Nothing to do for {workers}"),
        pending => format!(
            "{pending} pending: {} in work, {} queued; {}/s with {workers}",
            status.in_flight,
            status.queued,
            Size(status.bytes_per_second),
        ),
    };
    vec![
        title,
        Line::of(Paint::Dim, "configured by ").with_path(Paint::Dim, &status.configured_by),
        Line::default(),
        Line::of(Paint::Plain, Compressed(&report).to_string()),
        counts,
        Line::of(Paint::Plain, pending),
    ]
}

fn section(lines: &mut Vec<Line>, title: &str, content: Vec<Line>, left_out: usize) {
    if content.is_empty() && left_out == 0 {
        return;
    }
    lines.push(Line::default());
    lines.push(Line::of(Paint::Bold, title));
    lines.extend(content);
    if left_out > 0 {
        lines.push(Line::of(Paint::Dim, format!("  and {left_out} more")));
    }
}

fn watch(watch: &WatchStatus) -> Vec<Line> {
    let mode = match watch.mode {
        Mode::Native => "native",
        Mode::Poll => "poll",
    };
    let (state, paint) = match watch.state {
        WatchCondition::Watching => (mode, Paint::Good),
        WatchCondition::Lost => ("lost", Paint::Bad),
        WatchCondition::Paused => ("paused", Paint::Warning),
    };
    let first = Line::of(Paint::Plain, "  ")
        .and(paint, format!("{state:6}"))
        .and(Paint::Plain, "  ")
        .with_path(Paint::Plain, &watch.path);
    let mut lines = vec![first];
    let why = [(Paint::Bad, &watch.trouble), (Paint::Dim, &watch.why_polling)];
    for (paint, why) in why {
        lines.extend(
            why.as_ref()
                .map(|why| Line::of(Paint::Plain, " ".repeat(10)).with_sentence(paint, why)),
        );
    }
    lines
}

fn file(file: &InWork) -> Line {
    let InWork { bytes, bytes_done, .. } = *file;
    let is_done = bytes_done >= bytes;
    // In 128 bits, where nothing overflows.
    let part = |of: u128| u128::from(bytes_done) * of / u128::from(bytes.max(1));
    let (percent, filled) = if is_done {
        (100, BAR)
    } else {
        (part(100), usize::try_from(part(BAR as u128)).unwrap_or(BAR))
    };
    let tip = if is_done || filled == BAR { "" } else { ">" };
    let bar = "=".repeat(filled) + tip;
    let pace = if is_done {
        "finishing".to_owned()
    } else {
        format!("{}/s", Size(file.bytes_per_second))
    };
    Line::of(Paint::Plain, "  [")
        .and(Paint::Good, format!("{bar:BAR$}"))
        .and(
            Paint::Plain,
            format!("] {percent:3}% of {:>11}  {pace:>12}  ", Size(bytes).to_string()),
        )
        .with_path(Paint::Plain, &file.path)
}

fn failure(failure: &Failed) -> Vec<Line> {
    let ago = format!("{} ago", Span(failure.seconds_ago));
    let next = match (failure.retry_in_seconds, &failure.moved_to) {
        (_, Some(folder)) => format!("moved to {folder}"),
        (Some(wait), None) if wait < 1.0 => "tried again now".to_owned(),
        (Some(wait), None) => format!("tried again in {}", Span(wait)),
        (None, None) if failure.given_up => "given up until it is touched".to_owned(),
        (None, None) => "tried again when something happens to it".to_owned(),
    };
    let tries = if failure.tries == 1 {
        String::new()
    } else {
        format!(" ({} tries)", failure.tries)
    };
    let mut lines = vec![
        Line::of(Paint::Plain, format!("  {ago:>14}  ")).with_sentence(Paint::Bad, &failure.reason),
        Line::of(Paint::Dim, format!("{:18}{}{tries}; {next}", "", failure.class)),
    ];
    if !failure.reason.contains(&failure.path) {
        lines.insert(
            1,
            Line::of(Paint::Plain, format!("{:18}of ", "")).with_path(Paint::Plain, &failure.path),
        );
    }
    lines
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paint {
    Plain,
    Bold,
    Dim,
    Good,
    Warning,
    Bad,
}

impl Paint {
    /// As SGR of ECMA-48 numbers them.
    fn number(self) -> Option<u8> {
        match self {
            Paint::Plain => None,
            Paint::Bold => Some(1),
            Paint::Dim => Some(2),
            Paint::Good => Some(32),
            Paint::Warning => Some(33),
            Paint::Bad => Some(31),
        }
    }
}

/// A line in pieces. The last one gives way where there is not enough room.
#[derive(Clone, Debug, Default)]
struct Line {
    pieces: Vec<(Paint, String)>,
    kept: Kept,
}

/// What stays of the last piece where there is not enough room for it.
#[derive(Clone, Copy, Debug, Default)]
enum Kept {
    #[default]
    Beginning,
    /// Of a path, which has the file's name there.
    End,
    /// Of a sentence, which has the path between what was tried and why not.
    Both,
}

impl Line {
    fn of(paint: Paint, text: impl Into<String>) -> Self {
        Line::default().and(paint, text)
    }

    fn and(mut self, paint: Paint, text: impl Into<String>) -> Self {
        // From another process: nothing that it says may drive the terminal.
        let text = text
            .into()
            .chars()
            .map(|character| if character.is_control() { '?' } else { character })
            .collect();
        self.pieces.push((paint, text));
        self
    }

    fn with_path(mut self, paint: Paint, path: &str) -> Self {
        self.kept = Kept::End;
        self.and(paint, path)
    }

    fn with_sentence(mut self, paint: Paint, text: &str) -> Self {
        self.kept = Kept::Both;
        self.and(paint, text)
    }

    fn painted(mut self, look: &Look) -> String {
        if let Some((columns, _)) = look.size {
            self.fit(columns);
        }
        let paint = |(paint, text): &(Paint, String)| match paint.number() {
            Some(number) if look.color && !text.is_empty() => format!("\x1b[{number}m{text}\x1b[0m"),
            _ => text.clone(),
        };
        let line: String = self.pieces.iter().map(paint).collect();
        if look.color { line } else { line.trim_end().to_owned() }
    }

    fn fit(&mut self, columns: usize) {
        let mut room = columns;
        let last = self.pieces.len().saturating_sub(1);
        for (index, (_, text)) in self.pieces.iter_mut().enumerate() {
            if width(text) > room {
                *text = match self.kept {
                    Kept::End if index == last => shortened(text, room, room),
                    Kept::Both if index == last => shortened(text, room, room * 2 / 3),
                    _ => shortened(text, room, 0),
                };
            }
            room -= width(text);
        }
    }
}

/// The text in so many columns, which are too few: its beginning and, of so many columns, its end, with a sign between them.
fn shortened(text: &str, columns: usize, at_end: usize) -> String {
    if columns == 0 {
        return String::new();
    }
    let beginning: String = within(text.chars(), columns - 1 - at_end.min(columns - 1)).collect();
    let mut end: Vec<char> = within(text.chars().rev(), at_end.min(columns - 1)).collect();
    end.reverse();
    beginning + "…" + &end.into_iter().collect::<String>()
}

/// As many of the characters as fit in the columns.
fn within(characters: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
    let mut room = columns;
    characters.map_while(move |character| {
        room = room.checked_sub(character.width().unwrap_or_default())?;
        Some(character)
    })
}

fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// A time in the two largest units that it has.
struct Span(f64);

impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = Duration::try_from_secs_f64(self.0).unwrap_or_default().as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min {} s", seconds % 60),
            (0, _, _) => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
