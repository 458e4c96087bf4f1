//! `dwindle compress`: the files named, all of them, then how many.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::args::{Common, Compress};
use super::exit::Exit;
use super::observers::Observers;
use super::print;
use super::progress::Progress;
use super::setup;
use crate::agent::{Cancel, FileOptions, OneShot};
use crate::codec::{self, Alone, CompressError, Header};
use crate::daemon::signals::{OnHangUp, Signal, Signals};
use crate::model::{Escaped, Failure, Level, Observer, Reason, Report, Step, Success};
use crate::runtime::{Runtime, Smol, block_on, race};

/// Runs the command to its end.
pub(super) fn run(common: &Common, arguments: &Compress) -> Result<Exit> {
    let format = arguments.format;
    let level = common.level_of(format).unwrap_or(format.default_level());
    if arguments.is_filter() {
        return filter(level);
    }
    let signals = Signals::listen(OnHangUp::Unchanged).context("cannot receive signals")?;
    let runtime: Arc<dyn Runtime> = Arc::new(Smol::new().context("cannot start a thread")?);
    let (stop, abort) = (Cancel::default(), Cancel::default());
    let oneshot = OneShot {
        runtime,
        workers: common.workers.map_or_else(setup::all_cpus, usize::from),
        options: options(arguments, level),
        recursive: arguments.recursive,
        shard: arguments.shard.filter(|_| arguments.recursive),
        observer: observer(common, arguments),
        stop: stop.clone(),
        abort: abort.clone(),
    };
    let paths = arguments.paths.clone();
    let (report, signal) = block_on(async {
        let mut signal = None;
        let report = race(vec![
            Box::pin(oneshot.run(paths)),
            Box::pin(stop_by_signal(&signals, &stop, &abort, &mut signal)),
        ])
        .await;
        (report, signal)
    });
    let report = report?;
    print::report(&report, arguments.json).context("cannot write the report")?;
    Ok(match signal {
        // Unlike a service, whoever named these files wants to know that some are left.
        Some(signal) if report.left > 0 => Exit::Signal(signal),
        _ if report.failed > 0 => Exit::SomeFailed,
        _ => Exit::Done,
    })
}

/// The first signal begins nothing more, the second gives up what is in flight. Never ends by itself.
async fn stop_by_signal<T>(signals: &Signals, stop: &Cancel, abort: &Cancel, last: &mut Option<Signal>) -> T {
    loop {
        let signal = signals.next().await;
        if last.replace(signal).is_some() {
            abort.cancel();
        }
        stop.cancel();
    }
}

fn options(arguments: &Compress, level: Level) -> FileOptions {
    let options = FileOptions::default()
        .with_level(level)
        .with_keep_original(arguments.keep)
        .with_replace(arguments.force);
    match &arguments.output_dir {
        Some(folder) => options.with_output_dir(folder),
        None => options,
    }
}

/// A sentence for each failure and each file passed over; with a terminal, a bar.
fn observer(common: &Common, arguments: &Compress) -> Arc<dyn Observer> {
    let quiet = common.verbosity() < 0;
    let is_shown = !quiet && io::stderr().is_terminal();
    let mut progress = Progress::new(is_shown);
    if is_shown && !arguments.recursive {
        let sizes = arguments.paths.iter().filter_map(|path| path.symlink_metadata().ok());
        progress.expect(sizes.filter(Metadata::is_file).map(|file| file.len()).sum());
    }
    let sentences = Sentences {
        progress: progress.clone(),
        verbosity: common.verbosity(),
        replace: arguments.force,
    };
    if is_shown {
        Arc::new(Observers(vec![Arc::new(progress), Arc::new(sentences)]))
    } else {
        Arc::new(sentences)
    }
}

/// Tells a person what became of the files that were not compressed, as gzip does.
struct Sentences {
    progress: Progress,
    verbosity: i16,
    /// Whether -f was given.
    replace: bool,
}

impl Sentences {
    fn say(&self, text: impl std::fmt::Display) {
        self.progress.suspend(|| print::complain(text));
    }
}

impl Observer for Sentences {
    fn compressed(&self, _: &Path, source: &Path, success: &Success<'_>) {
        if self.verbosity > 0 {
            let (source, output) = (Escaped(source), Escaped(success.output));
            let (bytes_in, bytes_out) = (success.bytes_in, success.bytes_out);
            self.say(format_args!("{source}: {bytes_in} -> {bytes_out} bytes, now {output}"));
        }
    }

    fn skipped(&self, _: &Path, source: &Path, reason: &Reason) {
        if self.verbosity >= 0 {
            let hint = if *reason == Reason::Folder {
                " (-r goes through folders)"
            } else {
                ""
            };
            self.say(format_args!("{}: skipped: {reason}{hint}", Escaped(source)));
        }
    }

    fn failed(&self, _: &Path, _: &Path, failure: &Failure<'_>) {
        let error = failure.error;
        if self.verbosity > -2 {
            let taken = error.kind() == ErrorKind::AlreadyExists && error.step() == Step::Publish;
            let hint = if taken && !self.replace {
                " (-f replaces it)"
            } else {
                ""
            };
            self.say(format_args!("{error}{hint}"));
        }
    }

    fn warning(&self, message: &str) {
        if self.verbosity >= 0 {
            self.say(message);
        }
    }

    fn finished(&self, _: &Report) {}
}

/// Standard input to standard output, with nothing else on either; what logrotate's `compresscmd` and a shell's pipe want.
fn filter(level: Level) -> Result<Exit> {
    let input = unbuffered(io::stdin().as_fd()).context("cannot read standard input")?;
    let output = unbuffered(io::stdout().as_fd()).context("cannot write standard output")?;
    if output.is_terminal() {
        print::complain("compressed data is not written to a terminal; name a file: dwindle compress - > FILE.gz");
        return Ok(Exit::Usage);
    }
    match compress_stream(input, output, level) {
        Ok(()) => Ok(Exit::Done),
        Err(CompressError::Read(error)) => Err(error).context("cannot read standard input"),
        Err(CompressError::Write(error)) => Err(error).context("cannot write standard output"),
        Err(CompressError::Wrong(what)) => anyhow::bail!("the output is wrong: {what}"),
        Err(CompressError::Resized) => unreachable!("no length was promised"),
        Err(CompressError::Stopped(never)) => match never {},
    }
}

fn compress_stream(
    input: impl Read,
    output: File,
    level: Level,
) -> Result<(), CompressError<std::convert::Infallible>> {
    codec::compress(input, output, &Header::default(), level, &Alone, |_| Ok(()))?;
    Ok(())
}

/// Without the line buffering and locks of the standard streams.
fn unbuffered(stream: std::os::fd::BorrowedFd<'_>) -> io::Result<File> {
    stream.try_clone_to_owned().map(File::from)
}
