//! The shape of one configuration file: which keys stand where, and what a watch is made of.

use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::diagnostic::{Diagnostic, Document};
use super::metrics::{self, METRICS_KEYS};
use super::section::{Kind, Section};
#[cfg(feature = "zstd")]
use super::values::ZstdLevel;
use super::values::{
    Argument, Count, Glob, HookTimeout, KeepBytes, KeepCount, KeepFor, MarkerPattern, PollInterval, Size, Value,
    Workers,
};
use super::{LogFormat, LogLevel};
use crate::model::{Format, Level};
use crate::policy::{Hooks, OF_FAILURE, OF_SUCCESS, OnConflict, Preset, Select, Watch, WatcherChoice, unknown_word};

pub(super) const TOP_KEYS: &[&str] = &[
    "workers",
    "level",
    "shutdown-timeout",
    "control-socket",
    "log",
    "metrics",
    "watch",
];
pub(super) const LOG_KEYS: &[&str] = &["format", "level"];
pub(super) const WATCH_KEYS: &[&str] = &[
    "path",
    "preset",
    "recursive",
    "include",
    "exclude",
    "min-size",
    "format",
    "level",
    "settle",
    "writer-check",
    "marker",
    "keep-original",
    "output-dir",
    "done-dir",
    "failed-dir",
    "on-conflict",
    "leave-newest",
    "watcher",
    "poll-interval",
    "durable",
    "on-success",
    "on-failure",
    "hook-timeout",
    "keep-for",
    "keep-count",
    "keep-bytes",
];

static TOP: Kind = Kind {
    place: "at the top level",
    keys: TOP_KEYS,
    others: &[
        ("below a [[watch]] line", WATCH_KEYS),
        ("below the [log] line", LOG_KEYS),
        ("below the [metrics] line", METRICS_KEYS),
    ],
};
static LOG: Kind = Kind {
    place: "in [log]",
    keys: LOG_KEYS,
    others: &[("above the first line in brackets", TOP_KEYS)],
};
static METRICS: Kind = Kind {
    place: "in [metrics]",
    keys: METRICS_KEYS,
    others: &[("above the first line in brackets", TOP_KEYS)],
};
static WATCH: Kind = Kind {
    place: "in a watch",
    keys: WATCH_KEYS,
    others: &[("above the first line in brackets", TOP_KEYS)],
};

/// More problems than this in one file help nobody.
const MOST_PROBLEMS: usize = 50;

/// What one file says; what it does not say is `None`.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) workers: Option<usize>,
    pub(super) level: Option<Level>,
    pub(super) shutdown_timeout: Option<Duration>,
    pub(super) control_socket: Option<PathBuf>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) log_level: Option<LogLevel>,
    pub(super) metrics: metrics::Keys,
    pub(super) watches: Vec<Entry>,
}

/// A watch, and where its keys stand.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) watch: Watch,
    pub(super) document: Rc<Document>,
    pub(super) path: Range<usize>,
    pub(super) include: Vec<Range<usize>>,
    pub(super) output_dir: Option<Range<usize>>,
    pub(super) done_dir: Option<Range<usize>>,
    pub(super) failed_dir: Option<Range<usize>>,
    pub(super) poll_interval: Option<Range<usize>>,
    /// What is odd about those.
    pub(super) hook_warnings: Vec<Diagnostic>,
    /// The path as it was written, before it was made absolute.
    pub(super) written_path: PathBuf,
}

/// Reads one file's text. A relative `path` in it starts at the file's own folder, so that a configuration means the same whoever
/// starts the program and wherever.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of the file. Where the TOML itself is broken, only that.
pub(super) fn parse(path: &Path, text: &str) -> Result<File, Vec<Diagnostic>> {
    let document = Rc::new(Document {
        path: path.to_owned(),
        // A byte-order mark is no character of the first line.
        text: text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
    });
    let mut problems = Vec::new();
    let (table, syntax) = DeTable::parse_recoverable(&document.text);
    if !syntax.is_empty() {
        return Err(describe_syntax(&document, &syntax));
    }
    let file = read_top(&document, table.into_inner(), &mut problems);
    if problems.is_empty() {
        return Ok(file);
    }
    problems.sort_by_key(|problem| problem.position().map(|(_, line, column)| (line, column)));
    problems.truncate(MOST_PROBLEMS);
    Err(problems)
}

fn read_top(document: &Rc<Document>, table: DeTable<'_>, problems: &mut Vec<Diagnostic>) -> File {
    let mut top = Section::new(document, &TOP, table);
    let mut file = File {
        workers: take(&mut top, "workers").map(|Workers(workers)| workers),
        level: take(&mut top, "level"),
        shutdown_timeout: take(&mut top, "shutdown-timeout"),
        control_socket: take_socket(document, &mut top, "control-socket"),
        ..File::default()
    };
    if let Some(mut log) = top.take_table("log", &LOG) {
        file.log_format = take(&mut log, "format");
        file.log_level = take(&mut log, "level");
        problems.extend(log.finish());
    }
    if let Some(mut metrics) = top.take_table("metrics", &METRICS) {
        file.metrics = metrics::read(document, &mut metrics);
        problems.extend(metrics.finish());
    }
    for (watch, head) in top.take_tables("watch", &WATCH) {
        file.watches.push(read_watch(document, watch, head, problems));
    }
    problems.extend(top.finish());
    file
}

