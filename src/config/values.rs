//! What a key's value can be, and how it is written: durations, sizes, levels, names from a list, paths, globs.

use std::fmt::{self, Formatter};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::{LogFormat, LogLevel};
use crate::model::{Format, Level};
use crate::policy::{Marker, OnConflict, Preset, WatcherChoice, WriterCheck};

const MOST_WORKERS: i64 = 1024;
const SHORTEST_KEEP: Duration = Duration::from_secs(1);
const LONGEST_KEEP: Duration = Duration::from_secs(36_500 * 24 * 3600);
const SHORTEST_POLL: Duration = Duration::from_millis(100);
/// Longer waits are mistakes.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A type that a TOML value can be read as. What is not overridden is refused with the sentence of [`EXPECTED`](Self::EXPECTED).
pub(super) trait Value: Sized {
    /// Completes "expected …".
    const EXPECTED: &'static str;

    fn from_text(_text: &str) -> Result<Self, String> {
        Err(expected::<Self>())
    }

    fn from_integer(_number: i64) -> Result<Self, String> {
        Err(expected::<Self>())
    }

    fn from_boolean(_boolean: bool) -> Result<Self, String> {
        Err(expected::<Self>())
    }
}

/// The sentence for a value of the wrong kind.
pub(super) fn expected<T: Value>() -> String {
    format!("expected {}", T::EXPECTED)
}

/// A [`Value`] as serde reads it.
pub(super) struct Setting<T>(pub(super) T);

impl<'de, T: Value> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor(PhantomData))
    }
}

struct SettingVisitor<T>(PhantomData<T>);

impl<T: Value> Visitor<'_> for SettingVisitor<T> {
    type Value = Setting<T>;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Setting<T>, E> {
        T::from_text(text).map(Setting).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Setting<T>, E> {
        T::from_integer(number).map(Setting).map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, boolean: bool) -> Result<Setting<T>, E> {
        T::from_boolean(boolean).map(Setting).map_err(E::custom)
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_boolean(boolean: bool) -> Result<Self, String> {
        Ok(boolean)
    }
}

/// A number of workers.
pub(super) struct Workers(pub(super) usize);

impl Value for Workers {
    const EXPECTED: &'static str = "a number from 1 to 1024";

    fn from_integer(number: i64) -> Result<Self, String> {
        match usize::try_from(number) {
            Ok(workers) if (1..=MOST_WORKERS).contains(&number) => Ok(Workers(workers)),
            _ => Err(expected::<Self>()),
        }
    }
}

/// A number of files that may be none.
pub(super) struct Count(pub(super) usize);

impl Value for Count {
    const EXPECTED: &'static str = "a number from 0 to 10000";

    fn from_integer(number: i64) -> Result<Self, String> {
        match usize::try_from(number) {
            Ok(count) if (0..=10_000).contains(&number) => Ok(Count(count)),
            _ => Err(expected::<Self>()),
        }
    }
}

impl Value for Level {
    const EXPECTED: &'static str = "a number from 1 (fastest) to 9 (smallest)";

    fn from_integer(number: i64) -> Result<Self, String> {
        let level = u8::try_from(number).ok().and_then(Level::new);
        level.ok_or_else(expected::<Self>)
    }
}

/// A level of zstd, where a [`Level`] that is written alone is one of gzip.
#[cfg(feature = "zstd")]
pub(super) struct ZstdLevel(pub(super) Level);

#[cfg(feature = "zstd")]
impl Value for ZstdLevel {
    const EXPECTED: &'static str = "a number from 1 (fastest) to 19 (smallest), since `format` is \"zstd\"";

    fn from_integer(number: i64) -> Result<Self, String> {
        let level = u8::try_from(number).ok().and_then(|number| Format::Zstd.level(number));
        level.map(ZstdLevel).ok_or_else(expected::<Self>)
    }
}

impl Value for Format {
    #[cfg(feature = "zstd")]
    const EXPECTED: &'static str = r#""gzip" or "zstd""#;
    #[cfg(not(feature = "zstd"))]
    const EXPECTED: &'static str = r#""gzip", the only one that is built in"#;

    fn from_text(text: &str) -> Result<Self, String> {
        Format::named(text).ok_or_else(expected::<Self>)
    }
}

/// A day is 24 hours, a week seven of them. Months and years, whose length varies, are refused.
impl Value for Duration {
    const EXPECTED: &'static str = r#"a duration like "90s", "5m", "36h" or "30d""#;

    fn from_text(text: &str) -> Result<Self, String> {
        match duration_of(text)? {
            duration if duration <= LONGEST => Ok(duration),
            _ => Err("the longest duration is \"365d\"".to_owned()),
        }
    }

    fn from_integer(number: i64) -> Result<Self, String> {
        if (0..=31_536_000).contains(&number) {
            return Err(format!("a duration needs a unit: \"{number}s\""));
        }
        Err(expected::<Self>())
    }
}

fn duration_of(text: &str) -> Result<Duration, String> {
    let span = SpanParser::new().parse_span(text).map_err(|_| expected::<Duration>())?;
    if span.is_negative() {
        return Err("a duration cannot be negative".to_owned());
    }
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| "months and years vary in length: say it in days, like \"30d\"".to_owned())?;
    Duration::try_from(duration).map_err(|_| expected::<Duration>())
}

