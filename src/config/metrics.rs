//! The table `[metrics]`, and what is unlikely to be meant in it.

use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::Metrics;
use super::diagnostic::{Diagnostic, Document};
use super::file::{Entry, make_absolute};
use super::section::Section;
use super::values::Value;
use crate::model::Escaped;
use crate::policy::Select;
use crate::storage::real_path;

pub(super) const METRICS_KEYS: &[&str] = &["textfile", "listen"];

/// What a file says of metrics.
#[derive(Debug, Default)]
pub(super) struct Keys {
    textfile: Option<Placed<PathBuf>>,
    listen: Option<Placed<SocketAddr>>,
}

/// A value, and where it stands.
#[derive(Debug)]
struct Placed<T> {
    value: T,
    document: Rc<Document>,
    place: Range<usize>,
}

/// A relative `textfile` starts at the folder of the configuration file, as all paths do.
pub(super) fn read(document: &Rc<Document>, section: &mut Section<'_>) -> Keys {
    let textfile = take::<PathBuf>(document, section, "textfile");
    Keys {
        textfile: textfile.map(|placed| Placed {
            value: make_absolute(&document.path, &placed.value),
            ..placed
        }),
        listen: take(document, section, "listen"),
    }
}

fn take<T: Value>(document: &Rc<Document>, section: &mut Section<'_>, key: &'static str) -> Option<Placed<T>> {
    let taken = section.take::<T>(key)?;
    Some(Placed {
        place: taken.span(),
        value: taken.into_inner(),
        document: Rc::clone(document),
    })
}

impl Keys {
    /// What a later file says holds.
    pub(super) fn override_by(&mut self, later: Keys) {
        self.textfile = later.textfile.or(self.textfile.take());
        self.listen = later.listen.or(self.listen.take());
    }

    pub(super) fn values(&self) -> Metrics {
        Metrics {
            textfile: self.textfile.as_ref().map(|placed| placed.value.clone()),
            listen: self.listen.as_ref().map(|placed| placed.value),
        }
    }
}

impl<T> Placed<T> {
    fn warning(&self, message: impl Into<String>) -> Diagnostic {
        self.document.warning(self.place.clone(), message)
    }

    fn error(&self, message: impl Into<String>) -> Diagnostic {
        self.document.error(self.place.clone(), message)
    }
}

/// Asks the file system whether there is a folder for the file.
pub(super) fn warn(keys: &Keys) -> Vec<Diagnostic> {
    let textfile = keys
        .textfile
        .iter()
        .flat_map(|textfile| [check_name(textfile), check_folder(textfile)]);
    let listen = keys.listen.iter().map(check_address);
    textfile.chain(listen).flatten().collect()
}

fn check_name(textfile: &Placed<PathBuf>) -> Option<Diagnostic> {
    let is_read = textfile.value.extension().is_some_and(|suffix| suffix == "prom");
    (!is_read).then(|| {
        textfile
            .warning("node_exporter will not read this `textfile`")
            .with_label("it reads only names that end in .prom")
    })
}

fn check_folder(textfile: &Placed<PathBuf>) -> Option<Diagnostic> {
    let folder = textfile.value.parent()?;
    let label = match fs::metadata(folder) {
        Ok(found) if found.is_dir() => return None,
        Ok(_) => format!("{} is no folder", Escaped(folder)),
        Err(error) => format!("the folder {}: {error}", Escaped(folder)),
    };
    let warning = textfile.warning("this `textfile` cannot be written").with_label(label);
    Some(
        warning
            .with_help("make the folder, or name the one that node_exporter is told by --collector.textfile.directory"),
    )
}

/// What cannot be meant: a textfile that a watch takes would be compressed, and written anew for that, without end.
pub(super) fn refuse(keys: &Keys, watches: &[Entry]) -> Option<Diagnostic> {
    let textfile = keys.textfile.as_ref()?;
    let path = &textfile.value;
    let place = real_path(path.parent()?).join(path.file_name()?);
    let takes = |entry: &&Entry| {
        let relative = place.strip_prefix(real_path(&entry.watch.path)).ok();
        let relative = relative.filter(|relative| *relative != Path::new(""));
        let select = Select::new(&entry.watch).ok();
        relative
            .zip(select)
            .is_some_and(|(file, select)| select.file(file).is_ok())
    };
    let entry = watches.iter().find(takes)?;
    let there = entry.document.line_of(entry.path.clone());
    let label = format!("it would be compressed by the watch at {there}");
    Some(
        textfile
            .error("this `textfile` lies in a watched folder")
            .with_label(label)
            .with_help("name a folder that no watch looks into"),
    )
}

