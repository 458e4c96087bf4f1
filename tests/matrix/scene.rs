//! A folder with all that a run may meet in it, and the promise about it: each original's bytes are there, once, under its own name or in
//! a whole `.gz`; nothing of the program's own is left; nobody else's file is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use rustix::process::Signal;

use crate::support::files::Kept;
use crate::support::gz::read_with_gzip;
use crate::support::inbox::{Arrival, State, state_below};
use crate::support::programs::while_none_is_started;
use crate::support::run::{Output, Running};
use crate::support::wait::{DEADLINE, poll};
use crate::support::{Data, Dwindle, Sandbox, names_below};

/// How the folder is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Outputs go beside their originals, by a number where another file has the name.
    Beside,
    /// The same into a folder below the watched one.
    Tree,
    /// Outputs go beside their originals, in the place of what has the name.
    Replace,
    /// As beside, and originals go to a folder below the watched one instead of being removed.
    Done,
}

pub(super) const LAYOUTS: [Layout; 4] = [Layout::Beside, Layout::Tree, Layout::Replace, Layout::Done];

/// A watched folder, as it was before the program saw it.
pub(super) struct Scene<'a> {
    sandbox: &'a Sandbox,
    folder: PathBuf,
    keys: &'static str,
    /// The folder of the outputs, relative to the watched one.
    output: PathBuf,
    /// The folder of originals that are done, relative to the watched one.
    done: Option<&'static Path>,
    files: Vec<Expected>,
    others: BTreeMap<String, State>,
}

/// An original, and what becomes of it.
struct Expected {
    original: Arrival,
    /// Relative to the watched folder.
    output: PathBuf,
    before: Before,
}

/// What has the output's name before the program comes.
enum Before {
    Nothing,
    /// The output, from an earlier run.
    Output,
    /// Another file's `.gz`, to be replaced.
    Other(Vec<u8>),
}

impl<'a> Scene<'a> {
    /// Fills the folder, which may be a mount in the sandbox. The program's configuration is in the sandbox itself.
    pub(super) fn lay_out(sandbox: &'a Sandbox, folder: &Path, layout: Layout, data: &mut Data) -> Self {
        let (keys, output) = match layout {
            Layout::Beside => ("", ""),
            Layout::Tree => ("output-dir = \"archive\"", "archive"),
            Layout::Replace => ("on-conflict = \"replace\"", ""),
            Layout::Done => ("done-dir = \"done\"", ""),
        };
        let mut scene = Scene {
            sandbox,
            folder: folder.to_path_buf(),
            keys,
            output: PathBuf::from(output),
            done: (layout == Layout::Done).then_some(Path::new("done")),
            files: Vec::new(),
            others: BTreeMap::new(),
        };
        for name in ["plain", "twin", "other", "deep/er/one", "numbered"] {
            let mut original = Arrival::new(data, name);
            // A run is to be short, since there are many.
            original.original.content.truncate(20_000);
            scene.add(original);
        }
        scene.make_outputs(layout);
        scene.make_others();
        scene
    }

    /// One more original, whose output's name is free.
    pub(super) fn add(&mut self, original: Arrival) {
        let path = original.path_in(&self.folder);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("a new folder");
        original.write_to(&path);
        let output = original.original.gz_in(&self.output.join(&original.folder));
        self.files.push(Expected {
            original,
            output,
            before: Before::Nothing,
        });
    }

    /// The output of a run that was stopped before it removed the original, and others that have the names of outputs.
    fn make_outputs(&mut self, layout: Layout) {
        for file in &mut self.files {
            let taken = match file.original.original.name.to_str() {
                Some("twin") => {
                    put_gz(&self.folder.join(&file.output), &file.original.original.content);
                    file.before = Before::Output;
                    continue;
                }
                Some("other") => 1,
                Some("numbered") => 2,
                _ => continue,
            };
            for number in 0..taken {
                let name = self.folder.join(numbered(&file.output, number));
                put_gz(&name, format!("of another file, {number}").as_bytes());
            }
            if layout == Layout::Replace {
                file.before = Before::Other(b"of another file, 0".to_vec());
            } else {
                file.output = numbered(&file.output, taken);
            }
        }
    }

    /// None of these is the program's to take.
    fn make_others(&mut self) {
        put_gz(&self.folder.join("alone.gz"), b"of a file that is not there");
        for (name, content) in [("coming.part", "text"), (".hidden", "text"), ("empty", "")] {
            while_none_is_started(|| fs::write(self.folder.join(name), content)).expect("a new file");
        }
        symlink("plain", self.folder.join("link")).expect("a new link");
        self.others = state_below(&self.folder);
        for file in &self.files {
            self.others
                .remove(&*file.original.path_in(Path::new("")).to_string_lossy());
            if let Before::Other(_) = file.before {
                self.others.remove(&*file.output.to_string_lossy());
            }
        }
        // What is made in a folder changes that.
        self.others.retain(|name, _| !name.ends_with('/'));
    }

