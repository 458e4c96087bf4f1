//! What is to be run when a file is done, or given up: programs and their arguments, without a shell.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

/// One watch's hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hooks {
    /// The program and its arguments; empty: none.
    pub(crate) on_success: Vec<String>,
    pub(crate) on_failure: Vec<String>,
    /// How long one may run.
    pub(crate) timeout: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Hooks {
            on_success: Vec::new(),
            on_failure: Vec::new(),
            timeout: Duration::from_secs(30),
        }
    }
}

impl Hooks {
    /// Whether nothing is ever run.
    // Only the program asks.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn are_none(&self) -> bool {
        self.on_success.is_empty() && self.on_failure.is_empty()
    }
}

/// The words in braces that stand for what is known of a file that is done.
pub(crate) const OF_SUCCESS: &[&str] = &["source", "output", "bytes_in", "bytes_out"];
/// The same of one that is given up.
pub(crate) const OF_FAILURE: &[&str] = &["source", "error", "step"];

/// The argument with each `{word}` of the list replaced, once: what is put in is not looked at again. Other braces stay.
// Only the program runs hooks.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) fn fill(argument: &str, words: &[(&str, &OsStr)]) -> OsString {
    let mut filled = Vec::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.extend_from_slice(before.as_bytes());
        let word = words.iter().find_map(|(word, value)| {
            let after = from.strip_prefix('{')?.strip_prefix(word)?.strip_prefix('}')?;
            Some((value, after))
        });
        rest = if let Some((value, after)) = word {
            filled.extend_from_slice(value.as_bytes());
            after
        } else {
            filled.push(b'{');
            from.strip_prefix('{').unwrap_or_default()
        };
    }
    filled.extend_from_slice(rest.as_bytes());
    OsString::from_vec(filled)
}

/// The first word in braces that looks as if it were to be replaced, and is not in the list.
pub(crate) fn unknown_word<'a>(argument: &'a str, known: &[&str]) -> Option<&'a str> {
    let mut words = argument
        .split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0));
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    words.find(|word| is_word(word) && !known.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_by_bytes_once_and_other_braces_stay() {
        let source = OsStr::from_bytes(b"/in/{output}\xff\n");
        let words = [("source", source), ("output", OsStr::new("/in/a.gz"))];
        for (argument, expected) in [
            ("{source}", &b"/in/{output}\xff\n"[..]),
            ("--to={output}:{output}", b"--to=/in/a.gz:/in/a.gz"),
            ("{sources} {} { {{output}} }", b"{sources} {} { {/in/a.gz} }"),
            ("{", b"{"),
            ("plain", b"plain"),
            ("", b""),
        ] {
            assert_eq!(fill(argument, &words).as_bytes(), expected, "{argument}");
        }
    }

    #[test]
    fn words_that_are_not_known_are_found() {
        for (argument, expected) in [
            ("{outptu}", Some("outptu")),
            ("a {source} {error}", Some("error")),
            ("{output} {} {print $1} {A}", None),
        ] {
            assert_eq!(unknown_word(argument, OF_SUCCESS), expected, "{argument}");
        }
    }
}
