//! Making a `.gz` as others would, and reading one back by independent readers: gzip(1), pigz(1), Python, and flate2, which alone shows header and member; and a `.zst`
//! by zstd(1).

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;

use super::files::Kept;
use super::programs::{self, while_none_is_started};
use super::skip::has_tool;
use super::{Original, names_below};

/// What gzip(1) reads. Panics when it warns or fails.
pub(crate) fn read_with_gzip(path: &Path) -> Vec<u8> {
    read_with(path, Command::new("gzip").arg("-dc"))
}

/// What pigz(1) reads. Panics when it warns or fails.
pub(crate) fn read_with_pigz(path: &Path) -> Vec<u8> {
    read_with(path, Command::new("pigz").arg("-dc"))
}

/// What zstd(1) reads. Panics when it warns or fails, or when it is not one frame, with a checksum.
pub(crate) fn read_with_zstd(path: &Path) -> Vec<u8> {
    let listed = read_with(path, Command::new("zstd").args(["-lv", "--"]).arg(path));
    let listed = String::from_utf8_lossy(&listed);
    let says = |words: &str| {
        listed
            .lines()
            .any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(words))
    };
    assert!(says("# Zstandard Frames: 1") && says("Check: XXH64"), "{listed}");
    read_with(path, Command::new("zstd").args(["-dcq"]))
}

/// What Python's `zlib` module reads as the first member. Panics when it fails, or when anything follows that.
pub(crate) fn read_first_member_with_python(path: &Path) -> Vec<u8> {
    let program = "import sys, zlib\n\
        reader = zlib.decompressobj(31)\n\
        sys.stdout.buffer.write(reader.decompress(sys.stdin.buffer.read()))\n\
        sys.exit(not reader.eof or bool(reader.unused_data))";
    read_with(path, Command::new("python3").args(["-c", program]))
}

/// What Python's `gzip` module reads. Panics when it fails.
pub(crate) fn read_with_python(path: &Path) -> Vec<u8> {
    let program = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.stdin.buffer).read())";
    read_with(path, Command::new("python3").args(["-c", program]))
}

/// The file as standard input, so that no name of it can mislead the reader.
fn read_with(path: &Path, reader: &mut Command) -> Vec<u8> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let output = programs::output(reader.stdin(file)).expect("the reader starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {reader:?}: {}: {complaint}",
        path.display(),
        output.status
    );
    output.stdout
}

/// The one member of a file: its header's fields and its content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// FNAME of RFC 1952.
    pub(crate) name: Option<Vec<u8>>,
    /// MTIME of RFC 1952: seconds since the epoch, 0 where there is none.
    pub(crate) modified: u32,
    pub(crate) content: Vec<u8>,
}

/// What flate2 reads. Panics when it fails, or when anything follows the first member.
pub(crate) fn read_with_flate2(path: &Path) -> Member {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut decoder = GzDecoder::new(&bytes[..]);
    let mut content = Vec::new();
    let read = decoder.read_to_end(&mut content);
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let header = decoder.header().expect("a header was read");
    let (name, modified) = (header.filename().map(<[u8]>::to_vec), header.mtime());
    let rest = decoder.into_inner().len();
    assert_eq!(rest, 0, "{}: bytes after the first member", path.display());
    Member {
        name,
        modified,
        content,
    }
}

/// What each regular file below a folder holds, sorted: a `.gz` what it decompresses to. Panics at one that is not whole.
pub(crate) fn contents_below(folder: &Path) -> Vec<Vec<u8>> {
    let paths = names_below(folder).into_iter().map(|name| folder.join(name));
    let files = paths.filter(|path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file()));
    let mut contents: Vec<_> = files.filter_map(|path| content_of(&path)).collect();
    contents.sort();
    contents
}

/// Nothing where the file has gone meanwhile.
pub(crate) fn content_of(path: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    if path.extension().is_none_or(|suffix| suffix != "gz") {
        return Some(bytes);
    }
    let mut content = Vec::new();
    let read = MultiGzDecoder::new(&bytes[..]).read_to_end(&mut content);
    read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(content)
}

