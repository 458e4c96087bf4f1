//! What an agent tells of itself. The names and their meaning are relied on by scripts: `docs/control-socket.md`.

use serde::{Deserialize, Serialize};

/// How an agent gets on, at one moment. Paths and sentences are escaped, as in the log: plain text, whatever a file is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The program's.
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) state: State,
    /// In UTC, as RFC 3339 has it, to the second.
    pub(crate) started: String,
    pub(crate) uptime_seconds: f64,
    /// Its configuration files, or "the command line".
    pub(crate) configured_by: String,
    pub(crate) workers: usize,
    pub(crate) counters: Counters,
    /// Files known and not done.
    pub(crate) pending: usize,
    /// Of those, the ones that are ready and wait for a worker.
    pub(crate) queued: usize,
    /// Of those, the ones that are in work.
    pub(crate) in_flight: usize,
    /// Of originals, read and compressed in the last ten seconds.
    pub(crate) bytes_per_second: u64,
    pub(crate) watches: Vec<WatchStatus>,
    /// How many more there are.
    pub(crate) watches_left_out: usize,
    pub(crate) files: Vec<InWork>,
    pub(crate) files_left_out: usize,
    /// The newest first.
    pub(crate) failures: Vec<Failed>,
}

/// Where the agent is between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Its folders are being opened.
    Starting,
    Running,
    /// It takes nothing new.
    Stopping,
}

/// As in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) compressed: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
    pub(crate) removed: u64,
}

/// A watched folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WatchStatus {
    pub(crate) path: String,
    pub(crate) mode: Mode,
    /// Why it is polled, where events had been asked for.
    pub(crate) why_polling: Option<String>,
    pub(crate) state: WatchCondition,
    /// What is the matter, where it is lost or paused.
    pub(crate) trouble: Option<String>,
}

/// How it is learned what happens in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// The kernel tells.
    Native,
    /// By looking.
    Poll,
}

/// Whether files in a folder are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WatchCondition {
    Watching,
    /// The folder cannot be reached.
    Lost,
    /// Its disk is full, or read-only.
    Paused,
}

/// A file that is being compressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct InWork {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// When these are all, its output is being published, or its original removed.
    pub(crate) bytes_done: u64,
    /// Since it was begun.
    pub(crate) seconds: f64,
    /// The mean since it was begun.
    pub(crate) bytes_per_second: u64,
}

/// A file, or a subfolder that is to be listed, whose last try failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) path: String,
    /// The watched folder.
    pub(crate) watch: String,
    /// As in the log.
    pub(crate) step: String,
    /// A sentence.
    pub(crate) reason: String,
    /// The system's number for the cause, where it has one.
    pub(crate) errno: Option<i32>,
    /// `transient` or `permanent`.
    pub(crate) class: String,
    /// When it failed last: in UTC, as RFC 3339 has it.
    pub(crate) at: String,
    pub(crate) seconds_ago: f64,
    /// So many have failed in a row.
    pub(crate) tries: u64,
    /// When it is tried again; 0 when that is due. Without, when something happens to it, or at the next sweep.
    pub(crate) retry_in_seconds: Option<f64>,
    pub(crate) given_up: bool,
    /// Where it went, where the watch has a folder for what fails.
    pub(crate) moved_to: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const DOCUMENTATION: &str = include_str!("../../../docs/control-socket.md");

    fn sample() -> Status {
        Status {
            version: "0.1.0".to_owned(),
            pid: 1,
            state: State::Running,
            started: String::new(),
            uptime_seconds: 1.5,
            configured_by: String::new(),
            workers: 1,
            counters: Counters {
                compressed: 1,
                bytes_in: 2,
                bytes_out: 3,
                skipped: 4,
                failed: 5,
                removed: 6,
            },
            pending: 1,
            queued: 2,
            in_flight: 3,
            bytes_per_second: 4,
            watches: vec![WatchStatus {
                path: "/a".to_owned(),
                mode: Mode::Native,
                why_polling: None,
                state: WatchCondition::Watching,
                trouble: None,
            }],
            watches_left_out: 0,
            files: vec![InWork {
                path: "/a/b".to_owned(),
                bytes: 1,
                bytes_done: 2,
                seconds: 0.5,
                bytes_per_second: 3,
            }],
            files_left_out: 0,
            failures: vec![Failed {
                path: "/a/c".to_owned(),
                watch: "/a".to_owned(),
                step: "open".to_owned(),
                reason: String::new(),
                errno: None,
                class: "permanent".to_owned(),
                at: String::new(),
                seconds_ago: 0.0,
                tries: 1,
                retry_in_seconds: None,
                given_up: false,
                moved_to: None,
            }],
        }
    }

    fn names(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    found.push(name.clone());
                    names(value, found);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| names(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_documentation_has_every_field_and_every_word() {
        let mut found = Vec::new();
        names(&serde_json::to_value(sample()).unwrap(), &mut found);
        assert!(found.len() > 40);
        let rows: Vec<&str> = DOCUMENTATION.lines().filter(|line| line.starts_with("| `")).collect();
        for name in found {
            let cell = format!("`{name}`");
            let is_row = |row: &&&str| row.split('|').nth(1).is_some_and(|first| first.contains(&cell));
            assert!(rows.iter().any(|row| is_row(&row)), "{name} is not explained");
        }
        for word in [
            "starting", "running", "stopping", "native", "poll", "watching", "lost", "paused",
        ] {
            assert!(DOCUMENTATION.contains(&format!("`\"{word}\"`")), "{word}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_more_fields_are_no_matter() {
        let mut value = serde_json::to_value(sample()).unwrap();
        value["some_day"] = 1.into();
        value["watches"][0]["some_day"] = 1.into();
        assert_eq!(serde_json::from_value::<Status>(value).unwrap(), sample());
    }
}