fn read_watch(
    document: &Rc<Document>,
    mut section: Section<'_>,
    head: Range<usize>,
    problems: &mut Vec<Diagnostic>,
) -> Entry {
    if !section.contains("path") {
        let problem = document.error(head, "a watch has no `path`");
        section.report(problem.with_label("needs a line like path = \"/srv/inbox\""));
    }
    let path = section.take::<PathBuf>("path");
    let preset = take(&mut section, "preset").unwrap_or_default();
    let (written_path, path) = match path {
        Some(path) => (path.get_ref().clone(), path.span()),
        // There is a problem to report already; the rest is read for what else is wrong.
        None => (PathBuf::new(), 0..0),
    };
    let mut watch = Watch::new(make_absolute(&document.path, &written_path), preset);

    replace(&mut watch.recursive, take(&mut section, "recursive"));
    let include;
    (watch.include, include) = take_globs(&mut section, "include", &watch.path);
    (watch.exclude, _) = take_globs(&mut section, "exclude", &watch.path);
    replace(
        &mut watch.min_size,
        take(&mut section, "min-size").map(|Size(bytes)| bytes),
    );
    let has_format = section.contains("format");
    match take(&mut section, "format") {
        // Which levels there are, only a format can tell that is known.
        None if has_format => section.ignore("level"),
        format => {
            replace(&mut watch.format, format);
            watch.level = take_level(&mut section, watch.format);
        }
    }
    replace(&mut watch.settle, take(&mut section, "settle"));
    replace(&mut watch.writer_check, take(&mut section, "writer-check"));
    watch.marker = take(&mut section, "marker").map(|MarkerPattern(pattern)| pattern);
    replace(&mut watch.keep_original, take(&mut section, "keep-original"));
    let output_dir = section.take::<PathBuf>("output-dir");
    let output_place = output_dir.as_ref().map(Spanned::span);
    watch.output_dir = output_dir
        .map(Spanned::into_inner)
        .filter(|folder| watch.path.join(folder) != watch.path);
    let done_place = take_own_folder(&mut section, "done-dir", &watch.path, &mut watch.done_dir);
    let failed_place = take_own_folder(&mut section, "failed-dir", &watch.path, &mut watch.failed_dir);
    if let Some(place) = done_place.clone().filter(|_| watch.keep_original) {
        let problem = document.error(place, "`done-dir` is for originals that would be removed");
        section.report(problem.with_label("here they are kept: leave it out, or set keep-original = false"));
    }
    replace(&mut watch.on_conflict, take::<OnConflict>(&mut section, "on-conflict"));
    replace(
        &mut watch.leave_newest,
        take(&mut section, "leave-newest").map(|Count(number)| number),
    );
    replace(&mut watch.watcher, take::<WatcherChoice>(&mut section, "watcher"));
    let poll_interval = section.take::<PollInterval>("poll-interval");
    let poll_place = poll_interval.as_ref().map(Spanned::span);
    replace(
        &mut watch.poll_interval,
        poll_interval.map(|interval| interval.into_inner().0),
    );
    replace(&mut watch.durable, take(&mut section, "durable"));

    watch.retention.age = take(&mut section, "keep-for").map(|KeepFor(age)| age);
    watch.retention.count = take(&mut section, "keep-count").map(|KeepCount(count)| count);
    watch.retention.bytes = take(&mut section, "keep-bytes").map(|KeepBytes(bytes)| bytes);
    let mut hook_warnings = Vec::new();
    watch.hooks = Hooks {
        on_success: take_hook(document, &mut section, "on-success", OF_SUCCESS, &mut hook_warnings),
        on_failure: take_hook(document, &mut section, "on-failure", OF_FAILURE, &mut hook_warnings),
        ..Hooks::default()
    };
    replace(
        &mut watch.hooks.timeout,
        take(&mut section, "hook-timeout").map(|HookTimeout(timeout)| timeout),
    );

    problems.extend(section.finish());
    Entry {
        watch,
        document: Rc::clone(document),
        path,
        include,
        output_dir: output_place,
        done_dir: done_place,
        failed_dir: failed_place,
        poll_interval: poll_place,
        hook_warnings,
        written_path,
    }
}

fn take<T: Value>(section: &mut Section<'_>, key: &'static str) -> Option<T> {
    section.take(key).map(Spanned::into_inner)
}

