//! dwindle watches folders and turns every finished file into `FILE.gz`: once, and without losing a byte.
//!
//! This library is the program's core. It knows no async runtime: a [`Runtime`] is handed in. The folders under `src/` are floors,
//! and a module imports only from lower ones:
//!
//! | floor | module | owns |
//! | --- | --- | --- |
//! | 0 | `model` | plain values: errors, reasons, counts, fingerprints, the [`Observer`] |
//! | 1 | `policy` | every decision: whose file, ready or not, when to look again |
//! | 1 | `codec` | bytes in, one verified gzip member out |
//! | 1 | `runtime` | the [`Runtime`] trait, its adapters, the wait group |
//! | 2 | `storage` | every system call on a watched file, and the commit |
//! | 3 | `agent` | channels, the pool of workers, the drain |
//! | 4 | `config`, `daemon` | TOML, notify, signals, logs |
//! | 5 | `cli` | arguments and printing |

#[cfg(not(target_os = "linux"))]
compile_error!("dwindle stands on openat2, O_TMPFILE and inotify: it is for Linux");

pub mod runtime;

mod agent;
mod codec;
mod model;
mod policy;
mod storage;

#[cfg(feature = "config")]
// Without the program only the tests ask for it.
#[cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
mod config;
#[cfg(any(feature = "cli", feature = "watch"))]
mod daemon;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;

pub use agent::{
    Agent, AgentBuilder, AgentError, Events, FileOptions, FileOutcome, FolderWatcher, Snapshot, Watcher, compress_file,
};
#[cfg(feature = "watch")]
pub use daemon::NotifyWatcher;
pub use model::{Class, Error, Level, Observer, Reason, Report, Step};
pub use policy::{OnConflict, PatternError, Preset, Watch, WatchId, WatcherChoice};
pub use runtime::Runtime;
