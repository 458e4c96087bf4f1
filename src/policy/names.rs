//! The names that say enough by themselves: unpublished files of our own, files that somebody still writes, files that are
//! compressed already, web files. All but our own match in either case of letters.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::model::Format;

/// What a name stands for: the last part of a path, or a part on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
}

/// Whether this is an output that has not been published yet, or an original in quarantine. `NAME.dwindle-conflict-N` and
/// `NAME.dwindle-rescued-N` are neither: they are a person's data, and in sight.
pub(super) fn is_own_temporary(name: &[u8]) -> bool {
    name.starts_with(b".dwindle-") || quarantined(name).is_some()
}

/// The name of an original in quarantine: `.NAME.dwindle-RANDOM.q`, with eight hexadecimal digits.
pub(crate) fn quarantine_name(original: &OsStr, random: u32) -> OsString {
    let mut name = OsString::from(".");
    name.push(original);
    name.push(format!(".dwindle-{random:08x}.q"));
    name
}

/// How many bytes longer that is than the original's name.
pub(crate) const QUARANTINE_ADDS: usize = ".".len() + ".dwindle-01234567.q".len();

/// The name of the original, where this is one that it has in quarantine.
pub(crate) fn quarantined_original(name: &OsStr) -> Option<&OsStr> {
    quarantined(name.as_bytes()).map(OsStr::from_bytes)
}

/// Whether this is an output that has a name before it is published.
pub(crate) fn is_unpublished(name: &OsStr) -> bool {
    let random = name.as_bytes().strip_prefix(b".dwindle-");
    let random = random.and_then(|rest| rest.strip_suffix(b".tmp"));
    random.is_some_and(|random| random.len() == 16 && random.iter().all(u8::is_ascii_hexdigit))
}

fn quarantined(name: &[u8]) -> Option<&[u8]> {
    let name = name.strip_suffix(b".q")?;
    let (name, random) = name.split_at(name.len().checked_sub(b"01234567".len())?);
    let original = name.strip_prefix(b".")?.strip_suffix(b".dwindle-")?;
    let is_random = random.iter().all(u8::is_ascii_hexdigit);
    (is_random && !original.is_empty()).then_some(original)
}

/// The pattern by which programs name what they have not finished, if this is such a name.
pub(super) fn in_progress(name: &[u8], kind: Kind) -> Option<&'static str> {
    if is_rsync_temporary(name) {
        return Some(".NAME.XXXXXX");
    }
    let applies = |pattern: &&Pattern| (kind == Kind::Folder || !pattern.folder_only) && pattern.matches(name);
    IN_PROGRESS.iter().find(applies).map(|pattern| pattern.text)
}

/// The name of an output's original, where this is an output's.
pub(crate) fn original_of(output: &OsStr) -> Option<&OsStr> {
    let mut suffixes = Format::ALL.iter().map(|format| format.suffix().as_bytes());
    let original = suffixes.find_map(|suffix| output.as_bytes().strip_suffix(suffix))?;
    (!original.is_empty()).then(|| OsStr::from_bytes(original))
}

/// The suffix, without its dot and in lower case, by which a name says that its content is compressed already.
pub(crate) fn compressed_suffix(name: &OsStr) -> Option<&'static str> {
    suffix_in(name.as_bytes(), COMPRESSED)
}

/// Whether the suffix is one of a web server's text-like files.
pub(super) fn is_web_file(name: &[u8]) -> bool {
    suffix_in(name, WEB).is_some()
}

/// A name with at most one `*`, which stands for any number of bytes. Like in a `.gitignore`, a slash at the end means folders only;
/// without one, a folder of that name counts too, as does all that is in it. Letters match in either case: such names are also
/// written by programs on file systems that do not tell the cases apart.
struct Pattern {
    text: &'static str,
    before: &'static [u8],
    after: &'static [u8],
    exact: bool,
    folder_only: bool,
}

