//! `dwindle explain`: for each path, which watch has it, what every rule says, and what happens next and when.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use unicode_width::UnicodeWidthChar as _;

use super::args::Explain;
use super::exit::Exit;
use super::print;
use crate::agent::{AgentError, Explanation, Prospect, Subject, explain};
use crate::config;
use crate::model::{Escaped, Reason, Size};
use crate::policy::{Answer, Preset, Watch, WatcherChoice};
use crate::storage::real_path;

/// Lines are no wider where names allow it.
const WIDTH: usize = 80;

/// Where what is said about a rule begins.
const MARGIN: usize = 26;

/// Explains each path by the configuration in these files, or in those at the default place.
pub(super) fn run(files: &[PathBuf], arguments: &Explain) -> Result<Exit> {
    let mut loaded = match config::load(files) {
        Ok(loaded) => loaded,
        Err(problems) => {
            print::problems(&problems);
            return Ok(Exit::BadConfiguration);
        }
    };
    if loaded.files.is_empty() {
        print::complain("there is no configuration: neither /etc/dwindle/config.toml nor a file given with -c");
        return Ok(Exit::BadConfiguration);
    }
    for watch in &mut loaded.config.watches {
        watch.shard = arguments.shard;
    }
    let watches: Vec<_> = loaded.config.watches.iter().zip(&loaded.places).collect();
    let mut exit = Exit::Done;
    for (index, path) in arguments.paths.iter().enumerate() {
        let mut text = String::new();
        if index > 0 {
            text.push('\n');
        }
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let _ = writeln!(text, "{}", Escaped(&whole));
        let having: Vec<_> = watches
            .iter()
            .filter_map(|(watch, place)| Some((*watch, place.as_str(), relative_to(watch.path(), &whole)?)))
            .collect();
        if having.is_empty() {
            explain_outside(&mut text, &whole, &watches);
        }
        if having.len() > 1 {
            let many = having.len();
            text += &paragraph(
                2,
                "note",
                &format!("{many} watches look into this folder, and each goes by its own rules"),
            );
        }
        for (watch, place, relative) in having {
            match explain(watch, &relative) {
                Ok(explanation) => {
                    if matches!(&explanation.subject, Subject::File(Prospect::Fail(_))) {
                        exit = Exit::SomeFailed;
                    }
                    describe(&mut text, watch, place, &relative, &explanation);
                }
                Err(AgentError::Pattern(error)) => {
                    print::complain(error);
                    return Ok(Exit::BadConfiguration);
                }
                Err(error) => return Err(error.into()),
            }
        }
        print::bytes(text.as_bytes()).context("cannot write to standard output")?;
    }
    Ok(exit)
}

/// The path from the watched folder on, where it is that or lies in it: as it is written, or as symbolic links lead there.
fn relative_to(watched: &Path, path: &Path) -> Option<PathBuf> {
    let has_no_way_up = !path.components().any(|part| part == std::path::Component::ParentDir);
    if has_no_way_up && let Ok(relative) = path.strip_prefix(watched) {
        return Some(relative.to_owned());
    }
    let real = match (path.parent(), path.file_name()) {
        // What the path itself is, a link perhaps, is a question for the rules.
        (Some(folder), Some(name)) => real_path(folder).join(name),
        _ => real_path(path),
    };
    Some(real.strip_prefix(watched.canonicalize().ok()?).ok()?.to_owned())
}

fn explain_outside(text: &mut String, path: &Path, watches: &[(&Watch, &String)]) {
    *text += &paragraph(2, "watch", "none: it lies in no watched folder");
    for (watch, place) in watches {
        let relation = if watch.path().starts_with(path) {
            "lies below it"
        } else {
            "is elsewhere"
        };
        *text += &paragraph(4, "", &format!("{} {relation} ({place})", Escaped(watch.path())));
    }
    *text += &paragraph(2, "next", "nothing: dwindle does not know of it");
}

