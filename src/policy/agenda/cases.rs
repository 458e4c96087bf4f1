//! Runs the scripts in `cases/`, each a story about the agenda that a person can read and add to. `cases/README.md` is the language.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::SplitWhitespace;
use std::time::{Duration, Instant};

use super::{Action, Agenda, Cause, FileId, Limits, Outcome, Remains, Tally, Timing, Verdict, WatchId};
use crate::model::Class;

#[test]
fn scripts_run_as_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy/agenda/cases");
    let mut scripts: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "txt") && !path.ends_with("seeds.txt"))
        .collect();
    scripts.sort();
    let problems: Vec<String> = scripts
        .iter()
        .filter_map(|path| run(&fs::read_to_string(path).expect("a script"), path).err())
        .collect();
    assert!(scripts.len() >= 15, "only {} scripts found", scripts.len());
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn run(script: &str, path: &Path) -> Result<(), String> {
    let mut stage = Stage::new();
    for (index, line) in script.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        stage
            .perform(line)
            .map_err(|problem| format!("{}:{}: {line}: {problem}", path.display(), index + 1))?;
    }
    Ok(())
}

/// An agenda, the time, and the names of its watches in order of their numbers.
struct Stage {
    agenda: Agenda,
    start: Instant,
    now: Instant,
    watches: Vec<String>,
    /// Whether the last outcome was that a file's tries are used up.
    given_up: bool,
}

impl Stage {
    fn new() -> Self {
        let start = Instant::now();
        Stage {
            agenda: Agenda::new(Limits { files: 64, begun: 4 }),
            start,
            now: start,
            watches: Vec::new(),
            given_up: false,
        }
    }

    fn perform(&mut self, line: &str) -> Result<(), String> {
        let (command, answer) = match line.split_once("->") {
            Some((command, answer)) => (command, Some(answer.trim())),
            None => (line, None),
        };
        let mut words = Words(command.split_whitespace());
        let mut verb = words.next()?;
        if verb == "at" {
            let now = self.start + words.duration()?;
            if now < self.now {
                return Err("the time runs backwards".to_owned());
            }
            self.now = now;
            verb = words.next()?;
        }
        let said = match verb {
            "expect" => return self.expect(&mut words),
            "outcome" => self.outcome(&mut words)?,
            "unreachable" => {
                let watch = self.watch(words.next()?)?;
                let wait = self.agenda.handle_scan_failed(watch, self.now);
                format!("again in {}s", wait.as_secs_f64())
            }
            _ => self.tell(verb, &mut words).map(|()| String::new())?,
        };
        words.end()?;
        match answer {
            Some(answer) if answer != said => Err(format!("answered {said:?}")),
            _ => Ok(()),
        }
    }