/// The path of a socket, which has less room than other paths.
fn take_socket(document: &Document, section: &mut Section<'_>, key: &'static str) -> Option<PathBuf> {
    // unix(7)
    const LONGEST: usize = 107;
    let written = section.take::<PathBuf>(key)?;
    let path = make_absolute(&document.path, written.get_ref());
    let length = path.as_os_str().len();
    if length > LONGEST {
        let why =
            format!("the path of a socket has at most {LONGEST} bytes, and this one, made absolute, has {length}");
        section.refuse(key, written.span(), why);
        return None;
    }
    if path.file_name().is_none() || written.get_ref().as_os_str().as_bytes().ends_with(b"/") {
        section.refuse(
            key,
            written.span(),
            "this is a folder: name a file in it, like \"/run/dwindle/control.sock\"",
        );
        return None;
    }
    Some(path)
}

/// A program and its arguments, of which none may be a file's name where the program's is to stand.
fn take_hook(
    document: &Document,
    section: &mut Section<'_>,
    key: &'static str,
    known: &[&str],
    warnings: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let words = section.take_list::<Argument>(key).unwrap_or_default();
    if let Some(program) = words.first() {
        let Argument(name) = program.get_ref();
        let is_a_file = known.iter().any(|word| name.contains(&format!("{{{word}}}")));
        if name.is_empty() || is_a_file {
            section.refuse(
                key,
                program.span(),
                "the first is the program, like \"/usr/local/bin/ship\"",
            );
        }
    }
    let mut command = Vec::new();
    for word in words {
        let (span, Argument(argument)) = (word.span(), word.into_inner());
        if let Some(unknown) = unknown_word(&argument, known) {
            let warning = document.warning(span, format!("`{{{unknown}}}` in `{key}` stands for nothing"));
            let known: Vec<String> = known.iter().map(|word| format!("{{{word}}}")).collect();
            warnings.push(warning.with_label(format!("known here: {}", known.join(", "))));
        }
        command.push(argument);
    }
    command
}

/// A folder that originals are moved to, which cannot be the watched one; returns its place.
fn take_own_folder(
    section: &mut Section<'_>,
    key: &'static str,
    watched: &Path,
    setting: &mut Option<PathBuf>,
) -> Option<Range<usize>> {
    let folder = section.take::<PathBuf>(key)?;
    let place = folder.span();
    if watched.join(folder.get_ref()) == watched {
        section.refuse(
            key,
            place.clone(),
            "this is the watched folder itself: name another, like \"done\"",
        );
    }
    *setting = Some(folder.into_inner());
    Some(place)
}

/// A level on the format's own scale.
fn take_level(section: &mut Section<'_>, format: Format) -> Option<Level> {
    match format {
        Format::Gzip => take(section, "level"),
        #[cfg(feature = "zstd")]
        Format::Zstd => take(section, "level").map(|ZstdLevel(level)| level),
    }
}

/// The list's globs, each with its place. One that the rules cannot use is refused.
fn take_globs(section: &mut Section<'_>, key: &'static str, watched: &Path) -> (Vec<String>, Vec<Range<usize>>) {
    let mut usable = Vec::new();
    for glob in section.take_list::<Glob>(key).unwrap_or_default() {
        let (span, Glob(glob)) = (glob.span(), glob.into_inner());
        match Select::new(&Watch::new(watched, Preset::Inbox).with_include([&*glob])) {
            Ok(_) => usable.push((glob, span)),
            Err(error) => section.refuse(key, span, format!("not a usable glob: {}", error.message)),
        }
    }
    usable.into_iter().unzip()
}

fn replace<T>(default: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *default = value;
    }
}

pub(super) fn make_absolute(file: &Path, path: &Path) -> PathBuf {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    file.parent().unwrap_or(Path::new("/")).join(path)
}

/// The parser goes on after an error, and what it finds then may only be a consequence of it: one problem a line is told.
fn describe_syntax(document: &Document, errors: &[toml::de::Error]) -> Vec<Diagnostic> {
    let mut problems: Vec<Diagnostic> = errors.iter().map(|error| describe_error(document, error)).collect();
    problems.sort_by_key(|problem| problem.position().map(|(_, line, column)| (line, column)));
    problems.dedup_by_key(|problem| problem.position().map(|(_, line, _)| line));
    problems.truncate(MOST_PROBLEMS);
    problems
}

fn describe_error(document: &Document, error: &toml::de::Error) -> Diagnostic {
    let end = document.text.len();
    let span = error.span().unwrap_or(end..end);
    match error.message() {
        "duplicate key" => document.error(span, "the same key twice"),
        // What the parser says of whatever is neither a number, a date nor in quotes, even of nothing.
        message if message.starts_with("string values must be quoted") => {
            let nothing = document
                .text
                .get(span.clone())
                .is_none_or(|value| value.trim().is_empty());
            let message = if nothing {
                "a value is missing"
            } else {
                "text must be in quotes"
            };
            document.error(span, format!("not valid TOML: {message}"))
        }
        message => match message.split_once(", expected ") {
            Some((message, right)) => document
                .error(span, format!("not valid TOML: {message}"))
                .with_label(format!("expected {right}")),
            None => document.error(span, format!("not valid TOML: {message}")),
        },
    }
}
