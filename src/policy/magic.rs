//! Compressed content, known by its first bytes. Only signatures that no text and hardly any other data can begin with: a file
//! that is taken in error costs some time, one that is passed over in error is never compressed.

/// How many bytes of a file's beginning [`compressed_format`] wants. Of a shorter file, all.
pub(crate) const HEAD_BYTES: usize = 32;

/// The format of compressed content, by its first bytes.
///
/// Formats without a signature worth the name (brotli, raw deflate, zlib, `.lzma`, MPEG audio without a tag) are not recognised.
pub(crate) fn compressed_format(head: &[u8]) -> Option<&'static str> {
    let starts_with = |signature: &&(&[u8], &'static str)| head.starts_with(signature.0);
    let fixed = || SIGNATURES.iter().find(starts_with).map(|signature| signature.1);
    fixed().or_else(|| variable_format(head))
}

/// Signatures that are the same bytes in every file.
const SIGNATURES: &[(&[u8], &str)] = &[
    // Streams and archives
    (b"\x1f\x8b\x08", "gzip"), // RFC 1952: ID1, ID2, CM = deflate
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"), // RFC 8878
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"), // the legacy frame
    (b"LZIP\x01", "lzip"),
    (b"\x89LZO\0\r\n\x1a\n", "lzop"),
    (b"LRZI\0", "lrzip"),
    (b"\xff\x06\0\0sNaPpY", "snappy"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"PK\x03\x04", "zip"), // and jar, apk, docx, odt, epub, …
    (b"PK\x05\x06", "zip"), // without entries
    (b"PK\x07\x08", "zip"), // split over volumes
    (b"Rar!\x1a\x07\0", "rar"),
    (b"Rar!\x1a\x07\x01\0", "rar"),
    (b"MSCF\0\0\0\0", "cab"),
    (b"\xed\xab\xee\xdb", "rpm"),
    (b"!<arch>\ndebian-binary", "deb"),
    // Pictures
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jpeg-xl"),
    // Sound and film
    (b"\x1a\x45\xdf\xa3", "matroska"), // and webm
    (b"OggS\0", "ogg"),
    (b"fLaC\0\0\0\x22", "flac"), // the first block is STREAMINFO, of 34 bytes, and more follow
    (b"fLaC\x80\0\0\x22", "flac"), // or none
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    // Fonts, by what they wrap
    (b"wOFF\0\x01\0\0", "woff"),
    (b"wOFFOTTO", "woff"),
    (b"wOFFtrue", "woff"),
    (b"wOF2\0\x01\0\0", "woff2"),
    (b"wOF2OTTO", "woff2"),
    (b"wOF2true", "woff2"),
    (b"wOF2ttcf", "woff2"),
];

