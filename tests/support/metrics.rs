//! The metrics of an agent, as Prometheus and `node_exporter` get them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::programs;
use super::run::Running;

/// Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was answered over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Without the empty line behind it.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1);
        status
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no status: {self:?}"))
    }
}

/// Where the agent says that its metrics are.
pub(crate) fn address_of(running: &mut Running) -> SocketAddr {
    const BEFORE: &str = "metrics are at http://";
    running.wait_for_text("/metrics");
    let log = running.stderr();
    let (_, after) = log.split_once(BEFORE).expect("the address of the metrics");
    let (address, _) = after.split_once("/metrics").expect("a whole line");
    address.parse().expect("an address")
}

/// A connection that gives up at some time.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends a request's head, its lines apart by `\n` and without the empty line, and reads the answer to its end.
pub(crate) fn ask(address: SocketAddr, head: &str) -> io::Result<Answer> {
    let mut stream = connect(address)?;
    let head = head.replace('\n', "\r\n");
    stream.write_all(format!("{head}\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Answer {
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// The metrics in Prometheus' own format.
pub(crate) fn scrape(address: SocketAddr) -> String {
    let answer = ask(address, "GET /metrics HTTP/1.1").unwrap_or_else(|error| panic!("{address}: {error}"));
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.body
}

/// The value of a series, which is given as it is written: `name{label="value"}`.
pub(crate) fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

/// What `promtool check metrics` says of a file; nothing where all is well.
pub(crate) fn promtool_says_of(path: &Path) -> String {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut command = Command::new("promtool");
    let output = programs::output(command.args(["check", "metrics"]).stdin(Stdio::from(file)));
    let output = output.expect("promtool starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success() || !said.is_empty(), "{}", output.status);
    said
}
