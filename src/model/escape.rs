//! Names come from outside and may hold anything; printed raw they could forge log lines or drive a terminal.

use std::fmt::{self, Display, Formatter};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Prints a path with control characters, direction overrides and bytes that are not UTF-8 escaped (`\n`, `\u{202e}`, `\xff`).
pub(crate) struct Escaped<'a>(pub(crate) &'a Path);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_os_str().as_bytes().utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some((at, character)) = rest.char_indices().find(|(_, character)| needs_escape(*character)) {
                f.write_str(&rest[..at])?;
                write!(f, "{}", character.escape_default())?;
                rest = &rest[at + character.len_utf8()..];
            }
            f.write_str(rest)?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// The backslash too, or an escape could be forged by a name that spells one.
fn needs_escape(character: char) -> bool {
    let changes_direction =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let ends_line = matches!(character, '\u{2028}' | '\u{2029}');
    character == '\\' || character.is_control() || changes_direction || ends_line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn leaves_plain_names_and_escapes_what_could_deceive() {
        let print = |bytes: &[u8]| Escaped(Path::new(OsStr::from_bytes(bytes))).to_string();
        assert_eq!(print("käse/app log-1.txt".as_bytes()), "käse/app log-1.txt");
        assert_eq!(print(b"a\nERROR b"), "a\\nERROR b");
        assert_eq!(print(b"\x1b[2J"), "\\u{1b}[2J");
        assert_eq!(print(b"a\xffb"), "a\\xffb");
        assert_eq!(print("a\u{202e}gz.exe".as_bytes()), "a\\u{202e}gz.exe");
        assert_eq!(print(b"a\\n"), "a\\\\n");
    }
}
