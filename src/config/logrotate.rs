//! logrotate's configuration, as far as it matters to who compresses beside it (logrotate(8)).

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::diagnostic::{Diagnostic, Document};

/// Files are included in files no deeper than this.
const DEEPEST: usize = 8;

/// A larger file is no configuration.
const LARGEST: u64 = 1024 * 1024;

/// Files of an included folder whose names end so are not read, as `tabooext` says by default.
const TABOO: &[&str] = &[
    ",v",
    ".bak",
    ".cfsaved",
    ".disabled",
    ".dpkg-bak",
    ".dpkg-del",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-tmp",
    ".rpmnew",
    ".rpmorig",
    ".rpmsave",
    ".swp",
    ".ucf-dist",
    ".ucf-new",
    ".ucf-old",
    "~",
];

/// Where scripts stand, which are no directives.
const SCRIPTS: &[&str] = &["prerotate", "postrotate", "preremove", "firstaction", "lastaction"];

/// Log files, and how they are rotated.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Globs of the log files.
    pub(super) patterns: Vec<String>,
    pub(super) settings: Settings,
    /// Where the first of the patterns stands.
    place: Place,
}

/// What is in effect for a block.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) compress: bool,
    /// Where that was said, if it was.
    compress_place: Option<Place>,
    pub(super) delay_compress: bool,
    /// What logrotate calls compressed files.
    pub(super) compress_suffix: String,
    compress_suffix_place: Option<Place>,
    pub(super) dates: bool,
    pub(super) date_format: Option<String>,
    /// Files that are kept; -1 is all.
    pub(super) rotate: i64,
    pub(super) old_folder: Option<String>,
}

#[derive(Clone, Debug)]
struct Place {
    document: Rc<Document>,
    span: Range<usize>,
}

impl Block {
    /// A warning where it says whether it compresses.
    pub(super) fn warn_of_compression(&self, message: String) -> Diagnostic {
        self.settings
            .compress_place
            .as_ref()
            .unwrap_or(&self.place)
            .warn(message)
    }

    /// A warning where it says how compressed files are called.
    pub(super) fn warn_of_suffix(&self, message: String) -> Diagnostic {
        self.settings
            .compress_suffix_place
            .as_ref()
            .unwrap_or(&self.place)
            .warn(message)
    }

    /// A warning about the whole of it.
    pub(super) fn warn(&self, message: String) -> Diagnostic {
        self.place.warn(message)
    }
}

impl Place {
    fn warn(&self, message: String) -> Diagnostic {
        self.document.warning(self.span.clone(), message)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            compress: false,
            compress_place: None,
            delay_compress: false,
            compress_suffix: ".gz".to_owned(),
            compress_suffix_place: None,
            dates: false,
            date_format: None,
            rotate: 0,
            old_folder: None,
        }
    }
}

/// The blocks of a configuration file and of what it includes. What is wrong in it is logrotate's business: as much is read as can be.
/// Blocks on the file system.
pub(super) fn read(path: &Path) -> Vec<Block> {
    let mut reader = Reader::default();
    reader.file(path, 0);
    reader.blocks
}

#[derive(Default)]
struct Reader {
    /// What stands outside of blocks holds for all that follow, in other files, too.
    settings: Settings,
    blocks: Vec<Block>,
}

impl Reader {
    fn file(&mut self, path: &Path, depth: usize) {
        let is_small = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= LARGEST);
        let Some(bytes) = is_small.then(|| fs::read(path).ok()).flatten() else {
            return;
        };
        let document = Rc::new(Document {
            path: path.to_owned(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        });
        let mut patterns: Vec<(String, Range<usize>)> = Vec::new();
        let mut block: Option<Settings> = None;
        let mut in_script = false;
        for (start, line) in lines(&document.text) {
            let mut words = Words { text: line, at: 0 };
            if in_script {
                in_script = words.next().is_none_or(|(word, _)| word != "endscript");
                continue;
            }
            if line.trim_start().starts_with('#') {
                continue;
            }
            if block.is_none() {
                let begins_patterns = line.trim_start().starts_with(['/', '"', '\'', '~', '{', '*']);
                if begins_patterns || !patterns.is_empty() {
                    if !words.patterns(start, &mut patterns) {
                        continue;
                    }
                    block = Some(self.settings.clone());
                }
            }
            let place = |span: Range<usize>| Place {
                document: Rc::clone(&document),
                span: start + span.start..start + span.end,
            };
            let Some((key, span)) = words.next() else { continue };
            if key == "}" {
                let places = patterns.first().map(|(_, span)| span.clone());
                if let (Some(settings), Some(span)) = (block.take(), places) {
                    self.blocks.push(Block {
                        patterns: patterns.drain(..).map(|(pattern, _)| pattern).collect(),
                        settings,
                        place: Place {
                            document: Rc::clone(&document),
                            span,
                        },
                    });
                }
                continue;
            }
            let value = words.next().map(|(value, _)| value);
            if SCRIPTS.contains(&&*key) {
                in_script = true;
            } else if key == "include" && block.is_none() {
                if let Some(value) = value.filter(|_| depth < DEEPEST) {
                    self.include(&path.parent().unwrap_or(Path::new("/")).join(value), depth + 1);
                }
            } else {
                block
                    .as_mut()
                    .unwrap_or(&mut self.settings)
                    .set(&key, value, place(span));
            }
        }
    }

    fn include(&mut self, path: &Path, depth: usize) {
        if !path.is_dir() {
            return self.file(path, depth);
        }
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort_unstable();
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !TABOO.iter().any(|taboo| name.ends_with(taboo)) {
                self.file(&file, depth);
            }
        }
    }
}