    fn tell(&mut self, verb: &str, words: &mut Words<'_>) -> Result<(), String> {
        let now = self.now;
        match verb {
            "limits" => {
                words.literal("files")?;
                let files = words.number()?;
                words.literal("begun")?;
                let begun = words.number()?;
                self.agenda = Agenda::new(Limits { files, begun });
            }
            "add" => {
                self.watches.push(words.next()?.to_owned());
                words.literal("settle")?;
                let settle = words.duration()?;
                words.literal("rescan")?;
                let rescan_every = words.duration()?;
                let watch = WatchId(self.watches.len() as u64);
                let timing = Timing { settle, rescan_every };
                self.agenda.add_watch(watch, timing, now);
            }
            "keep-up" => self.agenda.keep_up(self.watch(words.next()?)?),
            "retained" => {
                let watch = self.watch(words.next()?)?;
                let took = words.duration()?;
                let left = match words.0.next() {
                    Some("busy") => Remains::Busy,
                    Some("more") => Remains::More,
                    Some(other) => return Err(format!("{other:?} is neither \"busy\" nor \"more\"")),
                    None => Remains::Nothing,
                };
                self.agenda.handle_retained(watch, took, left, now);
            }
            "remove" => self.agenda.remove_watch(self.watch(words.next()?)?),
            "rescan-every" => {
                let watch = self.watch(words.next()?)?;
                self.agenda.rescan_every(watch, words.duration()?, now);
            }
            "event" => {
                let file = self.file(words.next()?)?;
                self.agenda.handle_event(&file, now);
            }
            "successor" => {
                let file = self.file(words.next()?)?;
                self.agenda.handle_successor(file, now);
            }
            "folder" => {
                let folder = self.file(words.next()?)?;
                self.agenda.handle_folder(folder.watch, &folder.path, now);
            }
            "lost" => {
                let watch = self.watch(words.next()?)?;
                self.agenda.handle_lost_events(watch, Cause::EventsLost, now);
            }
            "scanned" => {
                let watch = self.watch(words.next()?)?;
                let mut found: Vec<&str> = words.by_ref().collect();
                let end = found.pop_if(|last| *last == "...").is_none();
                let found = found.into_iter().map(PathBuf::from).collect();
                self.agenda.handle_scanned(watch, found, end, now);
            }
            "trouble" => {
                let watch = self.watch(words.next()?)?;
                self.agenda.handle_scan_trouble(watch, words.class()?);
            }
            "drain" => {
                let within = words.0.next();
                let deadline = match within {
                    Some("within") => Some(now + words.duration()?),
                    Some(other) => return Err(format!("{other:?} is not \"within\"")),
                    None => None,
                };
                self.agenda.handle_drain(deadline);
            }
            "retiring" => {
                let file = self.file(words.next()?)?;
                self.agenda.handle_retiring(&file);
            }
            "abort" => self.agenda.handle_abort(),
            "once" => {
                words.literal("patience")?;
                self.agenda.handle_once(words.duration()?);
            }
            other => return Err(format!("no command is called {other:?}")),
        }
        Ok(())
    }

    fn outcome(&mut self, words: &mut Words<'_>) -> Result<String, String> {
        let file = self.file(words.next()?)?;
        let outcome = match words.next()? {
            "compressed" => Outcome::Compressed {
                bytes_in: words.number()? as u64,
                bytes_out: words.number()? as u64,
            },
            "skipped" => Outcome::Skipped,
            "not-yet" => Outcome::NotYet(words.duration()?),
            "in-use" => Outcome::InUse,
            "no-room" => Outcome::NoRoom,
            "gone" => Outcome::Gone,
            "folder" => Outcome::Folder,
            "cancelled" => Outcome::Cancelled,
            "hard-linked" => Outcome::HardLinked,
            "given-up" => Outcome::GivenUp,
            "failed" => Outcome::Failed(words.class()?),
            other => return Err(format!("no outcome is called {other:?}")),
        };
        let verdict = self.agenda.handle_outcome(&file, outcome, self.now);
        self.given_up = verdict.given_up;
        Ok(match verdict {
            Verdict {
                retry_in: Some(wait), ..
            } => format!("again in {}s", wait.as_secs_f64()),
            Verdict { news: true, .. } => "news".to_owned(),
            Verdict { news: false, .. } => "quiet".to_owned(),
        })
    }

    fn expect(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let wanted: Vec<&str> = words.by_ref().collect();
        let wanted = wanted.join(" ");
        let found = match wanted.split(' ').next() {
            Some("timeout") => self.say_timeout(),
            Some("tally") => self.say_tally(&wanted),
            Some("given-up") => format!("given-up {}", if self.given_up { "yes" } else { "no" }),
            Some("pending") => format!("pending {}", self.agenda.pending()),
            _ => self.say_action(),
        };
        if found == wanted {
            Ok(())
        } else {
            Err(format!("it is {found:?}"))
        }
    }

    fn say_action(&mut self) -> String {
        match self.agenda.poll_action(self.now) {
            None => "nothing".to_owned(),
            Some(Action::Finish) => "finish".to_owned(),
            Some(Action::Retain(watch)) => format!("retain {}", self.say_watch(watch)),
            Some(Action::Begin(file)) => format!("begin {}", self.say_file(&file)),
            Some(Action::ScanOn { watch, .. }) => format!("scan-on {}", self.say_watch(watch)),
            Some(Action::Scan {
                watch, folder, cause, ..
            }) => {
                let watch = self.say_watch(watch);
                let what = if folder.as_os_str().is_empty() {
                    watch.to_owned()
                } else {
                    format!("{watch}:{}", folder.display())
                };
                format!("scan {what} for {}", cause.as_str().replace(' ', "-"))
            }
        }
    }

