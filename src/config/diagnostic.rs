//! A problem in a configuration file, at its place, printed the way compilers do.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::path::{Path, PathBuf};

use unicode_width::UnicodeWidthStr as _;

use crate::model::Escaped;

/// A longer source line is shown only around its caret.
const SHOWN_CHARACTERS: usize = 160;

/// Whether a problem keeps the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Severity {
    /// The configuration is refused.
    Error,
    /// Legal, but unlikely to be meant.
    Warning,
}

/// One problem. Printed, it takes several lines and ends without a newline:
///
/// ```text
/// error: unknown key `setle` in a watch
///   --> /etc/dwindle/config.toml:4:1
///    |
///  4 | setle = "2s"
///    | ^^^^^ did you mean `settle`?
/// ```
///
/// Whatever it quotes is escaped, so that a file's content cannot drive the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    severity: Severity,
    message: String,
    place: Option<Place>,
    label: Option<String>,
    help: Option<String>,
}

/// A stretch of one line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    file: PathBuf,
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    /// In characters; at least 1, for the caret.
    length: usize,
    source: String,
}

/// A configuration file's path and text: what turns byte ranges into places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Diagnostic {
    /// An error without a place in a file.
    pub(super) fn error(message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            place: None,
            label: None,
            help: None,
        }
    }

    /// The same, as a warning.
    pub(super) fn into_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// What stands beside the caret.
    pub(super) fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What to do, on a line of its own.
    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[cfg(test)]
    pub(super) fn severity(&self) -> Severity {
        self.severity
    }

    /// The problem in one sentence, unescaped, without its place.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The file, the line and the column, the latter two from 1, the column in characters.
    pub(crate) fn position(&self) -> Option<(&Path, usize, usize)> {
        let place = self.place.as_ref()?;
        Some((&place.file, place.line, place.column))
    }
}

impl Document {
    /// An error at a byte range of the text; a range that is not in the text is moved to its end.
    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            place: Some(self.place(span)),
            ..Diagnostic::error(message)
        }
    }

    /// The same, as a warning.
    pub(super) fn warning(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        self.error(span, message).into_warning()
    }

    /// `FILE:LINE`, for referring to a place from another one.
    pub(super) fn line_of(&self, span: Range<usize>) -> String {
        let place = self.place(span);
        format!("{}:{}", Escaped(&place.file), place.line)
    }

    fn place(&self, span: Range<usize>) -> Place {
        let start = self.character_start(span.start);
        let (before, after) = self.text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = start + after.find('\n').unwrap_or(after.len());
        let end = self.character_start(span.end).clamp(start, line_end);
        let source = &self.text[line_start..line_end];
        Place {
            file: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            length: self.text[start..end].chars().count().max(1),
            source: source.strip_suffix('\r').unwrap_or(source).to_owned(),
        }
    }

    /// The start of the character that the byte at `index` belongs to; the end of the text for an index behind it.
    fn character_start(&self, index: usize) -> usize {
        let last = index.min(self.text.len());
        let start = (0..=last).rev().find(|&index| self.text.is_char_boundary(index));
        start.unwrap_or(0)
    }
}

impl Display for Diagnostic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", printable(&self.message))?;
        let Some(place) = &self.place else {
            return match self.label.iter().chain(&self.help).next() {
                Some(help) => write!(f, "\n  = help: {}", printable(help)),
                None => Ok(()),
            };
        };
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let (source, indent, carets) = place.excerpt();
        let file = Escaped(&place.file);
        write!(f, "\n {margin}--> {file}:{}:{}", place.line, place.column)?;
        write!(f, "\n {margin} |")?;
        write!(f, "\n {number} | {source}")?;
        write!(f, "\n {margin} | {}{}", " ".repeat(indent), "^".repeat(carets))?;
        if let Some(label) = &self.label {
            write!(f, " {}", printable(label))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n {margin} = help: {}", printable(help))?;
        }
        Ok(())
    }
}

impl Place {
    /// The line as it is printed, the terminal columns before the caret, and those under which it stands.
    fn excerpt(&self) -> (String, usize, usize) {
        let characters: Vec<char> = self.source.chars().collect();
        let start = (self.column - 1).min(characters.len());
        let end = (start + self.length).min(characters.len());
        let first = if characters.len() > SHOWN_CHARACTERS {
            start.saturating_sub(SHOWN_CHARACTERS / 4)
        } else {
            0
        };
        let last = characters.len().min(first + SHOWN_CHARACTERS);
        let print = |range: Range<usize>| -> String {
            characters
                .get(range)
                .unwrap_or_default()
                .iter()
                .copied()
                .map(print_character)
                .collect()
        };
        let [leading, trailing] = [first > 0, last < characters.len()].map(|cut| if cut { "…" } else { "" });
        let before = leading.to_owned() + &print(first..start);
        let marked = print(start..end.min(last));
        let after = print(end.min(last)..last);
        let (indent, carets) = (before.width(), marked.width().max(1));
        let line = before + &marked + &after + trailing;
        (line.trim_end().to_owned(), indent, carets)
    }
}