fn describe(text: &mut String, watch: &Watch, place: &str, relative: &Path, explanation: &Explanation) {
    let preset = match watch.preset {
        Preset::Inbox => "inbox",
        Preset::RotatedLogs => "rotated-logs",
        Preset::StaticAssets => "static-assets",
    };
    *text += &paragraph(
        2,
        "watch",
        &format!("{}, preset {preset} ({place})", Escaped(watch.path())),
    );
    if relative.as_os_str().is_empty() {
        *text += &paragraph(
            2,
            "next",
            "it is the watched folder: every file in it goes by the rules",
        );
        return;
    }
    *text += &paragraph(2, "next", &next(watch, relative, explanation));
    text.push('\n');
    let decider = explanation.answers.iter().position(|(_, answer)| answer.decides());
    for (index, (rule, answer)) in explanation.answers.iter().enumerate() {
        let mark = if decider == Some(index) { '>' } else { ' ' };
        let (word, found) = match answer {
            Answer::Yes(found) => ("yes", found.clone()),
            Answer::No(reason) => ("NO", reason.to_string()),
            Answer::NotBefore(wait) => ("WAIT", format!("touched just now: quiet enough in {}", seconds(*wait))),
            Answer::InUse => ("WAIT", "somebody has it open for writing, or mapped".to_owned()),
            Answer::Unknown(why) => ("?", why.clone()),
        };
        let head = format!("{mark} {word:<4}  {}", rule.title());
        *text += &paragraph(2, &head, &found);
    }
}

/// What happens, and when.
fn next(watch: &Watch, relative: &Path, explanation: &Explanation) -> String {
    let prospect = match &explanation.subject {
        Subject::Folder => return next_of_folder(explanation),
        Subject::Nothing => return next_of_nothing(watch, explanation),
        Subject::File(prospect) => prospect,
    };
    let fate = match &watch.done_dir {
        _ if watch.keep_original => "the original stays".to_owned(),
        Some(folder) => format!("the original is moved to {}", Escaped(&watch.path().join(folder))),
        None => "the original is removed".to_owned(),
    };
    match prospect {
        Prospect::Compress { bytes, output } => {
            format!("at once: compressed to {} ({}); {fate}", Escaped(output), Size(*bytes))
        }
        Prospect::Remake { bytes, output } => format!(
            "at once: compressed to {} ({}), in the place of the one that is there; {fate}",
            Escaped(output),
            Size(*bytes)
        ),
        Prospect::Finish { output, .. } => {
            format!("at once: {} holds the same bytes already; {fate}", Escaped(output))
        }
        Prospect::Remove(surplus) => format!("at the next look: removed, {surplus}"),
        Prospect::Withdraw => "at once: removed, since it goes with its original".to_owned(),
        Prospect::Wait(wait) => format!("in {}: looked at again, unless it is touched before", seconds(*wait)),
        Prospect::InUse => {
            "when its writer closes it: looked at again; without word of that after 1 s, then less and less often, every 60 s \
             at last"
                .to_owned()
        }
        Prospect::Await(reason) | Prospect::Skip(reason) => format!("left alone: {reason}. {}", remedy(watch, reason)),
        Prospect::Fail(error) => format!(
            "it cannot be told: {error}. The agent may be allowed more than who asks here ({})",
            Escaped(&watch.path().join(relative))
        ),
    }
}

fn next_of_folder(explanation: &Explanation) -> String {
    let against = explanation.answers.iter().find_map(|(_, answer)| match answer {
        Answer::No(reason) => Some(reason),
        _ => None,
    });
    match against {
        Some(reason) => format!("nothing in this folder is looked at: {reason}"),
        None => "it is a folder that is watched: each file in it goes by the rules".to_owned(),
    }
}

