//! What is answered over HTTP: the metrics under one path, in the format that is asked for.

use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderName};
use hyper::{Method, Request, Response, StatusCode};

use super::exposition::Format;

/// The only path.
pub(crate) const METRICS: &str = "/metrics";

/// The format in which somebody asks for the metrics; where something else is asked, the answer to that.
pub(crate) fn asked<B>(request: &Request<B>) -> Result<Format, Response<String>> {
    if request.uri().path() != METRICS {
        let sentence = format!("There is only {METRICS} here.\n");
        return Err(refuse(StatusCode::NOT_FOUND, sentence, None));
    }
    // To HEAD hyper answers the same, and leaves the body out.
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let sentence = "Metrics can only be read.\n".to_owned();
        return Err(refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            sentence,
            Some((ALLOW, "GET, HEAD")),
        ));
    }
    Ok(preferred(request.headers()))
}

/// The metrics, which are `text` in this format.
pub(crate) fn answer_with(text: String, format: Format) -> Response<String> {
    respond(StatusCode::OK, text, format.content_type(), None)
}

/// The agent has ended, or does not answer.
pub(crate) fn unavailable() -> Response<String> {
    let sentence = "The agent does not answer.\n".to_owned();
    refuse(StatusCode::SERVICE_UNAVAILABLE, sentence, None)
}

fn refuse(status: StatusCode, sentence: String, header: Option<(HeaderName, &'static str)>) -> Response<String> {
    respond(status, sentence, "text/plain; charset=utf-8", header)
}

fn respond(
    status: StatusCode,
    body: String,
    content_type: &'static str,
    header: Option<(HeaderName, &'static str)>,
) -> Response<String> {
    let builder = Response::builder().status(status).header(CONTENT_TYPE, content_type);
    let builder = header
        .into_iter()
        .fold(builder, |builder, (name, value)| builder.header(name, value));
    builder.body(body).expect("constants are legal headers")
}

/// RFC 9110, section 12.5.1. OpenMetrics only for who names it and likes plain text no better.
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
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let answer = asked(&request(method, METRICS, &[])).unwrap_err();
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.headers()[ALLOW], "GET, HEAD");
        }
        assert!(asked(&request(Method::GET, "/metrics?a=b", &[])).is_ok());
    }
}
