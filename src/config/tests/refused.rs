//! What is refused, and in which words.

use super::{parse, problems};
use crate::config::Diagnostic;

const MANY: &str = r#"
setle = 1
settle = "2s"
level = 10
workers = 0
[[watch]]
preset = "inbx"
include = ["[a", 3]
keep_original = true
settle = 5
min-size = 1.5
level = "6"
output-dir = ""
exclude = "*.csv"
workers = 3
poll-interval = "0s"
colour = "red"
"#;
const MANY_PRINTED: &str = r#"error: unknown key `setle` at the top level
  --> /etc/dwindle/config.toml:2:1
   |
 2 | setle = 1
   | ^^^^^ did you mean `settle`, below a [[watch]] line?

error: unknown key `settle` at the top level
  --> /etc/dwindle/config.toml:3:1
   |
 3 | settle = "2s"
   | ^^^^^^ `settle` belongs below a [[watch]] line

error: wrong value for `level`
  --> /etc/dwindle/config.toml:4:9
   |
 4 | level = 10
   |         ^^ expected a number from 1 (fastest) to 9 (smallest)

error: wrong value for `workers`
  --> /etc/dwindle/config.toml:5:11
   |
 5 | workers = 0
   |           ^ expected a number from 1 to 1024

error: a watch has no `path`
  --> /etc/dwindle/config.toml:6:1
   |
 6 | [[watch]]
   | ^^^^^^^^^ needs a line like path = "/srv/inbox"

error: wrong value for `preset`
  --> /etc/dwindle/config.toml:7:10
   |
 7 | preset = "inbx"
   |          ^^^^^^ expected "inbox", "rotated-logs" or "static-assets"

error: wrong value for `include`
  --> /etc/dwindle/config.toml:8:12
   |
 8 | include = ["[a", 3]
   |            ^^^^ not a usable glob: unclosed character class; missing ']'

error: wrong value for `include`
  --> /etc/dwindle/config.toml:8:18
   |
 8 | include = ["[a", 3]
   |                  ^ expected a glob in quotes, like "*.csv"

error: unknown key `keep_original` in a watch
  --> /etc/dwindle/config.toml:9:1
   |
 9 | keep_original = true
   | ^^^^^^^^^^^^^ did you mean `keep-original`?

error: wrong value for `settle`
   --> /etc/dwindle/config.toml:10:10
    |
 10 | settle = 5
    |          ^ a duration needs a unit: "5s"

error: wrong value for `min-size`
   --> /etc/dwindle/config.toml:11:12
    |
 11 | min-size = 1.5
    |            ^^^ expected a size like "512B", "64KiB" or "10MB", or a number of bytes

error: wrong value for `level`
   --> /etc/dwindle/config.toml:12:9
    |
 12 | level = "6"
    |         ^^^ expected a number from 1 (fastest) to 9 (smallest)

error: wrong value for `output-dir`
   --> /etc/dwindle/config.toml:13:14
    |
 13 | output-dir = ""
    |              ^^ a path cannot be empty

error: wrong value for `exclude`
   --> /etc/dwindle/config.toml:14:11
    |
 14 | exclude = "*.csv"
    |           ^^^^^^^ expected a list in brackets, each a glob in quotes, like "*.csv"

error: unknown key `workers` in a watch
   --> /etc/dwindle/config.toml:15:1
    |
 15 | workers = 3
    | ^^^^^^^ `workers` belongs above the first line in brackets

error: wrong value for `poll-interval`
   --> /etc/dwindle/config.toml:16:17
    |
 16 | poll-interval = "0s"
    |                 ^^^^ the shortest interval is "100ms"

error: unknown key `colour` in a watch
   --> /etc/dwindle/config.toml:17:1
    |
 17 | colour = "red"
    | ^^^^^^ known here: path, preset, recursive, include, exclude, min-size, format, level, settle, writer-check, marker, keep-original, output-dir, done-dir, failed-dir, on-conflict, leave-newest, watcher, poll-interval, durable, on-success, on-failure, hook-timeout, keep-for, keep-count, keep-bytes

"#;

#[test]
fn many_problems_are_told_at_once_in_the_order_of_the_file() {
    assert_eq!(problems(MANY), MANY_PRINTED);
}