impl Pattern {
    const fn new(text: &'static str) -> Self {
        let mut name = text.as_bytes();
        let mut folder_only = false;
        if let [rest @ .., b'/'] = name {
            name = rest;
            folder_only = true;
        }
        let mut star = 0;
        while star < name.len() && name[star] != b'*' {
            star += 1;
        }
        let (before, star_and_after) = name.split_at(star);
        let (after, exact): (&[u8], bool) = match star_and_after {
            [_, after @ ..] => (after, false),
            [] => (&[], true),
        };
        Pattern {
            text,
            before,
            after,
            exact,
            folder_only,
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        if self.exact {
            return name.eq_ignore_ascii_case(self.before);
        }
        let fits = name.len() >= self.before.len() + self.after.len();
        fits && starts_with(name, self.before) && ends_with(name, self.after)
    }
}

const IN_PROGRESS: &[Pattern] = &[
    // rsync: --delay-updates, --partial-dir
    Pattern::new(".~tmp~/"),
    Pattern::new(".rsync-partial/"),
    // Uploads and downloads
    Pattern::new("*.partial"),
    Pattern::new("*.filepart"),
    Pattern::new("*.part"),
    Pattern::new("*.crdownload"),
    Pattern::new("*.download"),
    Pattern::new("*.opdownload"),
    Pattern::new("*.aria2"),
    Pattern::new("*.ytdl"),
    Pattern::new("*.!qB"),
    Pattern::new("*.!ut"),
    Pattern::new(".in.*"),
    Pattern::new(".pureftpd-upload.*"),
    // Object stores and clusters
    Pattern::new("*._COPYING_"),
    Pattern::new("_temporary/"),
    Pattern::new("*_.gstmp"),
    // Editors and desktops
    Pattern::new("*.tmp"),
    Pattern::new("*.temp"),
    Pattern::new("*.swp"),
    Pattern::new("*~"),
    Pattern::new("#*#"),
    Pattern::new(".#*"),
    Pattern::new("~$*"),
    Pattern::new(".goutputstream-*"),
    Pattern::new("*.camelLock"),
    // Synchronisation and file systems
    Pattern::new("~syncthing~*"),
    Pattern::new(".nfs*"),
    Pattern::new(".fuse_hidden*"),
    // What desktops and appliances strew about
    Pattern::new("Thumbs.db"),
    Pattern::new("desktop.ini"),
    Pattern::new("@eaDir/"),
    Pattern::new("__MACOSX/"),
];

/// Sorted, in lower case. Left out on purpose: what is a container of anything (tar, iso, wav, tiff, bmp), what a deflater still
/// makes clearly smaller (pdf, ttf, ico), and endings with a second meaning (ts, pkg, bin).
const COMPRESSED: &[&str] = &[
    "3g2", "3gp", "3mf", "7z", "aab", "aac", "aar", "ac3", "ace", "ape", "apk", "arj", "asf", "avi", "avif", "bgz",
    "br", "bz", "bz2", "bz3", "cab", "cbr", "cbz", "crate", "crx", "deb", "docm", "docx", "dotx", "dz", "ear", "egg",
    "epub", "f4v", "flac", "flatpak", "flv", "gem", "gif", "gz", "gzip", "heic", "heif", "ipa", "jar", "jfif", "jmod",
    "jp2", "jpe", "jpeg", "jpg", "jxl", "kmz", "lha", "lrz", "lz", "lz4", "lzh", "lzma", "lzo", "m2ts", "m4a", "m4b",
    "m4p", "m4v", "mka", "mkv", "mov", "mp2", "mp3", "mp4", "mpeg", "mpg", "mts", "nupkg", "odg", "odp", "ods", "odt",
    "oga", "ogg", "ogv", "opus", "orc", "parquet", "png", "potx", "ppsx", "pptm", "pptx", "rar", "rpm", "rz", "snap",
    "sqfs", "squashfs", "svgz", "sz", "taz", "tb2", "tbz", "tbz2", "tgz", "tlz", "txz", "tz2", "tzo", "tzst", "udeb",
    "vob", "vsix", "war", "webm", "webp", "whl", "wma", "wmv", "woff", "woff2", "wv", "xlsb", "xlsm", "xlsx", "xltx",
    "xpi", "xz", "z", "zip", "zipx", "zst",
];

/// Sorted, in lower case.
const WEB: &[&str] = &[
    "css", "eot", "html", "ico", "js", "json", "map", "mjs", "otf", "svg", "ttf", "txt", "wasm", "xml",
];

/// The longest suffix of any list here.
const LONGEST: usize = 8;

/// The entry of a sorted list that is the name's suffix in lower case. A name that is nothing but a suffix has none.
fn suffix_in(name: &[u8], list: &'static [&'static str]) -> Option<&'static str> {
    let dot = name.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0)?;
    let suffix = name.get(dot + 1..)?;
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..suffix.len())?;
    lower.copy_from_slice(suffix);
    lower.make_ascii_lowercase();
    let found = list.binary_search_by(|entry| entry.as_bytes().cmp(lower)).ok()?;
    list.get(found).copied()
}

/// `.NAME.XXXXXX`: a dot before, and after a dot six letters or digits, as mkstemp(3) draws them.
fn is_rsync_temporary(name: &[u8]) -> bool {
    let Some((start, random)) = name.split_last_chunk::<6>() else {
        return false;
    };
    matches!(start, [b'.', _, .., b'.']) && random.iter().all(u8::is_ascii_alphanumeric)
}

fn starts_with(name: &[u8], start: &[u8]) -> bool {
    name.get(..start.len())
        .is_some_and(|part| part.eq_ignore_ascii_case(start))
}

fn ends_with(name: &[u8], end: &[u8]) -> bool {
    let at = name.len().checked_sub(end.len());
    at.and_then(|at| name.get(at..))
        .is_some_and(|part| part.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_lists_can_be_searched() {
        for list in [COMPRESSED, WEB] {
            assert!(list.is_sorted(), "a suffix is out of order");
            for suffix in list {
                assert!(suffix.len() <= LONGEST, "{suffix} is longer than LONGEST");
                assert_eq!(*suffix, suffix.to_ascii_lowercase());
                assert_eq!(suffix_in(format!("a.{suffix}").as_bytes(), list), Some(*suffix));
                assert_eq!(
                    suffix_in(format!("a.b.{}", suffix.to_uppercase()).as_bytes(), list),
                    Some(*suffix)
                );
            }
        }
        assert!(
            WEB.iter().all(|suffix| !COMPRESSED.contains(suffix)),
            "a suffix is in both lists"
        );
    }

    #[test]
    fn a_suffix_follows_a_name_and_a_dot() {
        for name in [
            "gz",
            ".gz",
            "agz",
            "a.gz.",
            "a.gz ",
            "a.gzz",
            "a.",
            ".",
            "",
            "a.gz/b",
            "a.quitelongsuffix",
        ] {
            assert_eq!(compressed_suffix(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn a_star_stands_for_nothing_too_but_never_for_an_overlap() {
        assert_eq!(in_progress(b"##", Kind::File), Some("#*#"));
        assert_eq!(in_progress(b"#", Kind::File), None);
        assert_eq!(in_progress(b"~", Kind::File), Some("*~"));
    }
}
