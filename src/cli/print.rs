//! Printing. Nothing here panics: whoever reads our output may go away at any time.

use std::fmt::{Display, Write as _};
use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use crate::config::Diagnostic;
use crate::model::Report;

/// Prints one line on standard output. That nobody reads it any more is no error.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// Many lines for standard output, written a portion at a time.
#[derive(Debug)]
pub(crate) struct Lines {
    waiting: String,
    written: io::Result<()>,
}

impl Lines {
    const PORTION: usize = 64 * 1024;

    pub(crate) fn new() -> Self {
        Lines {
            waiting: String::new(),
            written: Ok(()),
        }
    }

    /// After a failure nothing more is printed; [`end`](Self::end) tells of it.
    pub(crate) fn add(&mut self, line: impl Display) {
        let _ = writeln!(self.waiting, "{line}");
        if self.waiting.len() >= Self::PORTION {
            self.write();
        }
    }

    /// Prints what still waits. That nobody reads it any more is no error.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.write();
        self.written
    }

    fn write(&mut self) {
        if self.written.is_ok() {
            self.written = bytes(self.waiting.as_bytes());
        }
        self.waiting.clear();
    }
}

/// Prints a whole document on standard output. That nobody reads it any more is no error.
pub(crate) fn bytes(document: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    forgive_closed_pipe(out.write_all(document).and_then(|()| out.flush()))
}

/// Prints the report, as a sentence or as JSON: the last line of standard output.
pub(crate) fn report(report: &Report, as_json: bool) -> io::Result<()> {
    if as_json { line(json(report)) } else { line(report) }
}

/// Tells a person on standard error: `dwindle: TEXT`. Where that cannot be written, there is nobody to tell.
pub(crate) fn complain(text: impl Display) {
    let _ = io::stderr().write_all(format!("dwindle: {text}\n").as_bytes());
}

/// Tells a person on standard error what is wrong with the configuration.
pub(crate) fn problems(problems: &[Diagnostic]) {
    for problem in problems {
        let _ = io::stderr().write_all(format!("{problem}\n\n").as_bytes());
    }
}

/// The report as one line of JSON.
pub(crate) fn json(report: &Report) -> String {
    let fields = Fields {
        compressed: report.compressed,
        bytes_in: report.bytes_in,
        bytes_out: report.bytes_out,
        skipped: report.skipped,
        failed: report.failed,
        left: report.left,
        seconds: (report.elapsed.as_secs_f64() * 1000.0).round() / 1000.0,
    };
    serde_json::to_string(&fields).expect("numbers under fixed names are always JSON")
}

/// The names and their order are relied on by scripts.
#[derive(Serialize)]
struct Fields {
    compressed: u64,
    bytes_in: u64,
    bytes_out: u64,
    skipped: u64,
    failed: u64,
    left: u64,
    seconds: f64,
}

fn forgive_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn report_as_json_has_the_fixed_names_in_order() {
        let report = Report {
            compressed: 412,
            bytes_in: 1_299_227_607,
            bytes_out: 124_151_398,
            skipped: 3,
            removed: 0,
            failed: 2,
            left: 1,
            elapsed: Duration::from_micros(36_200_499),
        };
        assert_eq!(
            json(&report),
            r#"{"compressed":412,"bytes_in":1299227607,"bytes_out":124151398,"skipped":3,"failed":2,"left":1,"seconds":36.2}"#
        );
    }

    #[test]
    fn seconds_have_milliseconds() {
        let seconds = |elapsed| {
            let report = Report {
                elapsed,
                ..Report::default()
            };
            let json: serde_json::Value = serde_json::from_str(&json(&report)).unwrap();
            json["seconds"].as_f64().unwrap()
        };
        for (elapsed, expected) in [
            (Duration::ZERO, "0"),
            (Duration::from_micros(1_500), "0.002"),
            (Duration::from_millis(61_042), "61.042"),
        ] {
            assert_eq!(seconds(elapsed).to_string(), expected);
        }
    }

    #[test]
    fn closed_pipe_ends_quietly_and_a_full_disk_does_not() {
        let result = |kind: ErrorKind| forgive_closed_pipe(Err(kind.into()));
        assert!(result(ErrorKind::BrokenPipe).is_ok());
        assert!(result(ErrorKind::StorageFull).is_err());
    }
}
