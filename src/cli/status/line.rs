//! One line of what is shown: in pieces, each painted, and cut to the terminal's width where it says least.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where it is to be shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) color: bool,
    /// Columns and lines; none where lines may be as long as they are.
    pub(super) size: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Bold,
    Dim,
    Good,
    Warning,
    Bad,
}

impl Paint {
    /// As SGR of ECMA-48 numbers them.
    fn number(self) -> Option<u8> {
        match self {
            Paint::Plain => None,
            Paint::Bold => Some(1),
            Paint::Dim => Some(2),
            Paint::Good => Some(32),
            Paint::Warning => Some(33),
            Paint::Bad => Some(31),
        }
    }
}

/// A line in pieces. The last one gives way where there is not enough room.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pieces: Vec<(Paint, String)>,
    kept: Kept,
}

/// What stays of the last piece where there is not enough room for it.
#[derive(Clone, Copy, Debug, Default)]
enum Kept {
    #[default]
    Beginning,
    /// Of a path, which has the file's name there.
    End,
    /// Of a sentence, which has the path between what was tried and why not.
    Both,
}

impl Line {
    pub(super) fn of(paint: Paint, text: impl Into<String>) -> Self {
        Line::default().and(paint, text)
    }

    pub(super) fn and(mut self, paint: Paint, text: impl Into<String>) -> Self {
        // From another process: nothing that it says may drive the terminal.
        let text = text
            .into()
            .chars()
            .map(|character| if character.is_control() { '?' } else { character })
            .collect();
        self.pieces.push((paint, text));
        self
    }

    pub(super) fn with_path(mut self, paint: Paint, path: &str) -> Self {
        self.kept = Kept::End;
        self.and(paint, path)
    }

    pub(super) fn with_sentence(mut self, paint: Paint, text: &str) -> Self {
        self.kept = Kept::Both;
        self.and(paint, text)
    }

    pub(super) fn painted(mut self, look: &Look) -> String {
        if let Some((columns, _)) = look.size {
            self.fit(columns);
        }
        let paint = |(paint, text): &(Paint, String)| match paint.number() {
            Some(number) if look.color && !text.is_empty() => format!("\x1b[{number}m{text}\x1b[0m"),
            _ => text.clone(),
        };
        let line: String = self.pieces.iter().map(paint).collect();
        if look.color { line } else { line.trim_end().to_owned() }
    }

    fn fit(&mut self, columns: usize) {
        let mut room = columns;
        let last = self.pieces.len().saturating_sub(1);
        for (index, (_, text)) in self.pieces.iter_mut().enumerate() {
            if width(text) > room {
                *text = match self.kept {
                    Kept::End if index == last => shortened(text, room, room),
                    Kept::Both if index == last => shortened(text, room, room * 2 / 3),
                    _ => shortened(text, room, 0),
                };
            }
            room -= width(text);
        }
    }
}

/// The text in so many columns, which are too few: its beginning and, of so many columns, its end, with a sign between them.
fn shortened(text: &str, columns: usize, at_end: usize) -> String {
    if columns == 0 {
        return String::new();
    }
    let beginning: String = within(text.chars(), columns - 1 - at_end.min(columns - 1)).collect();
    let mut end: Vec<char> = within(text.chars().rev(), at_end.min(columns - 1)).collect();
    end.reverse();
    beginning + "…" + &end.into_iter().collect::<String>()
}

/// As many of the characters as fit in the columns.
fn within(characters: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
    let mut room = columns;
    characters.map_while(move |character| {
        room = room.checked_sub(character.width().unwrap_or_default())?;
        Some(character)
    })
}

pub(super) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}
