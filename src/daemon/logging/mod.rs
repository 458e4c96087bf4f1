//! What happens, as log events: on standard error for people as text and for machines as JSON, or in the journal with each field on its own.

mod journal;
mod json;
mod kinds;
mod observer;
mod repeats;

use std::env;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::DefaultFields;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use journal::{Journal, JournalLayer};
use json::WithKind;
pub(crate) use observer::LogObserver;

/// What log lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// What fits where they go: the journal where that reads standard error, and otherwise text.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// A JSON object a line.
    Json,
    /// To the systemd journal, each field on its own; text where there is none.
    Journald,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless the variable `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether to use colours where that is a terminal, or is none.
    pub(crate) fn is_used(self, on_terminal: bool) -> bool {
        match self {
            Color::Auto => on_terminal && !is_set("NO_COLOR"),
            Color::Always => true,
            Color::Never => false,
        }
    }
}

/// Sends log events to standard error, or to the journal, for as long as the returned guard lives; dropping it writes what still waits, for a second at most.
/// A second call has no effect.
///
/// A thread of its own writes the lines. Where nobody reads them, they wait up to a bound and then are dropped: a log that is stuck must
/// not stop the agent, and least of all its end.
pub(crate) fn init(format: Format, level: LevelFilter, color: Color) -> WorkerGuard {
    const MOST_LINES: usize = 8192;
    let lines = Look::Text {
        time: !stderr_is_journal(),
        color: color.is_used(io::stderr().is_terminal()),
    };
    let wants_journal = format == Format::Journald || format == Format::Auto && stderr_is_journal();
    let journal = wants_journal.then(|| Journal::connect(Path::new(journal::SOCKET), Box::new(io::stderr())));
    let mut no_journal = None;
    // Flushed whenever no line waits. To the journal each entry goes by itself.
    let stderr = || Box::new(BufWriter::new(io::stderr()));
    let (look, to): (Look, Box<dyn Write + Send>) = match journal {
        Some(Ok(journal)) => (Look::Journal, Box::new(journal)),
        Some(Err(why)) => {
            no_journal = Some(why);
            (lines, stderr())
        }
        None if format == Format::Json => (Look::Json, stderr()),
        None => (lines, stderr()),
    };
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(MOST_LINES)
        .thread_name("log")
        .finish(to);
    // It fails only where there is one already.
    let _ = tracing::subscriber::set_global_default(subscriber(look, level, writer));
    if let Some(why) = no_journal {
        let socket = journal::SOCKET;
        tracing::warn!(name: "no-journal", "the journal cannot be reached at {socket} ({why}): the log goes to standard error, as text");
    }
    guard
}

/// The level that many steps more talkative than `level`, or, where negative, more silent.
pub(crate) fn stepped(level: LevelFilter, steps: i16) -> LevelFilter {
    const LEVELS: [LevelFilter; 6] = [
        LevelFilter::OFF,
        LevelFilter::ERROR,
        LevelFilter::WARN,
        LevelFilter::INFO,
        LevelFilter::DEBUG,
        LevelFilter::TRACE,
    ];
    let now = LEVELS.iter().position(|one| *one == level).unwrap_or_default();
    let wanted = now.saturating_add_signed(isize::from(steps));
    LEVELS.get(wanted).copied().unwrap_or(LevelFilter::TRACE)
}

#[derive(Clone, Copy)]
enum Look {
    Text { time: bool, color: bool },
    Json,
    Journal,
}

fn subscriber<W>(look: Look, level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match look {
        Look::Journal => Box::new(JournalLayer { writer }),
        Look::Json => {
            let json = lines_to(writer).json().flatten_event(true);
            Box::new(
                json.with_current_span(false)
                    .with_span_list(false)
                    .map_event_format(WithKind),
            )
        }
        Look::Text { time: true, color } => Box::new(lines_to(writer).with_ansi(color)),
        Look::Text { time: false, color } => Box::new(lines_to(writer).with_ansi(color).without_time()),
    };
    // What libraries do in detail helps nobody who runs dwindle.
    let ours = Targets::new()
        .with_target(env!("CARGO_PKG_NAME"), level)
        .with_default(level.min(LevelFilter::WARN));
    Registry::default().with(lines.with_filter(ours))
}

fn lines_to<W>(writer: W) -> fmt::Layer<Registry, DefaultFields, fmt::format::Format, W>
where
    W: for<'a> MakeWriter<'a> + 'static,
{
    fmt::layer()
        .with_target(false)
        // It would be told on standard error, by a macro that panics where that is gone.
        .log_internal_errors(false)
        .with_writer(writer)
}

fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Whether the journal reads standard error; it adds the time itself. systemd.exec(5), `$JOURNAL_STREAM`: device and inode of the
/// stream, to be compared, since a child may inherit the variable and not the stream.
fn stderr_is_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(io::stderr().as_fd()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_step_to_the_ends_and_no_further() {
        let table = [
            (0, LevelFilter::INFO),
            (1, LevelFilter::DEBUG),
            (2, LevelFilter::TRACE),
            (9, LevelFilter::TRACE),
            (-1, LevelFilter::WARN),
            (-2, LevelFilter::ERROR),
            (-3, LevelFilter::OFF),
            (-255, LevelFilter::OFF),
        ];
        for (steps, level) in table {
            assert_eq!(stepped(LevelFilter::INFO, steps), level, "{steps}");
        }
    }
}