/// Signatures with a varying part, which is checked as far as it can be: some of them begin with letters that a text may begin with.
fn variable_format(head: &[u8]) -> Option<&'static str> {
    match head {
        // A level, then the magic of a first block, or of the end when there is none.
        [b'B', b'Z', b'h', b'1'..=b'9', magic @ ..]
            if magic.starts_with(b"\x31\x41\x59\x26\x53\x59") || magic.starts_with(b"\x17\x72\x45\x38\x50\x90") =>
        {
            Some("bzip2")
        }
        // compress(1): the widest code, 9 to 16 bits, and the flag of block mode.
        [0x1f, 0x9d, flags, ..] if flags & 0x60 == 0 && (9..=16).contains(&(flags & 0x1f)) => Some("compress"),
        // RFC 8878: a frame to skip, which pzstd begins with.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some("zstd"),
        // Width and height follow; text would make both larger than 8191.
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', _, 0..=0x1f, _, 0..=0x1f, ..] => Some("gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("webp"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Some("avi"),
        // ISO/IEC 14496-12: the first box, shorter than 64 KiB, and its brand.
        [0, 0, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand.first_chunk()? {
            b"avif" | b"avis" => Some("avif"),
            b"heic" | b"heix" | b"mif1" => Some("heif"),
            b"qt  " => Some("quicktime"),
            _ => Some("mp4"),
        },
        // ID3v2: version, flags in the upper bits only, a length of four times seven bits.
        [b'I', b'D', b'3', 2..=4, 0, flags, length @ ..]
            if flags.trailing_zeros() >= 4 && length.len() >= 4 && length.iter().take(4).all(u8::is_ascii) =>
        {
            Some("mp3")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_content_is_known_by_its_first_bytes() {
        let cases: &[(&str, &[u8])] = &[
            ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
            ("bzip2", b"BZh91AY&SY\x12\x34"),
            ("bzip2", b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0"),
            ("xz", b"\xfd7zXZ\0\0\x04"),
            ("zstd", b"\x28\xb5\x2f\xfd\x04\x58"),
            ("zstd", b"\x50\x2a\x4d\x18\x04\0\0\0"),
            ("lz4", b"\x04\x22\x4d\x18\x64\x40"),
            ("lzip", b"LZIP\x01\x0c"),
            ("lzop", b"\x89LZO\0\r\n\x1a\n\x10"),
            ("compress", b"\x1f\x9d\x90\x61"),
            ("7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
            ("zip", b"PK\x03\x04\x14\0"),
            ("zip", b"PK\x05\x06\0\0"),
            ("rar", b"Rar!\x1a\x07\x01\0"),
            ("rar", b"Rar!\x1a\x07\0\xcf"),
            ("cab", b"MSCF\0\0\0\0\x2c"),
            ("rpm", b"\xed\xab\xee\xdb\x03\0"),
            ("deb", b"!<arch>\ndebian-binary   1700000000"),
            ("png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            ("jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
            ("gif", b"GIF89a\x80\x02\xe0\x01\xf7\0\0"),
            ("gif", b"GIF87a\x10\0\x10\0\xf7\0\0"),
            ("webp", b"RIFF\x24\x10\0\0WEBPVP8 "),
            ("avi", b"RIFF\x24\x10\0\0AVI LIST"),
            ("mp4", b"\0\0\0\x20ftypisom\0\0\x02\0"),
            ("avif", b"\0\0\0\x1cftypavif"),
            ("heif", b"\0\0\0\x18ftypheic"),
            ("quicktime", b"\0\0\0\x14ftypqt  "),
            ("matroska", b"\x1a\x45\xdf\xa3\x9f\x42\x86"),
            ("ogg", b"OggS\0\x02\0\0"),
            ("flac", b"fLaC\0\0\0\x22\x10\0"),
            ("mp3", b"ID3\x04\0\0\0\0\x01\x76"),
            ("woff", b"wOFF\0\x01\0\0\0\0"),
            ("woff2", b"wOF2OTTO\0\0"),
            ("asf", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
        ];
        for (format, head) in cases {
            assert_eq!(compressed_format(head), Some(*format), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn what_only_resembles_it_is_not_compressed() {
        let cases: &[&[u8]] = &[
            b"",
            b"\x1f",
            b"\x1f\x8b",
            b"\x1f\x8b\x00\0\0\0",
            b"\x1f\x9d\xff\x61",
            b"\x1f\x9d\x20text",
            b"BZh9 is the start of a bzip2 file",
            b"BZh0\x31\x41\x59\x26\x53\x59",
            b"GIF89a is a picture format of 1989",
            b"LZIP is a compressor",
            b"RIFF\x24\x10\0\0WAVEfmt ",
            b"PK is a name",
            b"ID3 tags are found in MP3 files",
            b"ID3\x04\0\0\0\0\x80\0",
            b"ID3\x04\0\0",
            b"OggS is a page",
            b"fLaC is lossless",
            b"FLV 1",
            b"wOFF and wOF2 are fonts",
            b"Rar! he said",
            b"!<arch>\n/               0",
            b"\xff\xfei\0n\0",
            b"\xef\xbb\xbftext",
            b"\0\x01\0\0\0\x0f\0\x80",   // TrueType
            b"\0\0\x01\0\x01\0\x10\x10", // ico
            b"\0asm\x01\0\0\0",
            b"%PDF-1.7",
            b"BM\x36\0",
            b"<svg xmlns=",
            b"2026-11-23 10:11:12 INFO started",
        ];
        for head in cases {
            assert_eq!(compressed_format(head), None, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn a_head_is_long_enough_for_every_signature() {
        assert!(SIGNATURES.iter().all(|(bytes, _)| bytes.len() <= HEAD_BYTES));
    }
}