fn next_of_nothing(watch: &Watch, explanation: &Explanation) -> String {
    let by_name = explanation.answers.iter().find_map(|(_, answer)| match answer {
        Answer::No(reason) if !matches!(reason, Reason::NoMarker(_)) => Some(reason),
        _ => None,
    });
    match by_name {
        Some(reason) => format!("nothing has this name now, and a file that gets it is left alone: {reason}"),
        None if watch.watcher == WatcherChoice::Poll => format!(
            "nothing has this name now; a file that gets it is found within {:?}, and looked at when nothing has touched it for {:?}",
            watch.poll_interval, watch.settle
        ),
        None => format!(
            "nothing has this name now; a file that gets it is looked at as soon as nothing has touched it for {:?}",
            watch.settle
        ),
    }
}

/// What would change the verdict.
fn remedy(watch: &Watch, reason: &Reason) -> &'static str {
    match reason {
        Reason::InProgress(_) => "A rename to a final name brings it in",
        Reason::NoMarker(_) => "Taken when that comes",
        Reason::PossiblyLive => "Taken when a newer one, or the live file without a date, comes beside it",
        Reason::AmongNewest(_) => "Taken when enough newer ones have come",
        Reason::Empty | Reason::TooSmall => "Looked at again when somebody has written to it",
        Reason::HardLinks => "Looked at again at the next sweep, or when something happens to it",
        Reason::UpToDate => "Looked at again when it changes",
        Reason::NameTaken if watch.outputs_follow() => {
            "That one is not dwindle's: remove it, or set on-conflict = \"replace\""
        }
        Reason::OtherShard { .. } => "The agent for that shard takes it",
        Reason::NoLease(_) | Reason::Protected => "Looked at again at the next sweep",
        Reason::CompressedSuffix(_) if watch.retention.is_limited() => {
            "An output that is surplus is removed: dwindle run --dry-run says which are"
        }
        _ => "So it stays for as long as it has this name, and the configuration this rule",
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A head, then the text in a column of its own, broken between words. What is longer than a line, such as a path, stays in one piece.
fn paragraph(indent: usize, head: &str, text: &str) -> String {
    let margin = if head.len() < 8 { 10 } else { MARGIN };
    let mut lines = format!("{:indent$}{head:<1$}", "", margin - indent);
    let mut column = margin;
    for (index, word) in text.split(' ').enumerate() {
        let width: usize = word.chars().map(|character| character.width().unwrap_or(0)).sum();
        if index > 0 && column + 1 + width > WIDTH {
            let _ = write!(lines, "\n{:margin$}", "");
            column = margin;
        } else if index > 0 {
            lines.push(' ');
            column += 1;
        }
        lines += word;
        column += width;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_long_words_stay_whole() {
        let long = "x".repeat(90);
        let text = format!("{} {long} end", "word ".repeat(20).trim_end());
        let printed = paragraph(2, "  yes   in progress", &text);
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 4, "{printed}");
        assert!(lines[0].starts_with("    yes   in progress     word word"), "{printed}");
        for line in &lines[1..] {
            assert!(line.starts_with(&" ".repeat(MARGIN)), "{printed}");
        }
        assert!(
            lines.iter().all(|line| line.len() <= WIDTH || line.contains(&long)),
            "{printed}"
        );
    }

    #[test]
    fn a_path_is_found_below_a_folder_as_written_and_as_links_lead() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        std::fs::create_dir_all(path("real/sub")).unwrap();
        std::os::unix::fs::symlink("real", path("link")).unwrap();
        for (watched, file, expected) in [
            ("real", "real/sub/a", Some("sub/a")),
            ("real", "link/sub/a", Some("sub/a")),
            ("link", "real/a", Some("a")),
            ("real", "real/missing/a", Some("missing/a")),
            ("real", "real/sub/../a", Some("a")),
            ("real", "real/../other", None),
            ("real", "real", Some("")),
            ("real", "really", None),
            ("real/sub", "real", None),
        ] {
            let found = relative_to(&path(watched), &path(file));
            assert_eq!(found.as_deref(), expected.map(Path::new), "{file} in {watched}");
        }
    }
}