/// A duration that a loop can wait for without eating a processor.
pub(super) struct PollInterval(pub(super) Duration);

impl Value for PollInterval {
    const EXPECTED: &'static str = Duration::EXPECTED;

    fn from_text(text: &str) -> Result<Self, String> {
        match Duration::from_text(text)? {
            interval if interval < SHORTEST_POLL => Err("the shortest interval is \"100ms\"".to_owned()),
            interval => Ok(PollInterval(interval)),
        }
    }

    fn from_integer(number: i64) -> Result<Self, String> {
        Duration::from_integer(number).map(PollInterval)
    }
}

/// Where to listen. No names: what they mean may change, and must be known when the service starts.
impl Value for SocketAddr {
    const EXPECTED: &'static str = r#"an address and a port like "127.0.0.1:9713" or "[::1]:9713""#;

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| match text.split_once("localhost:") {
            Some(("", port)) => format!("expected an address, not a name: \"127.0.0.1:{port}\" or \"[::1]:{port}\""),
            _ => expected::<Self>(),
        })
    }
}

/// A number of bytes. `KB`, `MB`, `GB` are powers of 1000, `KiB`, `MiB`, `GiB` of 1024.
pub(super) struct Size(pub(super) u64);

impl Value for Size {
    const EXPECTED: &'static str = r#"a size like "512B", "64KiB" or "10MB", or a number of bytes"#;

    fn from_text(text: &str) -> Result<Self, String> {
        // The parser takes a number without a unit too, which would hide a forgotten one.
        let has_unit = text.trim_end().ends_with(|last: char| last.is_ascii_alphabetic());
        let size = text.parse::<ByteSize>().ok().filter(|_| has_unit);
        match size {
            Some(size) if i64::try_from(size.as_u64()).is_ok() => Ok(Size(size.as_u64())),
            Some(_) => Err("no file is that large".to_owned()),
            None if text.trim_start().starts_with('-') => Err("a size cannot be negative".to_owned()),
            None => Err(expected::<Self>()),
        }
    }

    fn from_integer(number: i64) -> Result<Self, String> {
        u64::try_from(number)
            .map(Size)
            .map_err(|_| "a size cannot be negative".to_owned())
    }
}

/// A path that the system could take.
impl Value for PathBuf {
    const EXPECTED: &'static str = "a path in quotes";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a path cannot be empty".to_owned());
        }
        if text.contains('\0') {
            return Err("a path cannot contain a NUL byte".to_owned());
        }
        Ok(PathBuf::from(text))
    }
}

/// A pattern. Whether it can be used, the watch's rules say.
pub(super) struct Glob(pub(super) String);

impl Value for Glob {
    const EXPECTED: &'static str = r#"a glob in quotes, like "*.csv""#;

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Glob(text.to_owned()))
    }
}

/// A hook's program, or an argument of it.
pub(super) struct Argument(pub(super) String);

impl Value for Argument {
    const EXPECTED: &'static str = r#"a text in quotes, like "{output}""#;

    fn from_text(text: &str) -> Result<Self, String> {
        if text.contains('\0') {
            return Err("an argument cannot contain a NUL byte".to_owned());
        }
        Ok(Argument(text.to_owned()))
    }
}

/// How long a hook may run: for a moment at least.
pub(super) struct HookTimeout(pub(super) Duration);

impl Value for HookTimeout {
    const EXPECTED: &'static str = Duration::EXPECTED;

    fn from_text(text: &str) -> Result<Self, String> {
        match Duration::from_text(text)? {
            Duration::ZERO => Err("a hook needs time to run".to_owned()),
            timeout => Ok(HookTimeout(timeout)),
        }
    }

    fn from_integer(number: i64) -> Result<Self, String> {
        Duration::from_integer(number).map(HookTimeout)
    }
}

/// How long outputs are kept.
pub(super) struct KeepFor(pub(super) Duration);

impl Value for KeepFor {
    const EXPECTED: &'static str = Duration::EXPECTED;

    fn from_text(text: &str) -> Result<Self, String> {
        match duration_of(text)? {
            age if age < SHORTEST_KEEP => Err("nothing would be kept: the shortest is \"1s\"".to_owned()),
            age if age > LONGEST_KEEP => Err("the longest is \"36500d\", a century".to_owned()),
            age => Ok(KeepFor(age)),
        }
    }

    fn from_integer(number: i64) -> Result<Self, String> {
        Duration::from_integer(number).map(KeepFor)
    }
}

/// How many outputs of a series are kept.
pub(super) struct KeepCount(pub(super) u32);

impl Value for KeepCount {
    const EXPECTED: &'static str = "a number from 1 on";