/// A text, and for each of its problems the position, the message and what stands beside the caret.
const REFUSED: &[(&str, &str)] = &[
    (
        "level = 0",
        "1:9 wrong value for `level`: expected a number from 1 (fastest) to 9 (smallest)",
    ),
    (
        "level = 99999999999999999999",
        "1:9 wrong value for `level`: expected a number from 1 (fastest) to 9 (smallest)",
    ),
    (
        "workers = 1025",
        "1:11 wrong value for `workers`: expected a number from 1 to 1024",
    ),
    (
        "workers = -1",
        "1:11 wrong value for `workers`: expected a number from 1 to 1024",
    ),
    (
        "shutdown-timeout = 1979-05-27",
        "1:20 wrong value for `shutdown-timeout`: expected a duration like \"90s\", \"5m\", \"36h\" or \"30d\"",
    ),
    (
        "shutdown-timeout = \"-1s\"",
        "1:20 wrong value for `shutdown-timeout`: a duration cannot be negative",
    ),
    (
        "shutdown-timeout = \"1mo\"",
        "1:20 wrong value for `shutdown-timeout`: months and years vary in length: say it in days, like \"30d\"",
    ),
    (
        "shutdown-timeout = \"366d\"",
        "1:20 wrong value for `shutdown-timeout`: the longest duration is \"365d\"",
    ),
    (
        "[[watch]]\npath = \"/a\"\nrecursive = \"yes\"",
        "3:13 wrong value for `recursive`: expected true or false",
    ),
    (
        "[[watch]]\npath = \"/a\"\non-conflict = \"ask\"",
        "3:15 wrong value for `on-conflict`: expected \"number\", \"replace\" or \"skip\"",
    ),
    (
        "[[watch]]\npath = \"/a\"\nleave-newest = -1",
        "3:16 wrong value for `leave-newest`: expected a number from 0 to 10000",
    ),
    (
        "[[watch]]\npath = \"/a\"\nwriter-check = \"lsof\"",
        "3:16 wrong value for `writer-check`: expected \"lease\" or \"quiet\"",
    ),
    (
        "[[watch]]\npath = \"/a\"\nmarker = \".done\"",
        "3:10 wrong value for `marker`: a marker needs {name} in it, which stands for the file's name, like \"{name}.done\"",
    ),
    (
        "[[watch]]\npath = \"/a\"\nmarker = \"done/{name}\"",
        "3:10 wrong value for `marker`: a marker is a name without a slash: it stands in its file's folder",
    ),
    (
        "[[watch]]\npath = \"/a\"\nmarker = \"{name}.gz\"",
        "3:10 wrong value for `marker`: a marker cannot be named like a .gz or .zst: it is removed once its file is compressed",
    ),
    (
        "[[watch]]\npath = \"/a\"\nmarker = true",
        "3:10 wrong value for `marker`: expected a name in quotes with {name} in it, like \"{name}.done\"",
    ),
    (
        "[[watch]]\npath = \"/a\"\nwatcher = \"inotify\"",
        "3:11 wrong value for `watcher`: expected \"auto\", \"native\" or \"poll\"",
    ),
    (
        "[[watch]]\npath = \"/a\"\nmin-size = -1",
        "3:12 wrong value for `min-size`: a size cannot be negative",
    ),
    (
        "[[watch]]\npath = \"/a\"\nmin-size = \"99EiB\"",
        "3:12 wrong value for `min-size`: no file is that large",
    ),
    (
        "[[watch]]\npath = \"\"",
        "2:8 wrong value for `path`: a path cannot be empty",
    ),
    (
        "[[watch]]\npath = \"a\\u0000b\"",
        "2:8 wrong value for `path`: a path cannot contain a NUL byte",
    ),
    (
        "[[watch]]\npath = [\"/a\"]",
        "2:8 wrong value for `path`: expected a path in quotes",
    ),
    (
        "[[watch]]\npath = \"/a\"\nexclude = [\"\"]",
        "3:12 wrong value for `exclude`: not a usable glob: it matches nothing",
    ),
    (
        "[log]\nformat = \"xml\"",
        "2:10 wrong value for `format`: expected \"auto\", \"text\", \"json\" or \"journald\"",
    ),
    (
        "[[watch]]\npath = \"/a\"\ninclude = [\"../b/*\"]",
        "3:12 wrong value for `include`: not a usable glob: it leads out of the watched folder",
    ),
    (
        "[log]\nlevel = \"verbose\"",
        "2:9 wrong value for `level`: expected \"error\", \"warn\", \"info\", \"debug\" or \"trace\"",
    ),
    (
        "[log]\npath = \"/a\"",
        "2:1 unknown key `path` in [log]: known here: format, level",
    ),
    (
        "[metrics]\nlisten = \":9713\"",
        "2:10 wrong value for `listen`: expected an address and a port like \"127.0.0.1:9713\" or \"[::1]:9713\"",
    ),
    (
        "[metrics]\nlisten = 9713",
        "2:10 wrong value for `listen`: expected an address and a port like \"127.0.0.1:9713\" or \"[::1]:9713\"",
    ),
    (
        "[metrics]\nlisten = \"localhost:9713\"",
        "2:10 wrong value for `listen`: expected an address, not a name: \"127.0.0.1:9713\" or \"[::1]:9713\"",
    ),
    (
        "[metrics]\ntextfile = \"\"\nport = 9713",
        "2:12 wrong value for `textfile`: a path cannot be empty | 3:1 unknown key `port` in [metrics]: known here: textfile, listen",
    ),
    (
        "log = \"json\"",
        "1:7 wrong value for `log`: expected a table, written [log]",
    ),
    (
        "[watch]\npath = \"/a\"",
        "1:1 wrong value for `watch`: written with two brackets, [[watch]], once for each",
    ),
    (
        "watch = [\"/a\"]",
        "1:10 wrong value for `watch`: written with two brackets, [[watch]], once for each",
    ),
    (
        "[[watches]]\npath = \"/a\"",
        "1:3 unknown key `watches` at the top level: did you mean `watch`?",
    ),
    (
        "umbrella = \"/a\"",
        "1:1 unknown key `umbrella` at the top level: known here: workers, level, shutdown-timeout, control-socket, log, metrics, watch",
    ),
    (
        "control-socket = \"/run/\"",
        "1:18 wrong value for `control-socket`: this is a folder: name a file in it, like \"/run/dwindle/control.sock\"",
    ),
    (
        "control-socket = \"/a/..\"",
        "1:18 wrong value for `control-socket`: this is a folder: name a file in it, like \"/run/dwindle/control.sock\"",
    ),
    (
        "control-socket = \"/x/123456789/123456789/123456789/123456789/123456789/123456789/123456789/123456789/123456789/123456789/1234567\"",
        "1:18 wrong value for `control-socket`: the path of a socket has at most 107 bytes, and this one, made absolute, has 110",
    ),
    (
        "[[watch]]\npath = \"/a\"\ndone-dir = \"/a/.\"",
        "3:12 wrong value for `done-dir`: this is the watched folder itself: name another, like \"done\"",
    ),
    (
        "[[watch]]\npath = \"/a\"\npreset = \"static-assets\"\ndone-dir = \"b\"",
        "4:12 `done-dir` is for originals that would be removed: here they are kept: leave it out, or set keep-original = false",
    ),
    (
        "[[watch]]\npath = \"/a\"\non-success = [\"{output}\", \"a\"]\nhook-timeout = \"0s\"",
        "3:15 wrong value for `on-success`: the first is the program, like \"/usr/local/bin/ship\" | 4:16 wrong value for `hook-timeout`: a hook needs time to run",
    ),
    (
        "[[watch]]\npath = \"/a\"\non-failure = \"tell {source}\"",
        "3:14 wrong value for `on-failure`: expected a list in brackets, each a text in quotes, like \"{output}\"",
    ),
    (
        "[[watch]]\npath = \"/a\"\nkeep-for = \"0s\"\nkeep-count = 0\nkeep-bytes = \"10 gallons\"",
        "3:12 wrong value for `keep-for`: nothing would be kept: the shortest is \"1s\" | 4:14 wrong value for `keep-count`: expected a \
         number from 1 on | 5:14 wrong value for `keep-bytes`: expected a size like \"512B\", \"64KiB\" or \"10MB\", or a number of bytes",
    ),
    (
        "[[watch]]\npath = \"/a\"\nkeep-bytes = \"0B\"\n[[watch]]\npath = \"/b\"\nkeep-bytes = 0",
        "3:14 wrong value for `keep-bytes`: only the newest would be kept; leave the key out to keep all | \
         6:14 wrong value for `keep-bytes`: only the newest would be kept; leave the key out to keep all",
    ),
    ("level = 1\nlevel = 2", "2:1 the same key twice"),
    ("[log]\n[log]", "2:2 the same key twice"),
    ("level =", "1:8 not valid TOML: a value is missing"),
    ("[log]\nlevel = debug", "2:9 not valid TOML: text must be in quotes"),
    ("level 6", "1:7 not valid TOML: key with no value: expected `=`"),
    (
        "[[watch]\npath = \"/a\"",
        "1:9 not valid TOML: unclosed array table: expected `]`",
    ),
    (
        "[log]\nlevel = \"debug",
        "2:15 not valid TOML: invalid basic string: expected `\"`",
    ),
    (
        "level = \nworkers = [1",
        "1:9 not valid TOML: a value is missing | 2:13 not valid TOML: unclosed array: expected `]`",
    ),
];

#[test]
fn wrong_texts_are_refused_in_these_words() {
    for (text, expected) in REFUSED {
        let found: Vec<String> = parse(text).expect_err(text).iter().map(summarize).collect();
        assert_eq!(found.join(" | "), *expected, "{text}");
    }
}

fn summarize(problem: &Diagnostic) -> String {
    let (_, line, column) = problem.position().expect("has a place");
    let printed = problem.to_string();
    let label = printed.rsplit_once("^ ").map(|(_, label)| format!(": {label}"));
    format!("{line}:{column} {}{}", problem.message(), label.unwrap_or_default())
}
