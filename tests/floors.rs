//! A module uses only modules of lower floors. The compiler does not hold this within one package, so it is read from the tokens of
//! every file: each path that begins with `crate`, `self` or `super`, in `use` lines, code, and macros, tests included.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::support::source::{Source, sources_below};

/// Lower modules first. Those of one floor do not use one another. `lib.rs` and `main.rs` stand above all and are free.
const FLOORS: [&[&str]; 6] = [
    &["model"],
    &["policy", "codec", "runtime"],
    &["storage"],
    &["agent"],
    &["config", "daemon"],
    &["cli"],
];

/// Whose files stay strangers: each holds one outside thing.
const STRANGERS: &str = "daemon";

/// Crates that only these modules name.
const HOMES: [(&str, &[&str]); 5] = [
    ("smol", &["runtime::smol", "cli"]),
    ("notify", &["daemon::watch"]),
    ("prometheus_client", &["daemon::metrics"]),
    ("hyper", &["daemon::metrics::endpoint", "cli::metrics::server"]),
    ("libc", &[UNSAFE, "storage::lease", "storage::commit::tests"]),
];

/// The one module with unsafe code.
const UNSAFE: &str = "storage::c_calls";

#[test]
fn every_module_uses_only_lower_floors() {
    let problems: Vec<_> = sources_below("src")
        .iter()
        .flat_map(check)
        .map(|problem| problem.to_string())
        .collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

struct Problem {
    path: String,
    line: usize,
    what: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

fn check(source: &Source) -> Vec<Problem> {
    let path = source.path.display().to_string();
    let tokens: TokenStream = source.text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
    let file = module_of(&source.path);
    let mut reader = Reader {
        file: &file,
        module: file.clone(),
        found: Vec::new(),
    };
    reader.read(tokens);
    let problem = |(line, what)| Problem {
        path: path.clone(),
        line,
        what,
    };
    reader.found.into_iter().map(problem).collect()
}

/// `src/daemon/watch.rs` is `["daemon", "watch"]`, `src/daemon/mod.rs` is `["daemon"]`, `src/lib.rs` is `[]`.
fn module_of(path: &Path) -> Vec<String> {
    let below = path.strip_prefix("src").expect("a file in src").with_extension("");
    let mut names: Vec<String> = below.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if names
        .last()
        .is_some_and(|last| last == "mod" || names.len() == 1 && (last == "lib" || last == "main"))
    {
        names.pop();
    }
    names
}

/// Walks the tokens of a file and keeps what is against the rules, with its line.
struct Reader<'a> {
    file: &'a [String],
    /// The file's module and the inline ones around the token.
    module: Vec<String>,
    found: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(_) if !follows_colons(&tokens, at) => self.read_name(&tokens, at),
                // The branches of a path are read with it.
                TokenTree::Group(_) if follows_colons(&tokens, at) => {}
                TokenTree::Group(group) => match inline_module(&tokens, at) {
                    Some(name) => {
                        self.module.push(name);
                        self.read(group.stream());
                        self.module.pop();
                    }
                    None => self.read(group.stream()),
                },
                _ => {}
            }
            at += 1;
        }
    }

    /// A name that begins a path, or stands alone.
    fn read_name(&mut self, tokens: &[TokenTree], at: usize) {
        let name = tokens[at].to_string();
        let line = tokens[at].span().start().line;
        let begins_path = are_colons(tokens, at + 1);
        match name.as_str() {
            "unsafe" if is_within(self.file, UNSAFE) => {}
            "unsafe" => self.found.push((line, "unsafe code".into())),
            "crate" | "self" | "super" if begins_path => self.read_path(Vec::new(), &tokens[at..]),
            _ => {
                let imported = at > 0 && is_ident(&tokens[at - 1], "use");
                if let Some((_, homes)) = HOMES.iter().find(|(krate, _)| *krate == name)
                    && (begins_path || imported)
                    && !homes.iter().any(|home| is_within(self.file, home))
                {
                    self.found
                        .push((line, format!("{name} is named only in {}", homes.join(" and "))));
                }
            }
        }
    }

    /// Follows a path to its end, and into the branches of `{…}`; `path` is what leads to it.
    fn read_path(&mut self, mut path: Vec<String>, tokens: &[TokenTree]) {
        let mut at = 0;
        loop {
            match tokens.get(at) {
                Some(TokenTree::Ident(name)) => path.push(name.to_string()),
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => path.push("*".into()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let branches: Vec<TokenTree> = group.stream().into_iter().collect();
                    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
                    for branch in branches.split(is_comma).filter(|branch| !branch.is_empty()) {
                        self.read_path(path.clone(), branch);
                    }
                    return;
                }
                _ => break,
            }
            if !are_colons(tokens, at + 1) {
                break;
            }
            at += 3;
        }
        let line = tokens[0].span().start().line;
        if let Some(what) = self.judge(&self.resolve(&path)) {
            self.found.push((line, format!("{}: {what}", path.join("::"))));
        }
    }

    /// The path from the crate's root.
    fn resolve(&self, path: &[String]) -> Vec<String> {
        let mut absolute = self.module.clone();
        for name in path {
            match name.as_str() {
                "crate" => absolute.clear(),
                "super" => drop(absolute.pop()),
                "self" => {}
                _ => absolute.push(name.clone()),
            }
        }
        absolute
    }

    /// What is wrong with using `target`, a path from the crate's root, here.
    fn judge(&self, target: &[String]) -> Option<String> {
        let here = self.file.first()?; // lib.rs and main.rs are free
        let Some(there) = target.first().filter(|name| floor_of(name).is_some()) else {
            return Some("name the module that it lives in, not the crate's root".into());
        };
        if here == there {
            let strangers = here == STRANGERS && self.file.len() > 1 && target.get(1) != self.file.get(1);
            return strangers.then(|| format!("a file of {STRANGERS} uses no other one of it"));
        }
        match (floor_of(here), floor_of(there)) {
            (None, _) => Some(format!("{here} has no floor: give it one in {}", file!())),
            (Some(mine), Some(its)) if its < mine => None,
            (Some(mine), its) => Some(format!("{here} (floor {mine}) may not use {there} (floor {})", its?)),
        }
    }
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Whether the file is the module `home`, written with `::`, or below it.
fn is_within(file: &[String], home: &str) -> bool {
    home.split("::")
        .enumerate()
        .all(|(depth, name)| file.get(depth).is_some_and(|part| part == name))
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn are_colons(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
    tokens.get(at..at + 2).is_some_and(|pair| pair.iter().all(is_colon))
}

/// Whether the token continues a path rather than beginning one.
fn follows_colons(tokens: &[TokenTree], at: usize) -> bool {
    let Some(before) = at.checked_sub(2) else { return false };
    // `::notify::Event` begins one: nothing but a name or `>` stands before the colons of a path that goes on.
    let goes_on = |token: &TokenTree| match token {
        TokenTree::Ident(name) => name != "use",
        TokenTree::Punct(punct) => punct.as_char() == '>',
        _ => false,
    };
    are_colons(tokens, before) && before.checked_sub(1).is_some_and(|first| goes_on(&tokens[first]))
}

/// The name of the module whose body the token at `at` is.
fn inline_module(tokens: &[TokenTree], at: usize) -> Option<String> {
    let body = matches!(&tokens[at], TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    match tokens.get(at.checked_sub(2)?..at)? {
        [keyword, TokenTree::Ident(name)] if body && is_ident(keyword, "mod") => Some(name.to_string()),
        _ => None,
    }
}

mod tests {
    use super::*;

    /// The lines of `text` that are refused in `path`, each once.
    fn refused(path: &str, text: &str) -> Vec<usize> {
        let source = Source {
            path: path.into(),
            text: text.into(),
        };
        let mut lines: Vec<_> = check(&source).into_iter().map(|problem| problem.line).collect();
        lines.dedup();
        lines
    }

    #[test]
    fn what_goes_up_sideways_or_around_is_refused() {
        #[rustfmt::skip]
        let cases = [
            ("src/model/report.rs",   "use crate::policy::Watch;"),
            ("src/policy/agenda.rs",  "use crate::codec::Member;"),
            ("src/policy/agenda.rs",  "use super::super::runtime::Runtime;"),
            ("src/policy/mod.rs",     "use super::agent;"),
            ("src/policy/agenda.rs",  "fn f() -> crate::storage::Dir { todo() }"),
            ("src/policy/agenda.rs",  "fn f() { assert!(crate::storage::is_there()); }"),
            ("src/policy/agenda.rs",  "use crate::{model::Level, storage::{Dir, Scan}};"),
            ("src/policy/agenda.rs",  "use super::{Watch, super::storage::Dir};"),
            ("src/policy/agenda.rs",  "use crate::Runtime;"),
            ("src/policy/agenda.rs",  "use crate::*;"),
            ("src/policy/agenda.rs",  "#[cfg(test)] mod tests { use super::super::super::storage::Dir; }"),
            ("src/policy/agenda.rs",  "pub(in crate::storage) struct X;"),
            ("src/agent/mod.rs",      "fn f(x: &crate::daemon::Logging) {}"),
            ("src/agent/mod.rs",      "fn f<T: From<crate::config::Config>>() {}"),
            ("src/config/parse.rs",   "use crate::daemon::logging;"),
            ("src/daemon/watch.rs",   "use crate::config::Config;"),
            ("src/daemon/watch.rs",   "use super::signals::Signals;"),
            ("src/daemon/watch.rs",   "use crate::daemon::Signals;"),
            ("src/daemon/hooks.rs",   "use crate::cli;"),
            ("src/surprise/mod.rs",   "use crate::model::Level;"),
            ("src/agent/driver.rs",   "use smol::Timer;"),
            ("src/agent/driver.rs",   "fn f() { smol::block_on(g()) }"),
            ("src/agent/driver.rs",   "fn f() { ::smol::block_on(g()) }"),
            ("src/agent/driver.rs",   "use smol as executor;"),
            ("src/runtime/mod.rs",    "use ::smol::Timer;"),
            ("src/daemon/signals.rs", "use notify::Event;"),
            ("src/codec/engine.rs",   "fn f() { unsafe { g() } }"),
            ("src/main.rs",           "unsafe fn f() {}"),
            ("src/storage/dir.rs",    "unsafe fn f() {}"),
            ("src/storage/dir.rs",    "use libc::fcntl;"),
        ];
        for (path, text) in cases {
            assert_eq!(refused(path, text), [1], "{path}: {text}");
        }
    }

    #[test]
    fn what_goes_down_or_stays_is_allowed() {
        #[rustfmt::skip]
        let cases = [
            ("src/lib.rs",            "pub use model::Level; pub use crate::cli::main; use self::agent::Agent;"),
            ("src/main.rs",           "fn main() { dwindle::cli::main() }"),
            ("src/model/report.rs",   "use super::Level; use std::fmt; mod tests { use super::*; use super::super::Level; }"),
            ("src/policy/agenda.rs",  "use crate::model::{self, Level}; use super::Watch; pub(crate) struct X;"),
            ("src/policy/agenda.rs",  "/// [`crate::agent::Agent`]\nconst A: &str = \"crate::agent\"; // crate::agent::Agent"),
            ("src/agent/mod.rs",      "use crate::{codec, model::*, policy::{Watch, self}, runtime::smol::Smol, storage};"),
            ("src/daemon/mod.rs",     "mod watch; pub(crate) use self::watch::Watcher; pub(crate) use signals::Signals;"),
            ("src/daemon/watch.rs",   "use notify::Event; use crate::agent::Agent; mod tests { use super::*; }"),
            ("src/daemon/control/server.rs", "use super::client::Client; use crate::daemon::control::Request;"),
            ("src/runtime/smol.rs",   "use smol::Timer; use super::Runtime;"),
            ("src/storage/c_calls.rs", "fn f() { unsafe { libc::fcntl(1, 2) } }"),
            ("src/agent/mod.rs",      "mod tests { use crate::runtime::{smol::Smol, Runtime}; }"),
            ("src/runtime/mod.rs",    "#[cfg(feature = \"smol\")] mod smol; pub use self::smol::Smol;"),
            ("src/cli/run.rs",        "use crate::{config::Config, daemon::signals}; fn f(notify: bool) { smol::block_on(g()) }"),
        ];
        for (path, text) in cases {
            assert_eq!(refused(path, text), [0; 0], "{path}: {text}");
        }
    }

    #[test]
    fn the_line_of_each_problem_is_told() {
        let text = "use crate::model::Level;\n\nuse crate::{\n    model,\n    agent::Agent,\n};\nfn f() {\n    crate::cli::main()\n}\n";
        assert_eq!(refused("src/policy/agenda.rs", text), [5, 8]);
    }
}