    fn from_integer(number: i64) -> Result<Self, String> {
        match u32::try_from(number) {
            Ok(count) if count > 0 => Ok(KeepCount(count)),
            _ => Err(expected::<Self>()),
        }
    }
}

/// How many bytes of outputs are kept.
pub(super) struct KeepBytes(pub(super) u64);

impl Value for KeepBytes {
    const EXPECTED: &'static str = Size::EXPECTED;

    fn from_text(text: &str) -> Result<Self, String> {
        Size::from_text(text).and_then(Self::of)
    }

    fn from_integer(number: i64) -> Result<Self, String> {
        Size::from_integer(number).and_then(Self::of)
    }
}

impl KeepBytes {
    fn of(Size(bytes): Size) -> Result<Self, String> {
        if bytes == 0 {
            // To some programs that means without a limit.
            return Err("only the newest would be kept; leave the key out to keep all".to_owned());
        }
        Ok(KeepBytes(bytes))
    }
}

/// How markers are named.
pub(super) struct MarkerPattern(pub(super) String);

impl Value for MarkerPattern {
    const EXPECTED: &'static str = r#"a name in quotes with {name} in it, like "{name}.done""#;

    fn from_text(text: &str) -> Result<Self, String> {
        match Marker::new(text) {
            Ok(_) => Ok(MarkerPattern(text.to_owned())),
            Err(problem) => Err(problem.message),
        }
    }
}

/// A value that is one of a few words.
macro_rules! choice {
    ($type:ty, $expected:literal, $($word:literal => $value:expr),+ $(,)?) => {
        impl Value for $type {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($value),)+
                    _ => Err(expected::<Self>()),
                }
            }
        }
    };
}

choice!(Preset, r#""inbox", "rotated-logs" or "static-assets""#,
    "inbox" => Preset::Inbox,
    "rotated-logs" => Preset::RotatedLogs,
    "static-assets" => Preset::StaticAssets,
);
choice!(WriterCheck, r#""lease" or "quiet""#,
    "lease" => WriterCheck::Lease,
    "quiet" => WriterCheck::Quiet,
);
choice!(OnConflict, r#""number", "replace" or "skip""#,
    "number" => OnConflict::Number,
    "replace" => OnConflict::Replace,
    "skip" => OnConflict::Skip,
);
choice!(WatcherChoice, r#""auto", "native" or "poll""#,
    "auto" => WatcherChoice::Auto,
    "native" => WatcherChoice::Native,
    "poll" => WatcherChoice::Poll,
);
choice!(LogFormat, r#""auto", "text", "json" or "journald""#,
    "auto" => LogFormat::Auto,
    "text" => LogFormat::Text,
    "json" => LogFormat::Json,
    "journald" => LogFormat::Journald,
);
choice!(LogLevel, r#""error", "warn", "info", "debug" or "trace""#,
    "error" => LogLevel::Error,
    "warn" => LogLevel::Warn,
    "info" => LogLevel::Info,
    "debug" => LogLevel::Debug,
    "trace" => LogLevel::Trace,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("90s", Ok(90_000)),
            ("5m", Ok(300_000)),
            ("36h", Ok(129_600_000)),
            ("30d", Ok(2_592_000_000)),
            ("500ms", Ok(500)),
            ("1h30m", Ok(5_400_000)),
            ("1h 30m", Ok(5_400_000)),
            ("1.5s", Ok(1500)),
            ("2w", Ok(1_209_600_000)),
            ("0s", Ok(0)),
            ("365d", Ok(31_536_000_000)),
            ("366d", Err("longest")),
            ("9999999h", Err("longest")),
            ("-5s", Err("negative")),
            ("5s ago", Err("negative")),
            ("1mo", Err("months")),
            ("1y", Err("months")),
            ("", Err("expected")),
            ("5", Err("expected")),
            ("5 parsecs", Err("expected")),
            ("s", Err("expected")),
            ("99999999999999999999s", Err("expected")),
        ] {
            match (Duration::from_text(text), expected) {
                (Ok(duration), Ok(milliseconds)) => assert_eq!(duration, Duration::from_millis(milliseconds), "{text}"),
                (Err(message), Err(part)) => assert!(message.contains(part), "{text}: {message}"),
                (read, _) => panic!("{text}: {read:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("512B", Ok(512)),
            ("64KiB", Ok(65_536)),
            ("10MB", Ok(10_000_000)),
            ("1.5 KiB", Ok(1536)),
            ("0B", Ok(0)),
            ("10GiB", Ok(10_737_418_240)),
            ("512", Err("expected")),
            ("-1B", Err("negative")),
            ("64EiB", Err("large")),
            ("", Err("expected")),
            ("KiB", Err("expected")),
            ("1QiB", Err("expected")),
        ] {
            match (Size::from_text(text), expected) {
                (Ok(Size(bytes)), Ok(expected)) => assert_eq!(bytes, expected, "{text}"),
                (Err(message), Err(part)) => assert!(message.contains(part), "{text}: {message}"),
                (read, _) => panic!("{text}: {:?}, not {expected:?}", read.map(|size| size.0)),
            }
        }
    }
}
