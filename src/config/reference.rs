//! Every key as dwindle.toml(5) tells it: what it is for, what can be written, and what holds without it.
//!
//! A key that the parser knows has its line here; tests hold this to the parser, to the defaults, and to `docs/configuration.md`.

use Standard::{ByPreset, Required, Value, Without};

/// The presets, in the order of [`Standard::ByPreset`], and which files each takes.
pub(crate) const PRESETS: [(&str, &str); 3] = [
    ("inbox", "Every finished file, in subfolders too."),
    (
        "rotated-logs",
        "Names that only a rotation makes, such as app.log.1 or app.log-20261123; never the log that is being written. No subfolders.",
    ),
    (
        "static-assets",
        "Text-like web files (html css js mjs json svg xml txt wasm map ico ttf otf eot). Each keeps a FILE.gz beside it, with the same \
         modification time, which is made anew when the file changes and removed when it goes.",
    ),
];

/// A table of the configuration.
#[derive(Debug)]
pub(crate) struct Table {
    /// The line that begins it; empty for what stands above all such lines.
    pub(crate) head: &'static str,
    /// What is said there.
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [Key],
}

/// A key of a [`Table`].
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// What can be written, in the words of the documentation.
    pub(crate) values: &'static str,
    pub(crate) standard: Standard,
    /// In whole sentences.
    pub(crate) meaning: &'static str,
    /// A value as somebody might write it, other than the default.
    pub(crate) example: &'static str,
}

