//! dwindle watches folders and turns every finished file into `FILE.gz`: once, and without losing a byte.
//!
//! This is the core of the program of that name, for programs that have their own event loop. It knows no async runtime: an [`Agent`] is
//! handed one, as four methods ([`runtime::Runtime`]), and its futures may be awaited on any other.
//!
//! **The promise.** On a local Linux file system that honours fsync and supports leases, a file's bytes are either still there under a name,
//! or in a published `.gz` that has been verified and made durable; and a writer that comes at any moment is
//! noticed. Whatever ends the agent, a crash and a power cut included, leaves the original, or its verified `.gz`, or both, and the next start
//! puts right what was half done. The `.gz` is one member of RFC 1952, and has the original's owner, mode, times and extended attributes.
//! How, and what is not promised: `docs/durability.md` in the source.
//!
//! # An agent
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use dwindle::runtime::{Threads, block_on};
//! use dwindle::{Agent, Preset, Watch};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let inbox = tempfile::tempdir()?;
//!     std::fs::write(inbox.path().join("app.log"), "hello\n".repeat(1000))?;
//!
//!     let watch = Watch::new(inbox.path(), Preset::Inbox).with_settle(Duration::from_millis(50));
//!     let agent = block_on(Agent::builder().runtime(Arc::new(Threads::new()?)).watch(watch).start())?;
//!
//!     // The program does its work. This one has none, and ends as soon as everything that is there has been compressed.
//!     block_on(agent.end_when_done(Duration::from_secs(10)))?;
//!     let report = block_on(agent.report())?;
//!
//!     println!("{report}"); // Compressed 1 file: 5.86 KiB -> 71 B (98.8% smaller) in 0.1 s; 0 skipped, 0 failed, 0 left
//!     assert_eq!(report.compressed, 1);
//!     assert!(inbox.path().join("app.log.gz").exists());
//!     Ok(())
//! }
//! ```
//!
//! # Where to go on
//!
//! - [`AgentBuilder`]: workers, level, bounds; [`Watch`]: which files of a folder, and how.
//! - [`Agent`]: watches that come and go, a [`Snapshot`], and [`Agent::shutdown`], which resolves to the [`Report`].
//! - [`Observer`]: who is told what happens, such as logs and metrics.
//! - [`Watcher`] and [`Events`]: where events come from: `NotifyWatcher`, which asks the kernel (feature `watch`), or your program itself.
//! - [`runtime`]: what an agent runs on. The trait is in the root too, beside the other two that an embedding program may implement.
//! - [`compress_file`]: one file, at once, without an agent.
//! - `docs/embedding.md` and `examples/` in the source: a tokio service from the first line to the last, and an adapter to any executor.
//!
//! # Features
//!
//! Everything above is there with `default-features = false`, and its dependencies bring no async runtime, no inotify and no serde.
//!
//! | feature | adds |
//! | --- | --- |
//! | `libdeflate` | the faster engine, libdeflate, which is C: larger files are compressed in less time and become smaller |
//! | `zstd` | `Format::Zstd`: `FILE.zst` instead of `FILE.gz`, by the format's own library, which is C |
//! | `watch` | `NotifyWatcher`: the kernel's events, by inotify(7) |
//! | `smol` | `runtime::Smol`: the adapter to smol |
//! | `config` | for the program: its TOML configuration |
//! | `cli` | for the program: its commands; brings all the others. On by default |
//!
//! Linux only: 5.6 or newer, for openat2(2).
//!
//! # The source
//!
//! The folders under `src/` are floors, and a module imports only from lower ones:
//!
//! | floor | module | owns |
//! | --- | --- | --- |
//! | 0 | `model` | plain values: errors, reasons, counts, fingerprints, the [`Observer`] |
//! | 1 | `policy` | every decision: whose file, ready or not, when to look again |
//! | 1 | `codec` | bytes in, one verified gzip member or Zstandard frame out |
//! | 1 | `runtime` | the [`Runtime`] trait, its adapters, the wait group |
//! | 2 | `storage` | every system call on a watched file, and the commit |
//! | 3 | `agent` | channels, the pool of workers, the drain |
//! | 4 | `config`, `daemon` | TOML, notify, signals, logs |
//! | 5 | `cli` | arguments and printing |

#![warn(missing_debug_implementations)]

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
    Agent, AgentBuilder, AgentError, Events, FileOptions, FileOutcome, FolderWatcher, Snapshot, WatchState, Watcher,
    compress_file,
};
#[cfg(feature = "watch")]
pub use daemon::NotifyWatcher;
pub use model::{Class, Error, Failure, Format, Level, Observer, Reason, Report, Step, Success, Surplus};
pub use policy::{OnConflict, PatternError, Preset, Shard, ShardError, Watch, WatchId, WatcherChoice, WriterCheck};
pub use runtime::Runtime;

/// The guide's code, compiled.
#[cfg(all(doctest, feature = "watch", feature = "smol"))]
#[doc = include_str!("../docs/embedding.md")]
struct Guide;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::time::Duration;

    /// Compiling it is the test: what an embedding program may send to another thread, share, and print.
    #[test]
    fn public_types_are_send_sync_and_debug_and_futures_are_send() {
        fn value<T: Send + Sync + Debug + 'static>() {}
        fn future<T: Send>(_: impl FnOnce(Agent) -> T) {}
        fn borrowing_future(_: impl for<'a> FnOnce(&'a Agent) -> runtime::BoxFuture<'a, ()>) {}

        value::<(Agent, AgentBuilder, AgentError, Events, Snapshot, WatchState, Report)>();
        value::<(FileOptions, FileOutcome, Error, PatternError, Reason, Class, Step)>();
        value::<(
            Watch,
            WatchId,
            Format,
            Level,
            Preset,
            OnConflict,
            WatcherChoice,
            WriterCheck,
            Shard,
            ShardError,
        )>();
        value::<runtime::Threads>();
        #[cfg(feature = "smol")]
        value::<runtime::Smol>();
        #[cfg(feature = "watch")]
        value::<NotifyWatcher>();

        let _ = |builder: AgentBuilder| -> runtime::BoxFuture<'static, _> { Box::pin(builder.start()) };
        future(|agent| agent.shutdown(Duration::ZERO));
        borrowing_future(|agent| {
            Box::pin(async move {
                let _ = agent.add_watch(Watch::new("inbox", Preset::Inbox)).await;
                let _ = agent.snapshot().await;
                let _ = agent.drain(None).await;
                let _ = agent.end_when_done(Duration::ZERO).await;
                let _ = agent.abort().await;
                let _ = agent.report().await;
            })
        });
    }
}
