//! The metrics as text. Every name and its help stand here, in the order in which they are written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, NoLabelSet};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::counts::{Counts, OfWatch};
use crate::agent::{Snapshot, WatchState};
use crate::model::{Escaped, Report};

/// One of the two text formats that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' own, version 0.0.4, the only one that `node_exporter` reads.
    Prometheus,
    /// `OpenMetrics`, version 1.0.0.
    OpenMetrics,
}

/// When the metrics are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment<'a> {
    /// The agent runs.
    Running(&'a Snapshot),
    /// It has ended: nothing is watched any more, and every folder that was has its counts.
    Ended(&'a Report),
}

/// How many hooks there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hooks {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) not_run: u64,
}

impl Format {
    /// What the header `Content-Type` says of it.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => prometheus_text::CONTENT_TYPE,
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub(super) fn expose(
    mut counts: Counts,
    moment: &Moment<'_>,
    hooks: Hooks,
    started: SystemTime,
    format: Format,
) -> String {
    let state = match moment {
        Moment::Running(snapshot) => State::of(snapshot, &mut counts),
        Moment::Ended(report) => State {
            pending: report.left,
            ..State::default()
        },
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition {
        counts,
        state,
        hooks,
        started,
    }));
    let mut page = String::new();
    let encoded = match format {
        Format::Prometheus => prometheus_text::encode(&mut page, &registry),
        Format::OpenMetrics => text::encode(&mut page, &registry),
    };
    encoded.expect("strings take everything");
    page
}

/// How the agent is.
#[derive(Debug, Default)]
struct State {
    pending: u64,
    queued: u64,
    in_flight: u64,
    native: u64,
    poll: u64,
    /// By label.
    watches: BTreeMap<String, OfState>,
}

#[derive(Debug, Default)]
struct OfState {
    paused: bool,
    lost: bool,
}

impl State {
    /// Leaves the counts of the folders that are watched now, and no others.
    fn of(snapshot: &Snapshot, counts: &mut Counts) -> Self {
        let is_watched = |folder: &Path| snapshot.watches.iter().any(|watch| watch.path == folder);
        counts.watches.retain(|folder, _| is_watched(folder));
        let mut watches: BTreeMap<String, OfState> = BTreeMap::new();
        for WatchState { path, lost, paused, .. } in &snapshot.watches {
            counts.of(path);
            // Two watches may have the same folder.
            let state = watches.entry(label_of(path)).or_default();
            state.lost |= lost;
            state.paused |= paused;
        }
        let native = snapshot.watches.iter().filter(|watch| watch.native).count();
        State {
            pending: snapshot.pending as u64,
            queued: snapshot.queued as u64,
            in_flight: snapshot.in_flight as u64,
            native: native as u64,
            poll: (snapshot.watches.len() - native) as u64,
            watches,
        }
    }
}

/// The folder as the log's field `watch` has it.
fn label_of(folder: &Path) -> String {
    Escaped(folder).to_string()
}

#[derive(Debug)]
struct Exposition {
    counts: Counts,
    state: State,
    hooks: Hooks,
    started: SystemTime,
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.write_work(&mut page)?;
        self.write_state(&mut page)?;
        self.write_process(&mut page)
    }
}

impl Exposition {
    /// What was done, for each watched folder.
    fn write_work(&self, page: &mut Page<'_>) -> fmt::Result {
        let watches: Vec<(String, &OfWatch)> = self
            .counts
            .watches
            .iter()
            .map(|(folder, of)| (label_of(folder), of))
            .collect();
        let one = |value: fn(&OfWatch) -> u64| {
            watches
                .iter()
                .map(move |(watch, of)| ([("watch", &**watch)], value(of)))
        };
        let by = |key: &'static str, values: fn(&OfWatch) -> &BTreeMap<&'static str, u64>| {
            watches.iter().flat_map(move |(watch, of)| {
                let labels = move |label| [("watch", &**watch), (key, label)];
                values(of).iter().map(move |(label, value)| (labels(*label), *value))
            })
        };
        page.counter(
            "dwindle_files_compressed",
            None,
            "Files that have become a published output",
            one(|of| of.compressed),
        )?;
        page.counter(
            "dwindle_files_failed",
            None,
            "Tries on files that failed, by whether another try can help",
            by("class", |of| &of.failed),
        )?;
        page.counter(
            "dwindle_files_given_up",
            None,
            "Files whose tries are used up, or that only a person can help",
            one(|of| of.given_up),
        )?;
        page.counter(
            "dwindle_files_skipped",
            None,
            "Files that were looked at and passed over, by reason",
            by("reason", |of| &of.skipped),
        )?;
        page.counter(
            "dwindle_input",
            Some(&Unit::Bytes),
            "Bytes of the originals that were compressed",
            one(|of| of.bytes_in),
        )?;
        page.counter(
            "dwindle_output",
            Some(&Unit::Bytes),
            "Bytes of their outputs",
            one(|of| of.bytes_out),
        )?;
        page.histogram(
            "dwindle_compress",
            "Seconds from the beginning of the work on a file to the publication of its output",
            watches.iter().map(|(watch, of)| ([("watch", &**watch)], &of.took)),
        )?;
        page.histogram(
            "dwindle_wait",
            "Seconds from the moment at which a file was ready to the publication of its output",
            [([("", ""); 0], &self.counts.wait)],
        )?;
        page.counter(
            "dwindle_outputs_removed",
            None,
            "Outputs that were removed again, by reason",
            by("reason", |of| &of.removed),
        )
    }