    fn say_timeout(&self) -> String {
        match self.agenda.poll_timeout() {
            Some(at) => format!("timeout {}s", at.duration_since(self.start).as_secs_f64()),
            None => "timeout never".to_owned(),
        }
    }

    /// Only the counts that are asked for.
    fn say_tally(&self, wanted: &str) -> String {
        let Tally {
            compressed,
            bytes_in,
            bytes_out,
            skipped,
            failed,
            left,
        } = self.agenda.tally();
        let counts = [
            ("compressed", compressed),
            ("bytes-in", bytes_in),
            ("bytes-out", bytes_out),
            ("skipped", skipped),
            ("failed", failed),
            ("left", left),
        ];
        let said = wanted.split(' ').skip(1).filter_map(|word| {
            let name = word.split('=').next()?;
            let (name, count) = counts.iter().find(|count| count.0 == name)?;
            Some(format!(" {name}={count}"))
        });
        format!("tally{}", said.collect::<String>())
    }

    /// `a` is in the first watch, `x:a` in the watch `x`.
    fn file(&self, word: &str) -> Result<FileId, String> {
        let (watch, path) = match word.split_once(':') {
            Some((watch, path)) => (self.watch(watch)?, path),
            None => (WatchId(1), word),
        };
        let path = Path::new(path).into();
        Ok(FileId { watch, path })
    }

    fn say_file(&self, file: &FileId) -> String {
        match file.watch {
            WatchId(1) => file.path.display().to_string(),
            watch => format!("{}:{}", self.say_watch(watch), file.path.display()),
        }
    }

    fn watch(&self, name: &str) -> Result<WatchId, String> {
        let position = self.watches.iter().position(|watch| watch == name);
        let position = position.ok_or_else(|| format!("no watch is called {name:?}"))?;
        Ok(WatchId(position as u64 + 1))
    }

    fn say_watch(&self, watch: WatchId) -> &str {
        let index = usize::try_from(watch.0 - 1).expect("a small number");
        &self.watches[index]
    }
}

struct Words<'a>(SplitWhitespace<'a>);

impl<'a> Words<'a> {
    fn by_ref(&mut self) -> &mut SplitWhitespace<'a> {
        &mut self.0
    }

    fn next(&mut self) -> Result<&'a str, String> {
        self.0.next().ok_or_else(|| "a word is missing at the end".to_owned())
    }

    fn literal(&mut self, wanted: &str) -> Result<(), String> {
        match self.next()? {
            word if word == wanted => Ok(()),
            word => Err(format!("{word:?} stands where {wanted:?} belongs")),
        }
    }

    fn class(&mut self) -> Result<Class, String> {
        match self.next()? {
            "transient" => Ok(Class::Transient),
            "permanent" => Ok(Class::Permanent),
            other => Err(format!("no class is called {other:?}")),
        }
    }

    fn number(&mut self) -> Result<usize, String> {
        let word = self.next()?;
        word.parse().map_err(|_| format!("{word:?} is not a number"))
    }

    /// `250ms`, `2s`, `5m`, `1h`, or `forever`.
    fn duration(&mut self) -> Result<Duration, String> {
        let word = self.next()?;
        if word == "forever" {
            return Ok(Duration::MAX);
        }
        let digits = word.trim_end_matches(char::is_alphabetic);
        let number: u64 = digits.parse().map_err(|_| format!("{word:?} is not a duration"))?;
        match &word[digits.len()..] {
            "ms" => Ok(Duration::from_millis(number)),
            "s" => Ok(Duration::from_secs(number)),
            "m" => Ok(Duration::from_secs(number * 60)),
            "h" => Ok(Duration::from_secs(number * 3600)),
            _ => Err(format!("{word:?} is not a duration")),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match self.0.next() {
            None => Ok(()),
            Some(word) => Err(format!("{word:?} is too much")),
        }
    }
}