impl Settings {
    fn set(&mut self, key: &str, value: Option<String>, place: Place) {
        match key {
            "compress" | "nocompress" => {
                self.compress = key == "compress";
                self.compress_place = Some(place);
            }
            "delaycompress" | "nodelaycompress" => self.delay_compress = key == "delaycompress",
            "compressext" => {
                self.compress_suffix = value.unwrap_or_default();
                self.compress_suffix_place = Some(place);
            }
            "dateext" | "nodateext" => self.dates = key == "dateext",
            "dateformat" => self.date_format = value,
            "rotate" => self.rotate = value.and_then(|value| value.parse().ok()).unwrap_or(0),
            "olddir" => self.old_folder = value,
            "noolddir" => self.old_folder = None,
            _ => {}
        }
    }
}

/// Each line, and where it begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = start;
        start += line.len();
        (at, line)
    })
}

/// The words of a line, with or without quotes.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl Words<'_> {
    /// Takes file patterns until the block that they are for begins; false where it does not begin on this line.
    fn patterns(&mut self, start: usize, patterns: &mut Vec<(String, Range<usize>)>) -> bool {
        for (word, span) in self.by_ref() {
            match word.strip_suffix('{') {
                Some("") => return true,
                Some(word) if !word.contains('{') => {
                    patterns.push((word.to_owned(), start + span.start..start + span.end - 1));
                    return true;
                }
                _ => patterns.push((word, start + span.start..start + span.end)),
            }
        }
        false
    }
}

impl Iterator for Words<'_> {
    /// The word, and where it stands.
    type Item = (String, Range<usize>);

    fn next(&mut self) -> Option<(String, Range<usize>)> {
        let rest = self.text.get(self.at..)?;
        let begin = self.at + rest.find(|character: char| !character.is_whitespace() && character != '=')?;
        let mut word = String::new();
        let mut quote = None;
        let mut characters = self.text.get(begin..)?.char_indices();
        let mut end = self.text.len();
        while let Some((index, character)) = characters.next() {
            match (quote, character) {
                (Some(mark), _) if character == mark => quote = None,
                (None, '"' | '\'') => quote = Some(character),
                (None, '\\') => word.extend(characters.next().map(|(_, escaped)| escaped)),
                (None, '=') => {
                    end = begin + index;
                    break;
                }
                (None, _) if character.is_whitespace() => {
                    end = begin + index;
                    break;
                }
                (_, _) => word.push(character),
            }
        }
        self.at = end;
        Some((word, begin..end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(files: &[(&str, &str)]) -> Vec<Block> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        read(&folder.path().join("logrotate.conf"))
    }

    #[test]
    fn a_stock_configuration_is_read() {
        let found = blocks(&[
            (
                "logrotate.conf",
                "# see man\nweekly\nrotate 4\ncreate\n#dateext\n#compress\ninclude logrotate.d\n",
            ),
            (
                "logrotate.d/nginx",
                "/var/log/nginx/*.log {\n\tdaily\n\tmissingok\n\trotate 14\n\tcompress\n\tdelaycompress\n\tsharedscripts\n\
                 \tprerotate\n\t\tif [ -d /etc ]; then \\\n\t\t\tnocompress; \\\n\t\tfi \\\n\tendscript\n}\n",
            ),
            ("logrotate.d/nginx.dpkg-old", "/var/log/nginx/*.log {\n}\n"),
            (
                "logrotate.d/rsyslog",
                "/var/log/syslog\n/var/log/mail.log\n\"/var/log/with space.log\"\n{\n\trotate=7\n\tolddir old\n}\n",
            ),
        ]);
        assert_eq!(found.len(), 2);
        let [nginx, rsyslog] = &found[..] else { unreachable!() };
        assert_eq!(nginx.patterns, ["/var/log/nginx/*.log"]);
        assert!(nginx.settings.compress && nginx.settings.delay_compress);
        assert_eq!(nginx.settings.rotate, 14);
        assert_eq!(
            rsyslog.patterns,
            ["/var/log/syslog", "/var/log/mail.log", "/var/log/with space.log"]
        );
        assert!(!rsyslog.settings.compress);
        assert_eq!(rsyslog.settings.rotate, 7);
        assert_eq!(rsyslog.settings.old_folder.as_deref(), Some("old"));
    }

    #[test]
    fn what_stands_outside_holds_for_what_follows_it() {
        let found = blocks(&[(
            "logrotate.conf",
            "/a.log {\n}\ncompress\ncompressext .xz\ndateext\ndateformat .%s\n/b.log{ nocompress\n nodateext\n}\n'/c d.log' { \n}\n",
        )]);
        let summary: Vec<_> = found
            .iter()
            .map(|block| {
                (
                    block.patterns[0].as_str(),
                    block.settings.compress,
                    block.settings.dates,
                )
            })
            .collect();
        assert_eq!(
            summary,
            [
                ("/a.log", false, false),
                ("/b.log", false, false),
                ("/c d.log", true, true)
            ]
        );
        assert_eq!(found[2].settings.compress_suffix, ".xz");
        assert_eq!(found[2].settings.date_format.as_deref(), Some(".%s"));
    }

    #[test]
    fn nothing_in_it_is_too_much() {
        for text in [
            "{",
            "}",
            "\"",
            "/a {\n",
            "include .",
            "include logrotate.conf",
            "/a \\",
            "a = = b",
            "=",
            "postrotate",
        ] {
            assert!(blocks(&[("logrotate.conf", text)]).is_empty(), "{text}");
        }
        assert!(read(Path::new("/nowhere/logrotate.conf")).is_empty());
        assert!(read(Path::new("/dev/zero")).is_empty());
    }
}
