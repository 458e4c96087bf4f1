//! Metrics for Prometheus: what is counted ([`counts`]), how that is written ([`exposition`]), and the two ways to it: a file ([`textfile`])
//! and HTTP ([`endpoint`]). The names and their meaning are described in `docs/operations.md`.

mod counts;
mod endpoint;
mod exposition;
mod textfile;

pub(crate) use counts::Metrics;
pub(crate) use endpoint::{METRICS, Refusal, answer_with, asked};
pub(crate) use exposition::{Format, Hooks, Moment};
pub(crate) use textfile::Textfile;
