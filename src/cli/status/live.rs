//! `--watch`: the status again and again, until somebody has seen enough or the agent ends.

use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::find::{Source, is_absent};
use super::line::Look;
use super::screen::{Event, Screen};
use super::{print, read, text};
use crate::cli::exit::Exit;
use crate::daemon::control::{Status, Unanswered};

/// Between two looks of a program, or of a person at a screen.
const EVERY: Duration = Duration::from_secs(1);
/// Between two lines for a person.
const EVERY_LINE: Duration = Duration::from_secs(5);

/// Tells what the agent answers, the first answer at once: on a terminal on a screen of its own, elsewhere in lines.
///
/// # Errors
///
/// When the output cannot be written.
pub(super) fn run(source: Source, json: String, as_json: bool, look: Look) -> Result<Exit> {
    if as_json {
        return lines(source, json, EVERY, |json| Some(json.to_owned()));
    }
    match Screen::open().context("cannot use the terminal")? {
        Some(screen) => on_screen(source, &json, screen, look),
        None => lines(source, json, EVERY_LINE, |json| {
            let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
            Some(format!("{now}  {}", text::line(&read(json)?)))
        }),
    }
}

fn lines(
    mut source: Source,
    mut json: String,
    every: Duration,
    line_of: impl Fn(&str) -> Option<String>,
) -> Result<Exit> {
    loop {
        let begun = Instant::now();
        let Some(line) = line_of(&json) else {
            print::complain(source.is_strange());
            return Ok(Exit::TryLater);
        };
        let mut out = io::stdout().lock();
        match out.write_all((line + "\n").as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => {}
            // Whoever read it has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Exit::Done),
            Err(error) => return Err(error).context("cannot write the status"),
        }
        json = loop {
            thread::sleep(every.saturating_sub(begun.elapsed()));
            match source.ask() {
                Ok(json) => break json,
                Err(error) => {
                    if let Some(exit) = gone(&source, &error) {
                        return Ok(exit);
                    }
                    print::complain(error);
                    thread::sleep(every);
                }
            }
        };
    }
}

fn on_screen(mut source: Source, json: &str, mut screen: Screen, look: Look) -> Result<Exit> {
    let Some(mut status) = read(json) else {
        drop(screen);
        print::complain(source.is_strange());
        return Ok(Exit::TryLater);
    };
    let mut trouble = None;
    loop {
        let next = Instant::now() + EVERY;
        loop {
            let look = Look {
                size: screen.size(),
                ..look
            };
            screen
                .draw(&text::screen(&status, trouble.as_deref(), &look))
                .context("cannot write to the terminal")?;
            match screen.wait(next) {
                Event::Time => break,
                Event::Resized => {}
                Event::Left => return Ok(Exit::Done),
                Event::Signal(signal) => return Ok(Exit::Signal(signal)),
            }
        }
        match source.ask().map(|json| read(&json)) {
            Ok(Some(answered)) => {
                let before = std::mem::replace(&mut status, answered);
                set_rates(&mut status, &before);
                trouble = None;
            }
            Ok(None) => trouble = Some(source.is_strange()),
            Err(error) if is_end(&error) => {
                drop(screen);
                // What was seen last stays.
                let look = Look {
                    size: look.size.map(|(columns, _)| (columns, usize::MAX)),
                    ..look
                };
                print::bytes((text::lines(&status, &look).join("\n") + "\n").as_bytes()).context("cannot write")?;
                print::complain(source.has_stopped());
                return Ok(Exit::TryLater);
            }
            Err(error) => trouble = Some(error.to_string()),
        }
    }
}

/// Told where it is so: the agent is not there any more.
fn gone(source: &Source, error: &Unanswered) -> Option<Exit> {
    is_end(error).then(|| {
        print::complain(source.has_stopped());
        Exit::TryLater
    })
}

/// One that is there, and cannot be asked, may be asked again: a new agent lets nobody in before its socket is ready.
fn is_end(error: &Unanswered) -> bool {
    matches!(error, Unanswered::Closed) || is_absent(error)
}

/// How fast each file got on since the last look, which says more than the mean of its whole time.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss
)] // a rate is an estimate
fn set_rates(status: &mut Status, before: &Status) {
    for file in &mut status.files {
        let earlier = before.files.iter().find(|earlier| earlier.path == file.path);
        let earlier = earlier.filter(|earlier| earlier.bytes_done <= file.bytes_done && earlier.seconds < file.seconds);
        if let Some(earlier) = earlier {
            let bytes = file.bytes_done - earlier.bytes_done;
            file.bytes_per_second = (bytes as f64 / (file.seconds - earlier.seconds)) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_agent_that_is_not_there_has_stopped() {
        let failed = |kind: ErrorKind| Unanswered::Failed(kind.into());
        for error in [
            Unanswered::Closed,
            failed(ErrorKind::NotFound),
            failed(ErrorKind::ConnectionRefused),
        ] {
            assert!(is_end(&error), "{error}");
        }
        for error in [
            Unanswered::TooLate,
            Unanswered::Crowded,
            Unanswered::Refused("it hangs".to_owned()),
            failed(ErrorKind::PermissionDenied),
        ] {
            assert!(!is_end(&error), "{error}");
        }
    }
}
