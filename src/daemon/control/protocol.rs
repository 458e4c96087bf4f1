//! The words of both sides: a line of JSON for each request, and one for its answer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::status::Status;

/// Of the protocol. Fields may be added to what it has; what they mean stays.
pub(super) const VERSION: u32 = 1;

/// No request is longer, in bytes with the line break.
pub(super) const LONGEST_REQUEST: usize = 4096;

/// No answer that makes sense is longer; a client reads no further.
pub(super) const LONGEST_ANSWER: u64 = 64 * 1024 * 1024;

/// The one request that there is.
pub(super) const STATUS_REQUEST: &str = "{\"version\":1,\"request\":\"status\"}\n";

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Status,
}

/// Reads a request.
///
/// # Errors
///
/// A sentence for the client.
pub(super) fn parse(line: &[u8]) -> Result<Request, String> {
    #[derive(Deserialize)]
    struct Fields {
        version: Option<u64>,
        request: Option<String>,
    }
    let example = STATUS_REQUEST.trim_end();
    let fields: Fields = serde_json::from_slice(line)
        .map_err(|_| format!("a request is an object of JSON on one line, like {example}"))?;
    match fields.version {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(format!(
                "version {version} is not known here; this agent speaks version {VERSION}"
            ));
        }
        None => return Err(format!("a request says its version, like {example}")),
    }
    match fields.request.as_deref() {
        Some("status") => Ok(Request::Status),
        Some(_) => Err("this request is not known here; there is \"status\"".to_owned()),
        None => Err(format!("a request says what it wants, like {example}")),
    }
}

/// The line that answers with a status.
pub(super) fn status_line(status: &Status) -> Arc<[u8]> {
    #[derive(Serialize)]
    struct Answer<'a> {
        version: u32,
        status: &'a Status,
    }
    line(&Answer {
        version: VERSION,
        status,
    })
}

/// The line that answers with the reason for which there is nothing else to answer.
pub(super) fn error_line(error: &str) -> Arc<[u8]> {
    #[derive(Serialize)]
    struct Answer<'a> {
        version: u32,
        error: &'a str,
    }
    line(&Answer {
        version: VERSION,
        error,
    })
}

fn line(answer: &impl Serialize) -> Arc<[u8]> {
    let mut line = serde_json::to_vec(answer).expect("text and numbers under fixed names are always JSON");
    line.push(b'\n');
    line.into()
}

/// An answer as a client reads it.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(borrow)]
    pub(super) status: Option<&'a RawValue>,
    pub(super) error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_understood_or_refused_with_what_to_send_instead() {
        assert_eq!(parse(STATUS_REQUEST.as_bytes()), Ok(Request::Status));
        let more = br#"{"request":"status","version":1,"interval":5}"#;
        assert_eq!(
            parse(more),
            Ok(Request::Status),
            "what a later client says beside it is no matter"
        );
        for (line, part) in [
            (&b""[..], "an object of JSON"),
            (b"status", "an object of JSON"),
            (b"\xff\xfe", "an object of JSON"),
            (b"[1]", "an object of JSON"),
            (br#"{"version":"1"}"#, "an object of JSON"),
            (br#"{"request":"status"}"#, "says its version"),
            (
                br#"{"version":2,"request":"status"}"#,
                "version 2 is not known here; this agent speaks version 1",
            ),
            (br#"{"version":1,"request":"stop"}"#, "there is \"status\""),
            (br#"{"version":1}"#, "says what it wants"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{}: {error}", line.escape_ascii());
        }
    }

    #[test]
    fn an_error_is_one_line() {
        assert_eq!(
            *error_line("a\n\"b\""),
            *b"{\"version\":1,\"error\":\"a\\n\\\"b\\\"\"}\n"
        );
    }
}
