//! Log events for the journal, with each field on its own: the native protocol of systemd-journald
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>), one datagram an event.
//!
//! An event becomes bytes where it happens, and is sent by the thread that writes the log, so that a journal which does not read holds up
//! nobody.

use std::fmt::{Debug, Write as _};
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;

use super::kinds::message_id;

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// By this name journalctl(1) finds the program, whatever unit it runs in: `journalctl -t dwindle`.
const IDENTIFIER: &str = env!("CARGO_PKG_NAME");

/// Makes an entry of each event, and hands it to a [`Journal`] as one write.
pub(super) struct JournalLayer<W> {
    pub(super) writer: W,
}

impl<S, W> Layer<S> for JournalLayer<W>
where
    S: Subscriber,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Entry::of(event.metadata());
        event.record(&mut entry);
        // What cannot be queued is dropped, as a line would be.
        let _ = self.writer.make_writer().write_all(&entry.finish());
    }
}

/// The journal's socket. Each write is an entry. What cannot be sent is told on standard error instead.
pub(super) struct Journal {
    path: PathBuf,
    socket: UnixDatagram,
    instead: Box<dyn Write + Send>,
    has_failed: bool,
}

impl Journal {
    /// # Errors
    ///
    /// When nobody listens there.
    pub(super) fn connect(path: &Path, instead: Box<dyn Write + Send>) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        Ok(Journal {
            path: path.to_owned(),
            // Not connected, so that it finds a journal that was started anew.
            socket: UnixDatagram::unbound()?,
            instead,
            has_failed: false,
        })
    }

    fn tell_instead(&mut self, entry: &[u8], why: &io::Error) -> io::Result<()> {
        if !std::mem::replace(&mut self.has_failed, true) {
            writeln!(
                self.instead,
                "the journal cannot be reached ({why}): what it should have got follows"
            )?;
        }
        self.instead.write_all(message_of(entry))?;
        self.instead.write_all(b"\n")
    }
}

impl Write for Journal {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let sent = loop {
            match self.socket.send_to(entry, &self.path) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                sent => break sent,
            }
        };
        match sent {
            Ok(_) => self.has_failed = false,
            Err(why) => self.tell_instead(entry, &why)?,
        }
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.instead.flush()
    }
}

/// The fields of an event, as the journal wants them.
struct Entry {
    message: String,
    /// All the others, each with its end.
    fields: Vec<u8>,
}

impl Entry {
    fn of(metadata: &Metadata<'_>) -> Self {
        let mut entry = Entry {
            message: String::new(),
            fields: Vec::new(),
        };
        entry.add("PRIORITY", priority(*metadata.level()));
        entry.add("SYSLOG_IDENTIFIER", IDENTIFIER);
        if let Some(id) = message_id(metadata.name()) {
            entry.add("MESSAGE_ID", id);
            entry.add("DWINDLE_EVENT", metadata.name());
        }
        entry
    }

    fn add(&mut self, name: &str, value: &str) {
        add(&mut self.fields, name, value);
    }

    fn take(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => {
                // Names of the journal's own are not to be met by accident, and this one is meant (systemd.journal-fields(7)).
                if name == "errno" {
                    self.add("ERRNO", value);
                }
                self.add(&journal_name(name), value);
            }
        }
    }

    /// The message first, where [`message_of`] finds it.
    fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.message.len() + self.fields.len() + 16);
        add(&mut bytes, "MESSAGE", &self.message.replace('\n', " "));
        bytes.extend_from_slice(&self.fields);
        bytes
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.take(field, &text);
    }
}