fn check_address(listen: &Placed<SocketAddr>) -> Option<Diagnostic> {
    let address = listen.value.ip().to_canonical();
    let label = if address.is_loopback() {
        return None;
    } else if address.is_unspecified() {
        "all of this machine's addresses"
    } else {
        "not a loopback address"
    };
    let warning = listen
        .warning("whoever reaches `listen` can read the metrics")
        .with_label(label);
    Some(warning.with_help(
        "there is no authentication, and folder names are among them: see that a firewall lets only Prometheus through, or listen on 127.0.0.1",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    /// The warnings for a configuration file that stands in `folder`, where `inbox` is.
    fn warnings(text: &str) -> Vec<String> {
        said_of(text, |file| warn(&file.metrics))
    }

    fn refusal(text: &str) -> Option<String> {
        said_of(text, |file| Vec::from_iter(refuse(&file.metrics, &file.watches))).pop()
    }

    fn said_of(text: &str, ask: impl FnOnce(&file::File) -> Vec<Diagnostic>) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("inbox")).expect("made");
        let path = folder.path().join("x.toml");
        let file = file::parse(&path, text).expect("a legal configuration");
        let root = format!("{}/", folder.path().display());
        let print = |warning: &Diagnostic| warning.to_string().replace(&root, "");
        ask(&file).iter().map(print).collect()
    }

    #[test]
    fn a_sound_table_has_no_warnings() {
        for text in [
            "",
            "[metrics]",
            "[metrics]\ntextfile = \"dwindle.prom\"\nlisten = \"127.0.0.1:9713\"",
            "[metrics]\nlisten = \"[::1]:0\"",
            "[metrics]\nlisten = \"[::ffff:127.0.0.1]:9713\"",
            "[metrics]\ntextfile = \"inbox/dwindle.prom\"\n[[watch]]\npath = \"inbox\"\ninclude = [\"*.csv\"]",
        ] {
            assert_eq!(warnings(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn an_address_that_others_reach() {
        let expected = "\
warning: whoever reaches `listen` can read the metrics
  --> x.toml:2:10
   |
 2 | listen = \"0.0.0.0:9713\"
   |          ^^^^^^^^^^^^^^ all of this machine's addresses
   = help: there is no authentication, and folder names are among them: see that a firewall lets only Prometheus through, or listen on 127.0.0.1";
        assert_eq!(warnings("[metrics]\nlisten = \"0.0.0.0:9713\""), [expected]);
        for address in ["[::]:9713", "192.0.2.1:9713", "[2001:db8::1]:9713"] {
            assert_eq!(
                warnings(&format!("[metrics]\nlisten = \"{address}\"")).len(),
                1,
                "{address}"
            );
        }
    }

    #[test]
    fn a_file_that_nobody_would_read_or_that_cannot_be_written() {
        let found = warnings("[metrics]\ntextfile = \"missing/dwindle.txt\"");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("^ it reads only names that end in .prom"),
            "{found:?}"
        );
        assert!(found[1].contains("^ the folder missing: No such file"), "{found:?}");
        let found = warnings("[metrics]\ntextfile = \"x.toml/dwindle.prom\"");
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_file_that_a_watch_would_take() {
        let expected = "\
error: this `textfile` lies in a watched folder
  --> x.toml:2:12
   |
 2 | textfile = \"inbox/dwindle.prom\"
   |            ^^^^^^^^^^^^^^^^^^^^ it would be compressed by the watch at x.toml:4
   = help: name a folder that no watch looks into";
        let text = "[metrics]\ntextfile = \"inbox/dwindle.prom\"\n[[watch]]\npath = \"inbox\"";
        assert_eq!(refusal(text).as_deref(), Some(expected));
        let other = "[metrics]\ntextfile = \"inbox/dwindle.prom\"\n[[watch]]\npath = \"inbox\"\ninclude = [\"*.csv\"]";
        assert_eq!(refusal(other), None);
    }

    #[test]
    fn what_a_later_file_says_holds_and_the_rest_stays() {
        let parse = |text: &str| file::parse(Path::new("/etc/x.toml"), text).expect("legal").metrics;
        let mut keys = parse("[metrics]\ntextfile = \"a.prom\"\nlisten = \"127.0.0.1:1\"");
        keys.override_by(parse("[metrics]\nlisten = \"127.0.0.1:2\""));
        keys.override_by(parse(""));
        let expected = Metrics {
            textfile: Some("/etc/a.prom".into()),
            listen: Some("127.0.0.1:2".parse().expect("an address")),
        };
        assert_eq!(keys.values(), expected);
    }
}
