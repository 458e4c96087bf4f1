//! What is answered over HTTP: the metrics under one path, in the format that is asked for.

use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::exposition::Format;

/// The only path.
pub(crate) const METRICS: &str = "/metrics";

/// Why somebody does not get the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Something else is asked for.
    NotFound,
    /// They are to be changed.
    WrongMethod,
    /// The agent has ended, or does not answer.
    Unavailable,
}

/// The format in which somebody asks for the metrics.
pub(crate) fn asked<B>(request: &Request<B>) -> Result<Format, Refusal> {
    if request.uri().path() != METRICS {
        return Err(Refusal::NotFound);
    }
    // To HEAD hyper answers the same, and leaves the body out.
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(Refusal::WrongMethod);
    }
    Ok(preferred(request.headers()))
}

/// The metrics, which are `text` in this format.
pub(crate) fn answer_with(text: String, format: Format) -> Response<String> {
    respond(StatusCode::OK, format.content_type(), text)
}

impl Refusal {
    pub(crate) fn answer(self) -> Response<String> {
        let (status, sentence) = match self {
            Refusal::NotFound => (StatusCode::NOT_FOUND, format!("There is only {METRICS} here.\n")),
            Refusal::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, "Metrics can only be read.\n".to_owned()),
            Refusal::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The agent does not answer.\n".to_owned(),
            ),
        };
        let mut response = respond(status, "text/plain; charset=utf-8", sentence);
        if self == Refusal::WrongMethod {
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// RFC 9110, section 12.5.1. `OpenMetrics` only for who names it and likes plain text no better.
fn preferred(headers: &HeaderMap) -> Format {
    let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let value = |key: &str| {
            let found = parameters
                .iter()
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(key));
            found.map(|(_, value)| value.trim().trim_matches('"'))
        };
        let quality = value("q").map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
        match &*name {
            "application/openmetrics-text" if value("version").is_none_or(|version| version == "1.0.0") => {
                open_metrics = open_metrics.max(quality);
            }
            "text/plain" | "text/*" => text = text.max(quality),
            _ => {}
        }
    }
    if open_metrics > 0.0 && open_metrics >= text {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, path: &str, accept: &[&str]) -> Request<()> {
        let request = Request::builder().method(method).uri(path);
        let request = accept
            .iter()
            .fold(request, |request, line| request.header(ACCEPT, *line));
        request.body(()).unwrap()
    }

    #[test]
    fn the_format_is_the_one_that_is_liked_best() {
        for (accept, open_metrics) in [
            // Prometheus 2.42.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;\
                 q=0.5,*/*;q=0.1",
                true,
            ),
            // Prometheus 3.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                true,
            ),
            // Prometheus set to the older format.
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", false),
            // curl, and a browser.
            ("*/*", false),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("Application/OpenMetrics-Text ; Q=0.5", true),
            ("application/openmetrics-text;version=\"1.0.0\"", true),
            ("application/openmetrics-text;version=0.0.1", false),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.6", false),
            ("application/openmetrics-text;q=what", false),
            (";;=,,q", false),
            ("", false),
        ] {
            let format = asked(&request(Method::GET, METRICS, &[accept])).unwrap();
            assert_eq!(format == Format::OpenMetrics, open_metrics, "{accept}");
        }
        let two_lines = ["text/plain;q=0.5", "application/openmetrics-text"];
        let format = asked(&request(Method::HEAD, METRICS, &two_lines)).unwrap();
        assert_eq!(format, Format::OpenMetrics);
        assert_eq!(asked(&request(Method::GET, METRICS, &[])).unwrap(), Format::Prometheus);
    }

    #[test]
    fn what_is_not_there_or_cannot_be_done_is_said_so() {
        for path in ["/", "/metrics/", "/metric", "/metrics/../x", "*"] {
            let answer = asked(&request(Method::GET, path, &[])).unwrap_err();
            assert_eq!(answer.answer().status(), StatusCode::NOT_FOUND, "{path}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = asked(&request(method, METRICS, &[])).unwrap_err().answer();
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.headers()[ALLOW], "GET, HEAD");
        }
        assert!(asked(&request(Method::GET, "/metrics?a=b", &[])).is_ok());
    }
}