/// Checks all that is promised of a `.gz`: it is one member, every reader finds the original's bytes, the header has its name and
/// mtime, and the file has its mode, owner, mtime, and extended attributes.
pub(crate) fn assert_gz_of(path: &Path, original: &Original) {
    let shown = path.display();
    let member = read_with_flate2(path);
    assert_same_bytes(&member.content, original, "flate2", path);
    assert_same_bytes(&read_with_gzip(path), original, "gzip", path);
    if has_tool("python3") {
        assert_same_bytes(&read_with_python(path), original, "python3", path);
    }
    assert_eq!(
        member.name.as_deref(),
        Some(original.name.as_bytes()),
        "{shown}: name in the header"
    );
    let seconds = u32::try_from(original.kept.modified.0).unwrap_or(0);
    assert_eq!(member.modified, seconds, "{shown}: mtime in the header");
    assert_eq!(Kept::of(path), original.kept, "{shown}: metadata");
}

/// Checks all that is promised of a `.zst`: it is one frame, zstd(1) finds the original's bytes, and the file has its mode, owner, mtime,
/// and extended attributes.
pub(crate) fn assert_zst_of(path: &Path, original: &Original) {
    assert_same_bytes(&read_with_zstd(path), original, "zstd", path);
    assert_eq!(Kept::of(path), original.kept, "{}: metadata", path.display());
}

/// Says where the first difference is instead of printing both.
fn assert_same_bytes(found: &[u8], original: &Original, reader: &str, path: &Path) {
    let expected = &original.content;
    let same = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    assert!(
        found == expected,
        "{}: {reader} reads {} bytes where the original had {}, and they differ from byte {same} on",
        path.display(),
        found.len(),
        expected.len()
    );
}

/// A `.gz`, whole and of this age in days by its time.
pub(crate) fn put_gz(folder: &Path, name: &str, days: u64, bytes: usize) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    while_none_is_started(|| {
        let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::none());
        encoder.write_all(&vec![b'x'; bytes]).unwrap();
        let file = encoder.finish().unwrap();
        let age = Duration::from_secs(days * 24 * 3600);
        file.set_modified(SystemTime::now() - age).unwrap();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Data, Sandbox, assert_gz_of, needs};
    use flate2::{Compression, GzBuilder};
    use std::io::Write;
    use std::panic;
    use std::path::PathBuf;

    fn gz(name: &str, seconds: u32, content: &[u8]) -> Vec<u8> {
        let header = GzBuilder::new().filename(name).mtime(seconds);
        let mut encoder = header.write(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// An original and a right `.gz` of it.
    fn pair(sandbox: &Sandbox) -> (Original, PathBuf) {
        let source = sandbox.file("app.log", Data::from_seed(3).log_text(50_000));
        rustix::fs::setxattr(&source, "user.x", b"x", rustix::fs::XattrFlags::empty()).unwrap();
        let original = Original::of(&source);
        let seconds = u32::try_from(original.kept.modified.0).unwrap();
        let path = sandbox.file("app.log.gz", gz("app.log", seconds, &original.content));
        rustix::fs::setxattr(&path, "user.x", b"x", rustix::fs::XattrFlags::empty()).unwrap();
        let times = fs::FileTimes::new().set_modified(fs::metadata(&source).unwrap().modified().unwrap());
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_times(times)
            .unwrap();
        (original, path)
    }

    fn refuses(path: &Path, original: &Original) -> bool {
        let check = panic::AssertUnwindSafe(|| assert_gz_of(path, original));
        panic::catch_unwind(check).is_err()
    }

    #[test]
    fn a_faithful_gz_passes() {
        needs!(tool "python3");
        let sandbox = Sandbox::new();
        let (original, path) = pair(&sandbox);
        assert_gz_of(&path, &original);
        assert_eq!(read_with_python(&path), original.content);
    }

    #[test]
    fn any_difference_is_refused() {
        type Spoil = fn(&mut Original);
        let spoils: [(&str, Spoil); 7] = [
            ("content", |original| original.content[7] ^= 1),
            ("length", |original| original.content.push(0)),
            ("name", |original| original.name.push("x")),
            ("mode", |original| original.kept.mode ^= 0o100),
            ("group", |original| original.kept.owner.1 += 1),
            ("nanoseconds", |original| original.kept.modified.1 ^= 1),
            ("attributes", |original| original.kept.extended.clear()),
        ];
        let sandbox = Sandbox::new();
        for (what, spoil) in spoils {
            let (mut original, path) = pair(&sandbox);
            spoil(&mut original);
            assert!(refuses(&path, &original), "{what}");
        }
    }

    #[test]
    fn a_second_member_is_refused() {
        let sandbox = Sandbox::new();
        let (original, path) = pair(&sandbox);
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(&gz("b", 0, b"")).unwrap();
        assert_eq!(read_with_gzip(&path), original.content);
        assert!(refuses(&path, &original));
    }
}
