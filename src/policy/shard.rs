//! One of N parts of all files, told by a file's path alone, so that N agents need not speak with each other.

use std::fmt::{self, Display, Formatter};
use std::num::NonZeroU32;
use std::path::Path;
use std::str::FromStr;

use super::select::tidy;

/// Shard I of N: the files whose path falls to the I-th of N parts. N shards have every file exactly once.
///
/// To which shard a file falls is told by its path relative to the watched folder, as bytes, so hosts agree that mount it at different
/// places; and by N. It never changes from one version to another:
///
/// 1. FNV-1a with 64 bits, over the bytes of the path, its parts separated by one slash;
/// 2. the number `x` of that mixed, so that few and similar names spread over any N: `x ^= x >> 33; x *= 0xff51afd7ed558ccd;
///    x ^= x >> 33; x *= 0xc4ceb9fe1a85ec53; x ^= x >> 33` (the finalizer of `MurmurHash3`);
/// 3. `x % N`, counted from 1.
///
/// ```
/// use std::path::Path;
/// use dwindle::Shard;
///
/// let shard: Shard = "2/4".parse()?;
/// assert_eq!(Some(shard), Shard::new(2, 4));
/// assert!(shard.has(Path::new("2026/orders-1.csv")));
/// let of_file = |index| Shard::new(index, 4).is_some_and(|shard| shard.has(Path::new("2026/orders-1.csv")));
/// assert_eq!((1..=4).filter(|index| of_file(*index)).count(), 1);
/// # Ok::<(), dwindle::ShardError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    /// From 1.
    index: NonZeroU32,
    of: NonZeroU32,
}

/// Why a text names no [`Shard`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// It is not two numbers with a slash between them.
    #[error("a shard is two whole numbers, I/N, such as 1/4")]
    Malformed,
    /// The first number is 0.
    #[error(
        "shards are counted from 1: with an index that counts from 0, like that of a Kubernetes Indexed Job, write $((JOB_COMPLETION_INDEX + 1))/{0}"
    )]
    CountedFromZero(u32),
    /// The first number is greater than the second.
    #[error("there is no shard {0} of {1}: the last one is {1}/{1}")]
    BeyondTheLast(u32, u32),
}

impl Shard {
    /// Shard `index`, counted from 1, of `of`; nothing where there is no such shard.
    pub fn new(index: u32, of: u32) -> Option<Self> {
        let (index, of) = (NonZeroU32::new(index)?, NonZeroU32::new(of)?);
        (index <= of).then_some(Shard { index, of })
    }

    /// Whether a file falls to this shard. `relative` is its path from the watched folder on.
    pub fn has(self, relative: &Path) -> bool {
        self.has_bytes(&tidy(relative))
    }

    /// As [`has`](Self::has), of a path without empty parts and `.`.
    pub(super) fn has_bytes(self, path: &[u8]) -> bool {
        place_of(path, self.of) == self.index
    }

    /// The shard that has a file which this one has not.
    pub(super) fn other_of_bytes(self, path: &[u8]) -> Self {
        Shard {
            index: place_of(path, self.of),
            of: self.of,
        }
    }
}

impl Display for Shard {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_: &u32| is_number)
        };
        let numbers = text
            .split_once('/')
            .and_then(|(index, of)| Some((number(index)?, number(of)?)));
        match numbers {
            None | Some((_, 0)) => Err(ShardError::Malformed),
            Some((0, of)) => Err(ShardError::CountedFromZero(of)),
            Some((index, of)) => Shard::new(index, of).ok_or(ShardError::BeyondTheLast(index, of)),
        }
    }
}

/// From 1 to `of`.
fn place_of(path: &[u8], of: NonZeroU32) -> NonZeroU32 {
    let place = mix(fnv_1a(path)) % u64::from(of.get());
    // Smaller than a number of 32 bits.
    let place = u32::try_from(place).unwrap_or(0);
    NonZeroU32::MIN.saturating_add(place)
}

