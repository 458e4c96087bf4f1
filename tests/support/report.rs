//! The report line as a script would read it.

/// The numbers of a report line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) compressed: u64,
    /// There when files were compressed.
    pub(crate) sizes: Option<Sizes>,
    pub(crate) seconds: f64,
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
    pub(crate) left: u64,
}

/// Bytes as printed, so rounded above 1023.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sizes {
    pub(crate) bytes_in: f64,
    pub(crate) bytes_out: f64,
    /// Negative when the output is larger.
    pub(crate) percent_smaller: f64,
}

impl Report {
    /// Reads a line, without its line end. `None` for every other text, and for a wrong plural or sizes where none belong.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (done, rest) = line.strip_prefix("Compressed ")?.split_once("; ")?;
        let (done, seconds) = done.strip_suffix(" s")?.rsplit_once(" in ")?;
        let (files, sizes) = match done.split_once(": ") {
            Some((files, sizes)) => (files, Some(Sizes::parse(sizes)?)),
            None => (done, None),
        };
        let compressed = parse_files(files)?;
        let mut counts = rest.split(", ");
        let mut count = |word| counts.next()?.strip_suffix(word)?.parse().ok();
        let report = Report {
            compressed,
            sizes,
            seconds: seconds.parse().ok()?,
            skipped: count(" skipped")?,
            failed: count(" failed")?,
            left: count(" left")?,
        };
        let complete = counts.next().is_none() && sizes.is_some() == (compressed > 0);
        complete.then_some(report)
    }
}

impl Sizes {
    fn parse(text: &str) -> Option<Self> {
        let (sizes, change) = text.strip_suffix(')')?.split_once(" (")?;
        let (bytes_in, bytes_out) = sizes.split_once(" -> ")?;
        let (percent, word) = change.split_once("% ")?;
        let sign = match word {
            "smaller" => 1.0,
            "larger" => -1.0,
            _ => return None,
        };
        Some(Sizes {
            bytes_in: parse_size(bytes_in)?,
            bytes_out: parse_size(bytes_out)?,
            percent_smaller: sign * percent.parse::<f64>().ok()?,
        })
    }
}

fn parse_files(text: &str) -> Option<u64> {
    let (count, word) = text.split_once(' ')?;
    let count = count.parse().ok()?;
    (word == if count == 1 { "file" } else { "files" }).then_some(count)
}

fn parse_size(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    let power = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        .iter()
        .position(|name| *name == unit)?;
    let factor = 1024_f64.powi(i32::try_from(power).ok()?);
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_line_is_read() {
        let sizes = |bytes_in, bytes_out, percent_smaller| {
            Some(Sizes {
                bytes_in,
                bytes_out,
                percent_smaller,
            })
        };
        let kib = 1024.0;
        let mib = kib * kib;
        #[rustfmt::skip]
        let cases = [
            ("Compressed 412 files: 1.21 GiB -> 118.40 MiB (90.4% smaller) in 36.2 s; 3 skipped, 0 failed, 0 left",
             412, sizes(1.21 * mib * kib, 118.4 * mib, 90.4), 36.2, [3, 0, 0]),
            ("Compressed 1 file: 100 B -> 130 B (30.0% larger) in 0.0 s; 0 skipped, 0 failed, 0 left",
             1, sizes(100.0, 130.0, -30.0), 0.0, [0, 0, 0]),
            ("Compressed 2 files: 1.50 KiB -> 1023 B (33.4% smaller) in 1234.5 s; 0 skipped, 12 failed, 0 left",
             2, sizes(1.5 * kib, 1023.0, 33.4), 1234.5, [0, 12, 0]),
            ("Compressed 0 files in 0.3 s; 2 skipped, 1 failed, 7 left",
             0, None, 0.3, [2, 1, 7]),
        ];
        for (line, compressed, sizes, seconds, [skipped, failed, left]) in cases {
            let expected = Report {
                compressed,
                sizes,
                seconds,
                skipped,
                failed,
                left,
            };
            assert_eq!(Report::parse(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let lines = [
            "",
            "Compressed",
            "Compressed 1 files: 100 B -> 30 B (70.0% smaller) in 0.0 s; 0 skipped, 0 failed, 0 left",
            "Compressed 2 file: 100 B -> 30 B (70.0% smaller) in 0.0 s; 0 skipped, 0 failed, 0 left",
            "Compressed 2 files in 0.0 s; 0 skipped, 0 failed, 0 left",
            "Compressed 0 files: 0 B -> 0 B (0.0% smaller) in 0.0 s; 0 skipped, 0 failed, 0 left",
            "Compressed 0 files in 0.3 s; 0 failed, 0 skipped, 0 left",
            "Compressed 0 files in 0.3 s; 0 skipped, 0 failed",
            "Compressed 0 files in 0.3 s; 0 skipped, 0 failed, 0 left, 0 lost",
            "Compressed 0 files in 0.3 s; 0 skipped, 0 failed, 0 left.",
            "Compressed 1 file: 1 KB -> 30 B (70.0% smaller) in 0.0 s; 0 skipped, 0 failed, 0 left",
        ];
        for line in lines {
            assert_eq!(Report::parse(line), None, "{line}");
        }
    }
}