/// What holds where the key is left out.
#[derive(Debug)]
pub(crate) enum Standard {
    /// As if this were written.
    Value(&'static str),
    /// As if this were written, by preset.
    ByPreset([&'static str; 3]),
    /// What no value says.
    Without(&'static str),
    /// It cannot be left out.
    Required,
}

/// All of them, in the order of the parser's.
pub(crate) const TABLES: &[Table] = &[
    Table {
        head: "",
        about: "These stand above the first line in brackets.",
        keys: TOP,
    },
    Table {
        head: "[log]",
        about: "How log events are written.",
        keys: LOG,
    },
    Table {
        head: "[metrics]",
        about: "Metrics for Prometheus. Without these keys nothing is published.",
        keys: METRICS,
    },
    Table {
        head: "[[watch]]",
        about: "One for each folder. A preset is a set of defaults, which keys override.",
        keys: WATCH,
    },
];

const TOP: &[Key] = &[
    key(
        "workers",
        "1 to 1024",
        Without("the CPUs this process may use"),
        "How many files are compressed at the same time. Affinity and a control group's quota count.",
        "4",
    ),
    key(
        "level",
        "1 to 9",
        Value("6"),
        "1 is fastest, 9 smallest, as with gzip(1); for watches whose format is \"gzip\".",
        "9",
    ),
    key(
        "shutdown-timeout",
        "duration",
        Value("\"60s\""),
        "How long a stop waits for files that are known and not compressed yet; \"0s\" is not at all. The rest is found again at the next \
         start. systemd's TimeoutStopSec= has to be longer.",
        "\"5m\"",
    ),
    key(
        "control-socket",
        "path",
        Without("control.sock in the runtime directory"),
        "Where dwindle status asks the agent; at most 107 bytes. A relative one starts at the configuration file's folder. The runtime \
         directory is $RUNTIME_DIRECTORY, which systemd sets, or /run/dwindle, or for an agent of a user $XDG_RUNTIME_DIR/dwindle. While \
         another agent answers there, an agent that has a configuration does not start.",
        "\"/run/dwindle/web.sock\"",
    ),
];

const LOG: &[Key] = &[
    key(
        "format",
        "\"auto\", \"text\", \"json\", \"journald\"",
        Value("\"auto\""),
        "What log lines look like; auto is journald where the journal reads standard error, and otherwise text.",
        "\"json\"",
    ),
    key(
        "level",
        "\"error\", \"warn\", \"info\", \"debug\", \"trace\"",
        Value("\"info\""),
        "The least important event that is logged; info is a line for each file.",
        "\"warn\"",
    ),
];

const METRICS: &[Key] = &[
    key(
        "textfile",
        "path",
        Without("none"),
        "A file for node_exporter's textfile collector, whose name has to end in .prom. It is written at the start, when something has been \
         counted, at most every 15 seconds, and at the end. A relative path starts at the folder of the configuration file.",
        "\"/var/lib/prometheus/node-exporter/dwindle.prom\"",
    ),
    key(
        "listen",
        "address and port",
        Without("none"),
        "Where http://ADDRESS/metrics is answered, to anybody who can reach it: there is no authentication. Names such as localhost are no \
         addresses; port 0 is any free one, which the log names.",
        "\"127.0.0.1:9713\"",
    ),
];

const WATCH: &[Key] = &[
    key(
        "path",
        "path",
        Required,
        "The folder. A relative path starts at the folder of the configuration file. ~ and $VARIABLES are not expanded.",
        "\"/srv/inbox\"",
    ),
    key(
        "preset",
        "a preset's name",
        Value("\"inbox\""),
        "Which files are taken, and the defaults of the keys below; see PRESETS.",
        "\"rotated-logs\"",
    ),
    key(
        "recursive",
        "boolean",
        ByPreset(["true", "false", "true"]),
        "Subfolders too, those made later included.",
        "false",
    ),
    key(
        "include",
        "list of globs",
        Value("[]"),
        "Only files that match one of these; an empty list means all that the preset takes. With static-assets it takes the place of the \
         list of suffixes; with rotated-logs it only narrows.",
        "[\"*.csv\", \"reports/**/*.txt\"]",
    ),
    key(
        "exclude",
        "list of globs",
        Value("[]"),
        "Never files that match one of these, nor what is in a folder that does. Stronger than include.",
        "[\"*.jpg\", \"old/\"]",
    ),
    key(
        "min-size",
        "size",
        Value("\"0B\""),
        "Smaller files are left alone.",
        "\"256B\"",
    ),
    key(
        "format",
        "\"gzip\", \"zstd\"",
        Value("\"gzip\""),
        "gzip makes FILE.gz, which everything can read; zstd makes FILE.zst.",
        "\"zstd\"",
    ),
    key(
        "level",
        "1 to 9, with zstd 1 to 19",
        Without("as at the top"),
        "For this folder instead of the one at the top. With format = \"zstd\" it is one of zstd's, and 3 where it is left out, whatever is \
         said at the top.",
        "9",
    ),
    key(
        "settle",
        "duration",
        ByPreset(["\"2s\"", "\"2s\"", "\"500ms\""]),
        "A file is finished when nothing has touched it for so long: no event, and neither its modification nor its change time newer.",
        "\"10s\"",
    ),
    key(
        "writer-check",
        "\"lease\", \"quiet\"",
        Value("\"lease\""),
        "How it is known that nobody writes to a file any more. lease asks the kernel (F_SETLEASE of fcntl(2)); where it cannot be asked, \
         files are left alone and the log says why. quiet trusts settle alone: what a program writes after it was silent for longer may be \
         lost.",
        "\"quiet\"",
    ),
    key(
        "marker",
        "name with {name} in it",
        Without("none"),
        "A file is taken only when this one stands beside it, which is removed afterwards; {name} stands for the file's name.",
        "\"{name}.done\"",
    ),
    key(
        "keep-original",
        "boolean",
        ByPreset(["false", "false", "true"]),
        "Whether the original stays beside its output.",
        "true",
    ),
    key(
        "output-dir",
        "path",
        Value("\".\""),
        "Where the output goes, relative to path unless absolute; \".\" is beside the original. The tree of subfolders is kept.",
        "\"archive\"",
    ),
    key(
        "done-dir",
        "path",
        Without("none"),
        "Where originals go instead of being removed, relative to path unless absolute, and on its file system.",
        "\"done\"",
    ),
    key(
        "failed-dir",
        "path",
        Without("none"),
        "Where files go that cannot be compressed, each with a NAME.reason beside it. Without one they stay, and are tried again.",
        "\"failed\"",
    ),
    key(
        "on-conflict",
        "\"number\", \"replace\", \"skip\"",
        ByPreset(["\"number\"", "\"number\"", "\"skip\""]),
        "What happens when an output with other content has the name. number calls the new one FILE.~1~.gz, replace puts it in the old \
         one's place, skip leaves the file as it is.",
        "\"replace\"",
    ),
    key(
        "leave-newest",
        "0 to 10000",
        Value("0"),
        "Of each rotation series (app.log.1, app.log.2) the newest files are left as they are, so many of them.",
        "1",
    ),
    key(
        "watcher",
        "\"auto\", \"native\", \"poll\"",
        Value("\"auto\""),
        "How changes are learned: native from the kernel (inotify(7)), poll by looking again and again, auto from the kernel where that can \
         be relied on.",
        "\"poll\"",
    ),
    key(
        "poll-interval",
        "duration, at least \"100ms\"",
        Value("\"30s\""),
        "How often a polled folder is looked at.",
        "\"5s\"",
    ),
    key(
        "durable",
        "boolean",
        Value("true"),
        "Whether the output is on the disk for certain before the original goes. false is faster, and only for data that may be lost in a \
         power cut.",
        "false",
    ),
    key(
        "on-success",
        "a program and its arguments",
        Value("[]"),
        "Run without a shell for each file that is done. {source}, {output}, {bytes_in} and {bytes_out} are replaced, and are in the \
         variables DWINDLE_SOURCE, DWINDLE_OUTPUT, DWINDLE_BYTES_IN and DWINDLE_BYTES_OUT.",
        "[\"/usr/local/bin/ship\", \"{output}\"]",
    ),
    key(
        "on-failure",
        "a program and its arguments",
        Value("[]"),
        "The same for each file that is given up. {source}, {error} and {step} are replaced.",
        "[\"/usr/local/bin/tell\", \"{source}\", \"{error}\"]",
    ),
    key(
        "hook-timeout",
        "duration",
        Value("\"30s\""),
        "A hook that takes longer is ended.",
        "\"5m\"",
    ),
    key(
        "keep-for",
        "duration, at least \"1s\"",
        Without("none"),
        "An output that this watch made, or would have made, is removed again when it is older. Without the key it never is.",
        "\"30d\"",
    ),
    key(
        "keep-count",
        "a number from 1 on",
        Without("none"),
        "The same when so many newer ones of its series are there.",
        "14",
    ),
    key(
        "keep-bytes",
        "size",
        Without("none"),
        "The same with the oldest when all of them have more bytes.",
        "\"10GiB\"",
    ),
];

const fn key(
    name: &'static str,
    values: &'static str,
    standard: Standard,
    meaning: &'static str,
    example: &'static str,
) -> Key {
    Key {
        name,
        values,
        standard,
        meaning,
        example,
    }
}