fn fnv_1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The lowest bit of FNV-1a is no more than the parity of those of all bytes; of this every bit depends on every bit.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    fn place(path: &[u8], of: u32) -> u32 {
        place_of(path, NonZeroU32::new(of).unwrap()).get()
    }

    /// Taken from a second implementation, in Python. A change of any of these numbers would have files taken twice, or never, while a fleet
    /// is upgraded.
    #[test]
    fn a_file_falls_to_the_same_shard_in_every_version() {
        // Of the hash itself, the values that its authors publish (FNV test vectors).
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv_1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv_1a(b"foobar"), 0x8594_4171_f739_67e8);
        let table: &[(&[u8], [u32; 5])] = &[
            (b"a", [2, 3, 4, 4, 316]),
            (b"orders.csv", [1, 3, 3, 7, 967]),
            (b"2026/11/25/orders-0001.csv", [1, 3, 1, 1, 529]),
            (b"app.log.1", [2, 1, 2, 2, 130]),
            (b"app.log.2", [2, 2, 2, 2, 994]),
            (b"caf\xe9.csv", [2, 1, 4, 8, 104]),
            (b"na\xc3\xafve/\xe6\x97\xa5\xe6\x9c\xac.txt", [1, 2, 3, 7, 215]),
            (b"a\nb", [1, 3, 1, 1, 521]),
        ];
        for (path, places) in table {
            let found = [2, 3, 4, 8, 1000].map(|of| place(path, of));
            assert_eq!(found, *places, "{}", path.escape_ascii());
        }
    }

    #[test]
    fn similar_names_spread_evenly_over_any_number_of_shards() {
        let schemes: [fn(u32) -> String; 4] = [
            |number| format!("{number}"),
            |number| format!("app.log.{number}"),
            |number| format!("host-{:02}/2026/{:02}/part-{number:05}.csv", number % 16, number % 12),
            // The parity of all bytes' lowest bits is the same for all of these.
            |number| format!("{number:04}/{number:04}"),
        ];
        for scheme in schemes {
            for of in [2, 3, 4, 7, 8, 16, 64] {
                let mut counts = vec![0_u32; of as usize];
                for number in 0..6400 {
                    counts[place(scheme(number).as_bytes(), of) as usize - 1] += 1;
                }
                let even = 6400 / of;
                // Five times the deviation of what is drawn by chance.
                let most = 5.0 * f64::from(even).sqrt();
                for count in counts {
                    assert!(f64::from(count.abs_diff(even)) < most, "{}: {count} of {of}", scheme(1));
                }
            }
        }
    }

    #[test]
    fn every_path_has_exactly_one_shard() {
        for path in [&b"a"[..], b"a/b", b"caf\xe9/\xff\n.csv", b""] {
            let path = Path::new(OsStr::from_bytes(path));
            for of in [1, 2, 5, 1000] {
                let having = (1..=of).filter(|index| Shard::new(*index, of).unwrap().has(path));
                assert_eq!(having.count(), 1, "{path:?} of {of}");
            }
        }
        let most = Shard::new(u32::MAX, u32::MAX).unwrap();
        assert!(!most.has(Path::new("a")));
    }

    #[test]
    fn a_path_is_the_same_however_it_is_written() {
        let shard = Shard::new(place(b"a/b", 1000), 1000).unwrap();
        for path in ["a/b", "./a/b", "a//b", "a/./b", "a/b/"] {
            assert!(shard.has(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_shard_is_written_as_two_numbers() {
        for text in ["1/1", "1/4", "4/4", "999/1000"] {
            assert_eq!(text.parse::<Shard>().unwrap().to_string(), text);
        }
        assert_eq!("01/04".parse::<Shard>(), Ok(Shard::new(1, 4).unwrap()));
        let malformed = [
            "",
            "1",
            "/",
            "1/",
            "/4",
            "a/b",
            "1/4/4",
            "-1/4",
            "+1/4",
            " 1/4",
            "1/0",
            "0/0",
            "1/99999999999",
        ];
        for text in malformed {
            assert_eq!(text.parse::<Shard>(), Err(ShardError::Malformed), "{text:?}");
        }
        assert_eq!("0/4".parse::<Shard>(), Err(ShardError::CountedFromZero(4)));
        assert_eq!("5/4".parse::<Shard>(), Err(ShardError::BeyondTheLast(5, 4)));
    }
}
