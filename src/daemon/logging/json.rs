//! Log lines for machines: an event's fields as one JSON object, its kind among them.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::kinds::message_id;

/// Adds the field `event` to lines that are JSON objects, where the event is of one of our kinds: the library's own format leaves out what an
/// event is named.
pub(super) struct WithKind<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for WithKind<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let kind = event.metadata().name();
        match line.strip_prefix('{') {
            // Kinds are letters and hyphens, so there is nothing to escape.
            Some(fields) if message_id(kind).is_some() => write!(writer, "{{\"event\":\"{kind}\",{fields}"),
            _ => writer.write_str(&line),
        }
    }
}
