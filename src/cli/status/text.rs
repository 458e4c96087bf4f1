//! A status for people: on one screen of 80 columns, or as many as there are.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::line::{Line, Look, Paint};
use crate::daemon::control::{Counters, Failed, InWork, Mode, State, Status, WatchCondition, WatchStatus};
use crate::model::{Compressed, Report, Size};

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
mod tests;
