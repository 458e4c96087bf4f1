//! Which agent is asked, and what to tell a person when none answers.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::{self, Diagnostic};
use crate::daemon::control::{Client, FILE_NAME, Unanswered};
use crate::daemon::instance;
use crate::model::Escaped;

/// A client that loses its place to a crowd comes again so often.
const TRIES: usize = 5;

/// Where to ask, the first place first: the one that is named; else that of the configuration, the service's, and the user's.
///
/// # Errors
///
/// What is wrong with the configuration that is named. One that nobody named only helps.
pub(super) fn places(files: &[PathBuf], named: Option<&Path>) -> Result<Vec<PathBuf>, Vec<Diagnostic>> {
    if let Some(named) = named {
        return Ok(vec![named.to_owned()]);
    }
    let configured = match config::control_socket(files) {
        Err(problems) if !files.is_empty() => return Err(problems),
        configured => configured.ok().flatten(),
    };
    if let Some(configured) = &configured
        && !files.is_empty()
    {
        return Ok(vec![configured.clone()]);
    }
    let by_default = instance::runtime_directories()
        .into_iter()
        .map(|folder| folder.join(FILE_NAME));
    Ok(configured.into_iter().chain(by_default).collect())
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
    /// Where none does: a sentence that says what to do.
    pub(super) fn find(places: &[PathBuf]) -> Result<(Self, String), String> {
        let mut denied = None;
        for path in places {
            match Source::ask_at(path) {
                Ok(found) => return Ok(found),
                Err(Unanswered::Failed(error)) => match error.kind() {
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory => {}
                    ErrorKind::PermissionDenied => drop(denied.get_or_insert(path)),
                    _ => return Err(format!("cannot ask the agent at {}: {error}", Escaped(path))),
                },
                Err(error) => return Err(format!("the agent at {} has no answer: {error}", Escaped(path))),
            }
        }
        Err(match denied {
            Some(path) => format!(
                "this user may not ask at {}: join the group that may (sudo usermod -aG dwindle $USER, then log in again), or ask as root",
                Escaped(path)
            ),
            None => nobody(places),
        })
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

fn nobody(places: &[PathBuf]) -> String {
    let mut sentence = "no agent answers at ".to_owned();
    for (index, path) in places.iter().enumerate() {
        let before = if index == 0 { "" } else { " or " };
        let _ = write!(sentence, "{before}{}", Escaped(path));
    }
    sentence
        + ". Is one running (systemctl status dwindle)? An agent with another socket is found by -c FILE, its configuration, or --socket PATH"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_named_is_the_only_one() {
        let named = Path::new("/a/b.sock");
        assert_eq!(places(&["/missing.toml".into()], Some(named)).unwrap(), [named]);
        assert!(places(&["/missing.toml".into()], None).is_err());
        let folder = tempfile::tempdir().unwrap();
        let (with, without) = (folder.path().join("with.toml"), folder.path().join("without.toml"));
        std::fs::write(&with, "control-socket = \"s\"\n[[watch]]\npath = \"/not/there\"").unwrap();
        std::fs::write(&without, "level = 1").unwrap();
        assert_eq!(places(&[with], None).unwrap(), [folder.path().join("s")]);
        assert!(!places(&[without], None).unwrap().is_empty());
    }
}