    /// How it is now.
    fn write_state(&self, page: &mut Page<'_>) -> fmt::Result {
        let state = &self.state;
        let rescans = self.counts.rescans.iter();
        page.gauge(
            "dwindle_pending_files",
            "Files known and not done: waiting, being compressed, or to be tried again",
            alone(state.pending),
        )?;
        page.gauge(
            "dwindle_queue_files",
            "Those of the pending files that are ready and wait for a worker",
            alone(state.queued),
        )?;
        page.gauge(
            "dwindle_in_flight_files",
            "Those of the pending files that are being compressed, or whose originals are being removed",
            alone(state.in_flight),
        )?;
        page.counter(
            "dwindle_rescans",
            None,
            "Scans of a whole folder since events may have been missed, by cause",
            rescans.map(|(cause, value)| ([("cause", *cause)], *value)),
        )?;
        page.gauge(
            "dwindle_watches",
            "Watched folders, by how changes in them are learned of",
            [([("mode", "native")], state.native), ([("mode", "poll")], state.poll)],
        )?;
        let watches = || state.watches.iter().map(|(watch, of)| ([("watch", &**watch)], of));
        page.gauge(
            "dwindle_watch_paused",
            "1 while nothing is begun in the folder, since a disk is full or read-only",
            watches().map(|(labels, of)| (labels, u64::from(of.paused))),
        )?;
        page.gauge(
            "dwindle_watch_lost",
            "1 while the folder cannot be reached",
            watches().map(|(labels, of)| (labels, u64::from(of.lost))),
        )
    }

    fn write_process(&self, page: &mut Page<'_>) -> fmt::Result {
        let Hooks {
            succeeded,
            failed,
            not_run,
        } = self.hooks;
        let hooks = [("succeeded", succeeded), ("failed", failed), ("not-run", not_run)];
        page.counter(
            "dwindle_hooks",
            None,
            "Programs to be run for files that were done or given up, by what came of that",
            hooks.map(|(result, value)| ([("result", result)], value)),
        )?;
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        page.gauge(
            "dwindle_start_time_seconds",
            "When the agent was started, in seconds since 1970",
            alone(started.as_secs()),
        )?;
        let build = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("commit", env!("DWINDLE_COMMIT")),
        ];
        page.info("dwindle_build", "What is running; the value is always 1", build)
    }
}

/// The value of a metric without labels.
fn alone(value: u64) -> [([(&'static str, &'static str); 0], u64); 1] {
    [([], value)]
}

/// What is written on. The library adds the suffixes, `_total` and the unit's, and the full stop behind each help.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        series: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in series {
            metric
                .encode_family(&labels)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn histogram<'h, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (labels, histogram) in series {
            histogram.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn info<const N: usize>(&mut self, name: &str, help: &str, labels: [(&str, &str); N]) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Info)?;
        Info::new(labels.to_vec()).encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::Metrics;
    use super::*;
    use crate::model::{Observer as _, Success};

    fn watch(path: &str, lost: bool) -> WatchState {
        WatchState {
            path: path.into(),
            lost,
            ..WatchState::default()
        }
    }

    fn text(metrics: &Metrics, moment: &Moment<'_>) -> String {
        metrics.text(moment, Hooks::default(), Format::Prometheus)
    }

    /// The beginnings of the lines that have a value, up to it.
    fn series(text: &str) -> Vec<&str> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect()
    }

    #[test]
    fn no_series_is_there_twice_though_two_watches_have_one_folder() {
        let snapshot = Snapshot {
            watches: vec![watch("/a", false), watch("/a", true), watch("/a/", false)],
            ..Snapshot::default()
        };
        let text = text(&Metrics::new(), &Moment::Running(&snapshot));
        let mut series = series(&text);
        let all = series.len();
        series.sort_unstable();
        series.dedup();
        assert_eq!(series.len(), all, "{text}");
        assert!(text.contains("\ndwindle_watch_lost{watch=\"/a\"} 1\n"), "{text}");
        assert!(text.contains("\ndwindle_watches{mode=\"poll\"} 3\n"), "{text}");
    }

    #[test]
    fn at_the_end_every_folder_has_its_counts_and_none_is_watched() {
        let metrics = Metrics::new();
        for folder in ["/a", "/b"] {
            let (folder, output) = (Path::new(folder), Path::new("F.gz"));
            metrics.compressed(folder, Path::new("F"), &Success::to(output));
        }
        let report = Report {
            left: 7,
            ..Report::default()
        };
        let running = Snapshot {
            watches: vec![watch("/b", false)],
            ..Snapshot::default()
        };
        let running = text(&metrics, &Moment::Running(&running));
        assert!(!running.contains("watch=\"/a\""), "{running}");
        let ended = text(&metrics, &Moment::Ended(&report));
        for line in [
            "dwindle_files_compressed_total{watch=\"/a\"} 1",
            "dwindle_files_compressed_total{watch=\"/b\"} 1",
            "dwindle_pending_files 7",
            "dwindle_watches{mode=\"poll\"} 0",
        ] {
            assert!(ended.lines().any(|found| found == line), "{line}\n{ended}");
        }
    }

    #[test]
    fn a_name_that_is_no_text_is_escaped_as_in_the_log() {
        use std::os::unix::ffi::OsStrExt as _;
        let metrics = Metrics::new();
        metrics.watching(Path::new(std::ffi::OsStr::from_bytes(b"/a\xff\"\n")), true, None);
        let text = text(&metrics, &Moment::Ended(&Report::default()));
        let expected = r#"dwindle_files_compressed_total{watch="/a\\xff\"\\n"} 0"#;
        assert!(text.lines().any(|line| line == expected), "{text}");
    }
}
