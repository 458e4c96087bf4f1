//! The counts of a run and the sentence that closes it.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// What a run did. Printed, it is the report line:
///
/// ```
/// # use std::time::Duration;
/// let mut report = dwindle::Report::default();
/// report.compressed = 412;
/// report.bytes_in = 1_299_227_607;
/// report.bytes_out = 124_151_398;
/// report.skipped = 3;
/// report.elapsed = Duration::from_millis(36_200);
/// assert_eq!(
///     report.to_string(),
///     "Compressed 412 files: 1.21 GiB -> 118.40 MiB (90.4% smaller) in 36.2 s; 3 skipped, 0 failed, 0 left"
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Files that became an output, each counted once.
    pub compressed: u64,
    /// Bytes of the originals of those.
    pub bytes_in: u64,
    /// Bytes of their outputs.
    pub bytes_out: u64,
    /// Files that were looked at when they came and passed over.
    pub skipped: u64,
    /// Files whose last try failed. Each is still there, or where the watch wants those that failed.
    pub failed: u64,
    /// Files that were known and not begun when the drain ended. The next start finds them.
    pub left: u64,
    /// `.gz` files that were removed again, since the watch keeps no more.
    pub removed: u64,
    /// From the start to this report, by the runtime's clock.
    pub elapsed: Duration,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in {:.1} s; {} skipped, {} failed, {} left",
            Compressed(self),
            self.elapsed.as_secs_f64(),
            self.skipped,
            self.failed,
            self.left
        )
    }
}

/// How many files, and how much smaller they are: the beginning of the sentence.
pub(crate) struct Compressed<'a>(pub(crate) &'a Report);

impl Display for Compressed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Report {
            compressed,
            bytes_in,
            bytes_out,
            ..
        } = *self.0;
        let files = if compressed == 1 { "file" } else { "files" };
        write!(f, "Compressed {compressed} {files}")?;
        if compressed == 0 {
            return Ok(());
        }
        let change = Change(bytes_in, bytes_out);
        write!(f, ": {} -> {} ({change})", Size(bytes_in), Size(bytes_out))
    }
}

/// A size in binary units: whole bytes below 1 KiB, two decimals above.
pub(crate) struct Size(pub(crate) u64);

impl Display for Size {
    #[allow(clippy::cast_precision_loss)] // two decimals are printed
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].iter();
        let mut unit = units.next().expect("not empty");
        while size >= 1024.0 {
            let Some(next) = units.next() else { break };
            size /= 1024.0;
            unit = next;
        }
        write!(f, "{size:.2} {unit}")
    }
}

/// How much smaller, or, for data that does not compress, larger.
struct Change(u64, u64);

impl Display for Change {
    #[allow(clippy::cast_precision_loss)] // one decimal is printed
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Change(before, after) = *self;
        let percent = 100.0 * before.abs_diff(after) as f64 / before.max(1) as f64;
        let word = if after <= before { "smaller" } else { "larger" };
        write!(f, "{percent:.1}% {word}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_singular() {
        let report = Report {
            compressed: 1,
            bytes_in: 100,
            bytes_out: 130,
            elapsed: Duration::from_millis(49),
            ..Report::default()
        };
        assert_eq!(
            report.to_string(),
            "Compressed 1 file: 100 B -> 130 B (30.0% larger) in 0.0 s; 0 skipped, 0 failed, 0 left"
        );
    }

    #[test]
    fn no_files_have_no_sizes() {
        let report = Report {
            skipped: 2,
            failed: 1,
            left: 7,
            elapsed: Duration::from_millis(300),
            ..Report::default()
        };
        assert_eq!(
            report.to_string(),
            "Compressed 0 files in 0.3 s; 2 skipped, 1 failed, 7 left"
        );
    }

    #[test]
    fn sizes_change_unit_at_powers_of_1024() {
        let print = |bytes| Size(bytes).to_string();
        assert_eq!(print(1023), "1023 B");
        assert_eq!(print(1024), "1.00 KiB");
        assert_eq!(print(1024 * 1024), "1.00 MiB");
        assert_eq!(print(u64::MAX), "16.00 EiB");
    }
}