/// A sentence that may quote a file, fit for a terminal and for a single line.
fn printable(text: &str) -> String {
    text.chars().map(print_character).collect()
}

/// Backslashes stay single, unlike in paths: they are part of TOML, and whoever reads this has the file.
fn print_character(character: char) -> String {
    match character {
        '\t' => "    ".to_owned(),
        '\\' => "\\".to_owned(),
        other => Escaped(Path::new(other.encode_utf8(&mut [0; 4]))).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str, marked: &str) -> String {
        let document = Document {
            path: PathBuf::from("/etc/dwindle/config.toml"),
            text: text.to_owned(),
        };
        let start = text.find(marked).expect("is in the text");
        document
            .error(start..start + marked.len(), "wrong")
            .with_label("here")
            .to_string()
    }

    /// What is printed below the head and the empty line.
    fn excerpt(text: &str, marked: &str) -> String {
        print(text, marked).split(" |\n").nth(1).expect("has a line").to_owned()
    }

    #[test]
    fn prints_head_place_line_caret_and_help() {
        let text = "level = 6\n[[watch]]\npath = \"/srv\"\nsetle = \"2s\"\n";
        let document = Document {
            path: PathBuf::from("/etc/dwindle/config.toml"),
            text: text.to_owned(),
        };
        let diagnostic = document
            .error(34..39, "unknown key `setle` in a watch")
            .with_label("did you mean `settle`?")
            .with_help("see the manual");
        let expected = "\
error: unknown key `setle` in a watch
  --> /etc/dwindle/config.toml:4:1
   |
 4 | setle = \"2s\"
   | ^^^^^ did you mean `settle`?
   = help: see the manual";
        assert_eq!(diagnostic.to_string(), expected);
    }

    #[test]
    fn the_margin_grows_with_the_line_number() {
        let text = "\n".repeat(99) + "x = 1";
        let expected = "\
error: wrong
    --> /etc/dwindle/config.toml:100:1
     |
 100 | x = 1
     | ^ here";
        assert_eq!(print(&text, "x"), expected);
    }

    #[test]
    fn the_caret_stays_under_its_text_whatever_stands_before() {
        for (line, expected) in [
            ("\tX = 1", " 1 |     X = 1\n   |     ^ here"),
            ("\"日本\" X = 1", " 1 | \"日本\" X = 1\n   |        ^ here"),
            ("e\u{301} X = 1", " 1 | e\u{301} X = 1\n   |   ^ here"),
            ("a\u{1b}[2J X = 1", " 1 | a\\u{1b}[2J X = 1\n   |            ^ here"),
            ("a\u{202e} X = 1", " 1 | a\\u{202e} X = 1\n   |           ^ here"),
            ("a\\b X = 1\r\n", " 1 | a\\b X = 1\n   |     ^ here"),
        ] {
            assert_eq!(excerpt(line, "X"), expected, "{line:?}");
        }
    }

    #[test]
    fn the_column_counts_characters() {
        assert!(print("\"日本\" X = 1", "X").contains("config.toml:1:6\n"));
    }

    #[test]
    fn a_stretch_of_several_lines_is_marked_to_the_end_of_the_first() {
        assert_eq!(excerpt("a = [\n  1,\n]", "[\n  1,\n]"), " 1 | a = [\n   |     ^ here");
    }

    #[test]
    fn the_end_of_the_text_can_be_marked() {
        let document = Document {
            path: PathBuf::from("a.toml"),
            text: "a = 1\n".to_owned(),
        };
        for span in [6..6, 6..9, 77..99] {
            let expected = "error: wrong\n  --> a.toml:2:1\n   |\n 2 | \n   | ^";
            assert_eq!(document.error(span, "wrong").to_string(), expected);
        }
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = "a".repeat(5000) + "X" + &"b".repeat(5000);
        let expected = format!(
            " 1 | …{}X{}…\n   | {}^ here",
            "a".repeat(40),
            "b".repeat(119),
            " ".repeat(41)
        );
        assert_eq!(excerpt(&line, "X"), expected);
        let expected = format!(
            " 1 | …{}{}…\n   | {}{} here",
            "a".repeat(40),
            "b".repeat(120),
            " ".repeat(41),
            "^".repeat(120)
        );
        let line = "a".repeat(5000) + &"b".repeat(5000);
        assert_eq!(excerpt(&line, &"b".repeat(4000)), expected);
    }

    #[test]
    fn a_hostile_message_or_path_is_escaped() {
        let document = Document {
            path: PathBuf::from("a\x1b[1m.toml"),
            text: "x".to_owned(),
        };
        let diagnostic = document.error(0..1, "unknown key `a\nerror: b`").with_label("c\x07");
        let expected = "\
error: unknown key `a\\nerror: b`
  --> a\\u{1b}[1m.toml:1:1
   |
 1 | x
   | ^ c\\u{7}";
        assert_eq!(diagnostic.to_string(), expected);
    }
}
