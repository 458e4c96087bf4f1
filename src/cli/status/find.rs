//! Which agent is asked, and what to tell a person when none answers.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::read;
use crate::cli::setup;
use crate::config::{self, Diagnostic};
use crate::daemon::control::{Client, FILE_NAME, Unanswered};
use crate::daemon::instance;
use crate::model::Escaped;

/// A client that loses its place to a crowd comes again so often.
const TRIES: usize = 5;

/// Where to ask, and whom.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// The first place first.
    paths: Vec<PathBuf>,
    /// As the agent that is meant says by what it is configured; none where any is meant.
    configured_by: Option<String>,
}

impl Places {
    /// The socket that is named; else that of the configuration, or else all that there may be by default. Of those, a configuration that is
    /// named means the agent that reads it.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration that is named. One that nobody named only helps.
    pub(super) fn new(files: &[PathBuf], named: Option<&Path>) -> Result<Self, Vec<Diagnostic>> {
        let only = |path: &Path| Places {
            paths: vec![path.to_owned()],
            configured_by: None,
        };
        if let Some(named) = named {
            return Ok(only(named));
        }
        let configured = match config::control_socket(files) {
            Err(problems) if !files.is_empty() => return Err(problems),
            configured => configured.ok().flatten(),
        };
        if let Some(configured) = &configured
            && !files.is_empty()
        {
            return Ok(only(configured));
        }
        let by_default = instance::runtime_directories()
            .into_iter()
            .map(|folder| folder.join(FILE_NAME));
        Ok(Places {
            paths: configured.into_iter().chain(by_default).collect(),
            configured_by: (!files.is_empty()).then(|| Escaped(Path::new(&setup::teller(files))).to_string()),
        })
    }
}

/// An agent that answers.
pub(super) struct Source {
    path: PathBuf,
    client: Client,
}

impl Source {
    /// The first that answers, and its answer.
    ///
    /// # Errors
    ///
    /// Where none does: a sentence that says what to do, of the first that is there all the same, or else of all places.
    pub(super) fn find(places: &Places) -> Result<(Self, String), String> {
        // It may be another one that is meant: it hides none that answers.
        let mut first_trouble = None;
        for path in &places.paths {
            match Source::ask_at(path) {
                Ok((_, json)) if !is_meant(places, &json) => {}
                Ok(found) => return Ok(found),
                Err(error) if is_absent(&error) => {}
                Err(error) => drop(first_trouble.get_or_insert_with(|| trouble(path, &error))),
            }
        }
        Err(first_trouble.unwrap_or_else(|| nobody(places)))
    }

    /// Asks again. An agent that closes the connection is asked by a new one, which may be of another agent by now.
    ///
    /// # Errors
    ///
    /// As [`Client::ask`].
    pub(super) fn ask(&mut self) -> Result<String, Unanswered> {
        match self.client.ask() {
            Err(Unanswered::Closed) => {
                let (source, json) = Source::ask_at(&self.path)?;
                *self = source;
                Ok(json)
            }
            answer => answer,
        }
    }

    /// The end of an agent that was asked.
    pub(super) fn has_stopped(&self) -> String {
        format!("the agent at {} has stopped", Escaped(&self.path))
    }

    /// What to do about an agent that answers in an unknown way.
    pub(super) fn is_strange(&self) -> String {
        format!(
            "the agent at {} is of another version, whose answer cannot be read: --json prints it as it is",
            Escaped(&self.path)
        )
    }

    fn ask_at(path: &Path) -> Result<(Self, String), Unanswered> {
        let mut tries = 1;
        loop {
            let mut client = Client::connect(path)?;
            match client.ask() {
                Err(Unanswered::Closed) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
                Ok(json) => {
                    let path = path.to_owned();
                    return Ok((Source { path, client }, json));
                }
            }
        }
    }
}

/// Nobody is there.
pub(super) fn is_absent(error: &Unanswered) -> bool {
    let Unanswered::Failed(error) = error else { return false };
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
    )
}

/// Somebody is there, and cannot be asked.
fn trouble(path: &Path, error: &Unanswered) -> String {
    let path = Escaped(path);
    match error {
        Unanswered::Failed(error) if error.kind() == ErrorKind::PermissionDenied => format!(
            "this user may not ask at {path}: join the group that may (sudo usermod -aG dwindle $USER, then log in again), or ask as root"
        ),
        Unanswered::Failed(error) => format!("cannot ask the agent at {path}: {error}"),
        error => format!("the agent at {path} has no answer: {error}"),
    }
}