    /// One pass over the folder: `run --once`.
    pub(super) fn pass(&self) -> Dwindle {
        self.agent().args(["--once"])
    }

    /// The agent on the folder: `run`.
    pub(super) fn agent(&self) -> Dwindle {
        self.agent_that_waits("0s")
    }

    /// The same with a time for which a file must have been left alone.
    pub(super) fn agent_that_waits(&self, settle: &str) -> Dwindle {
        let (path, keys) = (self.folder.display(), self.keys);
        let text = format!(
            "workers = 1\nshutdown-timeout = \"1s\"\n[[watch]]\npath = \"{path}\"\nsettle = \"{settle}\"\n{keys}\n"
        );
        let config = self.sandbox.path("dwindle.toml");
        // Another agent may be reading it.
        if fs::read(&config).ok().as_deref() != Some(text.as_bytes()) {
            self.sandbox.file("dwindle.toml", text);
        }
        Dwindle::new(self.sandbox).args(["run", "-c"]).args([config])
    }

    /// The watched folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// An original's path.
    pub(super) fn original(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A pass as a command whose outputs go to a file in the sandbox.
    pub(super) fn command(&self) -> Command {
        let log = File::create(self.sandbox.path("pass.log")).expect("a new file");
        let mut command = self.pass().command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command
    }

    /// The promise at any moment, for when nobody is at work: each original's bytes are there under its own name, in quarantine, or in a
    /// whole output, or, where originals are moved, in its new place and not only in the output; there is no half output under a name of its own; the others are as they were.
    pub(super) fn expect_nothing_lost(&self) {
        if let Err(loss) = self.look_for_losses() {
            panic!("{loss}");
        }
    }

    /// The same while the agent is at work: then a look may miss what is being renamed, but what is lost stays so.
    pub(super) fn expect_nothing_lost_meanwhile(&self) {
        let mut last = String::new();
        let found = poll(DEADLINE, || self.look_for_losses().map_err(|loss| last = loss).ok());
        assert!(found.is_some(), "{last}");
    }

    fn look_for_losses(&self) -> Result<(), String> {
        self.look_for_damage_to_others()?;
        let (mut kept, mut moved) = (BTreeSet::new(), BTreeSet::new());
        for name in self.names() {
            let is_other = self.others.contains_key(&name) && !self.is_earlier_output(&name);
            if is_other || is_unpublished(&name) {
                continue;
            }
            let (index, content) = self.read(&name).map_err(|error| format!("{name}: {error}"))?;
            let file = &self.files[index];
            if matches!(&file.before, Before::Other(other) if Path::new(&name) == file.output && *other == content) {
                continue;
            }
            if content != file.original.original.content {
                return Err(format!("{name} has other bytes than its original"));
            }
            kept.insert(index);
            if Path::new(&name) != file.output {
                moved.insert(index);
            }
        }
        let kept = if self.done.is_some() { moved } else { kept };
        match self.files.iter().enumerate().find(|(index, _)| !kept.contains(index)) {
            Some((_, file)) => Err(format!(
                "nothing has the bytes of {}",
                file.original.original.name.display()
            )),
            None => Ok(()),
        }
    }

    /// The promise after a pass that nothing hindered: each original is one output, and nothing else has changed.
    pub(super) fn expect_done(&self) {
        assert_eq!(self.look_for_damage_to_others(), Ok(()));
        assert_eq!(self.names(), self.names_when_done(), "names");
        self.expect_outputs();
    }

    /// The originals that are not there under their own names, sorted.
    pub(super) fn originals_missing(&self) -> Vec<PathBuf> {
        self.missing(self.files.iter().map(|file| file.original.path_in(Path::new(""))))
    }

    /// The outputs that are not there, sorted.
    pub(super) fn outputs_missing(&self) -> Vec<PathBuf> {
        self.missing(self.files.iter().map(|file| file.output.clone()))
    }

    fn missing(&self, paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
        let mut missing: Vec<_> = paths.filter(|path| !self.folder.join(path).exists()).collect();
        missing.sort();
        missing
    }

    /// Waits until the agent says in its log that it cannot do this to a path in the folder, and why.
    pub(super) fn wait_until_said(&self, running: &mut Running, step: &str, why: &str) {
        let beginning = format!("cannot {step} {}", self.folder.display());
        running.wait_for_line(&format!("{beginning}…: {why}"), |line| {
            line.split_once(&beginning).is_some_and(|(_, rest)| rest.contains(why))
        });
    }

    /// Waits until the agent has done everything by itself, and ends it.
    pub(super) fn wait_until_done(&self, mut running: Running) -> Output {
        let names = self.names_when_done();
        running.wait_for("every output", || self.names() == names);
        running.signal(Signal::TERM);
        let output = running.wait_exit().expect_code(0);
        self.expect_done();
        output
    }

    /// Each original has become its output, whether or not it is still there itself.
    pub(super) fn expect_outputs(&self) {
        for Expected {
            original,
            output,
            before,
        } in &self.files
        {
            let path = self.folder.join(output);
            let original = &original.original;
            assert!(read_with_gzip(&path) == original.content, "{}: content", path.display());
            if !matches!(before, Before::Output) {
                assert_eq!(Kept::of(&path), original.kept, "{}: metadata", path.display());
            }
        }
    }

    /// One more pass, to its end; then everything is as if nothing had happened.
    pub(super) fn expect_that_a_pass_ends_well(&self) -> Output {
        let output = self.pass().finish().expect_code(0);
        assert_eq!((output.report().failed, output.report().left), (0, 0), "{output}");
        self.expect_done();
        output
    }

    /// Those of all files.
    fn names(&self) -> Vec<String> {
        let mut names = names_below(&self.folder);
        names.retain(|name| !name.ends_with('/'));
        names
    }

    fn names_when_done(&self) -> Vec<String> {
        let mut names: BTreeSet<String> = self.others.keys().cloned().collect();
        names.extend(self.files.iter().map(|file| file.output.to_string_lossy().into_owned()));
        let done = self.files.iter().filter_map(|file| self.when_done(file));
        names.extend(done.map(|path| path.to_string_lossy().into_owned()));
        names.into_iter().collect()
    }

    /// Where an original is in the end, if anywhere.
    fn when_done(&self, file: &Expected) -> Option<PathBuf> {
        self.done.map(|folder| file.original.path_in(folder))
    }

    fn look_for_damage_to_others(&self) -> Result<(), String> {
        let now = state_below(&self.folder);
        match self.others.iter().find(|(name, state)| now.get(*name) != Some(state)) {
            Some((name, state)) => Err(format!(
                "{name}, none of the program's: was {state:?}, is {:?}",
                now.get(name)
            )),
            None => Ok(()),
        }
    }

    fn is_earlier_output(&self, name: &str) -> bool {
        let mut earlier = self.files.iter().filter(|file| matches!(file.before, Before::Output));
        earlier.any(|file| file.output == Path::new(name))
    }

    /// Which original the name speaks of, and the bytes that it has for it.
    fn read(&self, name: &str) -> io::Result<(usize, Vec<u8>)> {
        let bytes = fs::read(self.folder.join(name))?;
        for (index, file) in self.files.iter().enumerate() {
            let original = file.original.path_in(Path::new(""));
            let is_it = |path: &Path| path == original || self.when_done(file).is_some_and(|done| path == done);
            if is_it(Path::new(name)) || quarantined(name).is_some_and(|name| name == original) {
                return Ok((index, bytes));
            }
            if Path::new(name) == file.output {
                return Ok((index, unpack(&bytes)?));
            }
        }
        Err(io::Error::other("it should not be there"))
    }
}

/// The content of one whole gzip member, and nothing behind it.
fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut decoder = GzDecoder::new(bytes);
    let mut content = Vec::new();
    decoder.read_to_end(&mut content)?;
    let rest = decoder.into_inner().len();
    if rest > 0 {
        Err(io::Error::other("bytes behind the member"))
    } else {
        Ok(content)
    }
}

/// FILE.gz for 0, FILE.~N~.gz for others.
fn numbered(gz: &Path, number: usize) -> PathBuf {
    match number {
        0 => gz.to_path_buf(),
        _ => gz.with_extension(format!("~{number}~.gz")),
    }
}

/// The path of the original that is under this name in quarantine.
fn quarantined(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let name = path.file_name()?.to_str()?;
    let (original, random) = name.strip_prefix('.')?.strip_suffix(".q")?.rsplit_once(".dwindle-")?;
    let is_random = !random.is_empty() && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_random.then(|| path.with_file_name(original))
}

/// Whether this is the name of an output that is not published, for file systems on which it needs one. The next pass removes it.
fn is_unpublished(name: &str) -> bool {
    let name = Path::new(name).file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(".dwindle-") && name.strip_suffix(".tmp").is_some())
}

fn put_gz(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("in a folder")).expect("a new folder");
    let write = || {
        let mut encoder = GzEncoder::new(File::create_new(path)?, Compression::fast());
        encoder.write_all(content)?;
        encoder.finish().map(drop)
    };
    while_none_is_started(write).expect("a gzip file");
}
