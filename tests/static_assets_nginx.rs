//! What a web server makes of the preset `static-assets`: a real nginx with `gzip_static`, and a browser's request.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::support::programs::{self, while_none_is_started};
use crate::support::wait::{DEADLINE, poll};
use crate::support::{Inbox, needs};

#[test]
fn nginx_sends_the_gz_of_the_file_as_it_is() {
    needs!(tool "nginx");
    let inbox = Inbox::new();
    let page = inbox.path.join("page.html");
    let write = |text: &str| while_none_is_started(|| fs::write(&page, text)).unwrap();
    let nginx = Nginx::start(&inbox);
    write(&"first ".repeat(100));
    let mut running = inbox.watch("preset = \"static-assets\"");
    let is_up_to_date = |what: &str| {
        let plain = nginx.get("/page.html", false);
        let packed = nginx.get("/page.html", true);
        let unpacked = packed.unpacked();
        // The time is what tells caches that both are of one age.
        packed.header("content-encoding") == Some("gzip")
            && plain.body == fs::read(&page).unwrap()
            && unpacked.as_deref() == Some(&plain.body[..])
            && packed.header("last-modified") == plain.header("last-modified")
            && String::from_utf8_lossy(&plain.body).contains(what)
    };
    running.wait_for("the first version, packed", || is_up_to_date("first"));
    write(&"second ".repeat(100));
    running.wait_for("the second version, packed", || is_up_to_date("second"));
    fs::remove_file(&page).unwrap();
    running.wait_for("nothing to be left", || !inbox.path.join("page.html.gz").exists());
    for packed in [false, true] {
        assert!(nginx.get("/page.html", packed).head.starts_with("HTTP/1.1 404"));
    }
    running.signal(Signal::TERM);
    // What was removed as soon as nginx sent it may not count as done.
    assert_eq!(running.wait_exit().expect_code(0).report().failed, 0);
}

/// On a socket of its own. Dropped, it is killed.
struct Nginx {
    child: Child,
    socket: PathBuf,
}

impl Nginx {
    fn start(inbox: &Inbox) -> Self {
        let folder = inbox.sandbox.folder("nginx");
        let socket = folder.join("socket");
        let configuration = include_str!("nginx/gzip_static.conf")
            .replace("FOLDER", &folder.display().to_string())
            .replace("ROOT", &inbox.path.display().to_string());
        let configuration = inbox.sandbox.file("nginx/nginx.conf", configuration);
        let mut command = Command::new("nginx");
        command.arg("-c").arg(configuration).arg("-p").arg(&folder);
        command.arg("-e").arg(folder.join("error.log")).stdin(Stdio::null());
        let child = programs::start(&mut command).expect("nginx starts");
        let nginx = Nginx { child, socket };
        let is_up = poll(DEADLINE, || UnixStream::connect(&nginx.socket).ok());
        assert!(is_up.is_some(), "{}", errors(&folder));
        nginx
    }

    fn get(&self, path: &str, packed: bool) -> Response {
        let mut stream = UnixStream::connect(&self.socket).expect("nginx listens");
        let accept = if packed { "Accept-Encoding: gzip\r\n" } else { "" };
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{accept}\r\n"
        )
        .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        Response {
            head: String::from_utf8(bytes[..end].to_vec()).unwrap(),
            body: bytes[end + 4..].to_vec(),
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Response {
    head: String,
    body: Vec<u8>,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn unpacked(&self) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        flate2::bufread::GzDecoder::new(&self.body[..])
            .read_to_end(&mut content)
            .ok()?;
        Some(content)
    }
}

fn errors(folder: &Path) -> String {
    fs::read_to_string(folder.join("error.log")).unwrap_or_default()
}