/// `NAME=VALUE`, or, where a line feed in the value would end that, the name, the length as 64 bits in little-endian order, and the value.
fn add(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

/// The message of an entry.
fn message_of(entry: &[u8]) -> &[u8] {
    let line = entry.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.strip_prefix(b"MESSAGE=").unwrap_or(line)
}

/// The journal takes upper-case letters, digits and underscores.
fn journal_name(field: &str) -> String {
    let legal = |character: char| match character.to_ascii_uppercase() {
        upper if upper.is_ascii_alphanumeric() => upper,
        _ => '_',
    };
    let name: String = field.chars().map(legal).collect();
    format!("DWINDLE_{name}")
}

/// As syslog(3) numbers them.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    /// Where a journal would listen.
    struct Fake {
        folder: tempfile::TempDir,
        socket: Option<UnixDatagram>,
    }

    #[derive(Clone, Default)]
    struct Stderr(Arc<Mutex<Vec<u8>>>);

    impl Write for Stderr {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stderr {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Fake {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut fake = Fake { folder, socket: None };
            fake.listen();
            fake
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("socket")
        }

        fn listen(&mut self) {
            self.socket = Some(UnixDatagram::bind(self.path()).unwrap());
        }

        fn stop(&mut self) {
            self.socket = None;
            std::fs::remove_file(self.path()).unwrap();
        }

        fn connect(&self, stderr: &Stderr) -> Arc<Mutex<Journal>> {
            Arc::new(Mutex::new(
                Journal::connect(&self.path(), Box::new(stderr.clone())).unwrap(),
            ))
        }

        /// The next entry, its fields by name.
        fn entry(&self) -> BTreeMap<String, String> {
            let mut buffer = vec![0; 65536];
            let length = self.socket.as_ref().unwrap().recv(&mut buffer).unwrap();
            parse(&buffer[..length])
        }
    }

    /// As the protocol's description has it.
    fn parse(mut bytes: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').expect("a line's end");
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            let (name, value, rest) = if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
                (&line[..equals], &line[equals + 1..], rest)
            } else {
                let (length, rest) = rest.split_first_chunk::<8>().expect("a length");
                let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
                assert_eq!(rest[length], b'\n');
                (line, &rest[..length], &rest[length + 1..])
            };
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            assert_eq!(fields.insert(text(name), text(value)), None);
            bytes = rest;
        }
        fields
    }

    fn tell(journal: &Arc<Mutex<Journal>>, story: impl FnOnce()) {
        struct Shared(Arc<Mutex<Journal>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let journal = Arc::clone(journal);
        let writer = move || Shared(Arc::clone(&journal));
        let subscriber = Registry::default().with(JournalLayer { writer });
        tracing::subscriber::with_default(subscriber, story);
    }

    #[test]
    fn an_event_is_one_entry_with_each_field_on_its_own() {
        let fake = Fake::start();
        let journal = fake.connect(&Stderr::default());
        tell(&journal, || {
            tracing::warn!(name: "failed", source = "/in/a b", errno = Some(28), class = "transient", "cannot write {}", "/in/a b");
            tracing::info!(bytes_in = 100, "two\nlines");
        });
        let entry = fake.entry();
        let id = message_id("failed").unwrap();
        let expected = [
            ("DWINDLE_CLASS", "transient"),
            ("DWINDLE_ERRNO", "28"),
            ("DWINDLE_EVENT", "failed"),
            ("DWINDLE_SOURCE", "/in/a b"),
            ("ERRNO", "28"),
            ("MESSAGE", "cannot write /in/a b"),
            ("MESSAGE_ID", id),
            ("PRIORITY", "4"),
            ("SYSLOG_IDENTIFIER", "dwindle"),
        ];
        assert!(
            entry.iter().map(|(name, value)| (&**name, &**value)).eq(expected),
            "{entry:?}"
        );
        let entry = fake.entry();
        assert_eq!((&*entry["PRIORITY"], &*entry["DWINDLE_BYTES_IN"]), ("6", "100"));
        assert_eq!(entry["MESSAGE"], "two lines");
        assert!(!entry.contains_key("MESSAGE_ID"));
    }

    #[test]
    fn a_line_feed_in_a_field_forges_no_other() {
        let fake = Fake::start();
        let journal = fake.connect(&Stderr::default());
        tell(&journal, || {
            tracing::error!(source = "a\nPRIORITY=0\nMESSAGE_ID=b", "c");
        });
        let entry = fake.entry();
        assert_eq!(entry["DWINDLE_SOURCE"], "a\nPRIORITY=0\nMESSAGE_ID=b");
        assert_eq!((&*entry["PRIORITY"], entry.len()), ("3", 4));
    }

    #[test]
    fn a_journal_that_goes_is_told_of_once_and_found_again() {
        let mut fake = Fake::start();
        let stderr = Stderr::default();
        let journal = fake.connect(&stderr);
        fake.stop();
        tell(&journal, || {
            tracing::info!("one");
            tracing::info!(source = "a", "two");
        });
        let text = stderr.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("the journal cannot be reached (No such file"),
            "{text}"
        );
        assert_eq!(lines[1..], ["one", "two"]);
        fake.listen();
        tell(&journal, || tracing::info!("three"));
        assert_eq!(fake.entry()["MESSAGE"], "three");
        assert_eq!(stderr.text(), text);
    }

    #[test]
    fn no_journal_is_known_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert!(Journal::connect(&path, Box::new(io::sink())).is_err());
        std::fs::write(&path, "").unwrap();
        assert!(Journal::connect(&path, Box::new(io::sink())).is_err());
    }
}