/// An agent whose answer cannot be read may be the one.
fn is_meant(places: &Places, json: &str) -> bool {
    let Some(named) = &places.configured_by else {
        return true;
    };
    read(json).is_none_or(|status| begins_with(&status.configured_by, named))
}

/// Whether these are the files, or the first of them: nobody names the drop-ins that an agent finds by itself.
fn begins_with(files: &str, named: &str) -> bool {
    let others = files.strip_prefix(named);
    others.is_some_and(|others| others.is_empty() || others.starts_with(", "))
}

fn nobody(places: &Places) -> String {
    let mut sentence = "no agent".to_owned();
    if let Some(configured_by) = &places.configured_by {
        let _ = write!(sentence, " that is configured by {configured_by}");
    }
    for (index, path) in places.paths.iter().enumerate() {
        let before = if index == 0 { "answers at" } else { "or" };
        let _ = write!(sentence, " {before} {}", Escaped(path));
    }
    sentence
        + ". Is it running (systemctl status dwindle)? Where its socket is elsewhere, name that (--socket PATH) or its configuration (-c FILE)"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;

    const STATUS: &str = "{\"version\":1,\"status\":{}}\n";

    /// Answers one question so.
    fn answer_at(path: &Path, answer: &'static str) {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(&stream).read_line(&mut String::new()).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
    }

    #[test]
    fn one_that_has_no_answer_hides_none_that_has_one() {
        for (answer, sentence) in [
            ("hello\n", "does not speak as dwindle does"),
            ("{\"version\":1,\"error\":\"it hangs\"}\n", "has no answer: it hangs"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let paths = ["missing", "first", "second", "third"].map(|name| folder.path().join(name));
            let [_, first, second, third] = &paths;
            let places = Places {
                paths: paths.to_vec(),
                configured_by: None,
            };
            answer_at(first, answer);
            answer_at(second, "{\"version\":1,\"error\":\"it has ended\"}\n");
            answer_at(third, STATUS);
            let (source, json) = Source::find(&places).unwrap();
            assert_eq!((&source.path, &*json), (third, "{}"));
            for path in [first, second] {
                std::fs::remove_file(path).unwrap();
            }
            answer_at(first, answer);
            answer_at(second, "{\"version\":1,\"error\":\"it has ended\"}\n");
            let told = Source::find(&places).map(drop).unwrap_err();
            assert!(
                told.contains(sentence) && told.contains(&first.display().to_string()),
                "the first is told: {told}"
            );
        }
    }

    #[test]
    fn the_one_that_is_named_is_the_only_one() {
        let named = Path::new("/a/b.sock");
        let places = |file: &Path, named| Places::new(&[file.to_owned()], named);
        assert_eq!(places(Path::new("/missing.toml"), Some(named)).unwrap().paths, [named]);
        assert!(places(Path::new("/missing.toml"), None).is_err());
        let folder = tempfile::tempdir().unwrap();
        let (with, without) = (folder.path().join("with.toml"), folder.path().join("without.toml"));
        std::fs::write(&with, "control-socket = \"s\"\n[[watch]]\npath = \"/not/there\"").unwrap();
        std::fs::write(&without, "level = 1").unwrap();
        let by_key = places(&with, None).unwrap();
        assert_eq!(
            (by_key.paths, by_key.configured_by),
            (vec![folder.path().join("s")], None)
        );
        let by_default = places(&without, None).unwrap();
        let file = without.canonicalize().unwrap().display().to_string();
        assert_eq!(by_default.configured_by, Some(file));
        assert!(is_meant(&by_default, "{}"), "what cannot be read may be it");
    }

    #[test]
    fn the_agent_that_is_meant_may_have_further_files() {
        for (files, is_it) in [
            ("/etc/a.toml", true),
            ("/etc/a.toml, /etc/conf.d/10.toml", true),
            ("/etc/a.toml.old", false),
            ("/etc/b.toml, /etc/a.toml", false),
            ("the command line", false),
        ] {
            assert_eq!(begins_with(files, "/etc/a.toml"), is_it, "{files}");
        }
    }
}
