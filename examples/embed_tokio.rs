//! An agent in a tokio service, with the kernel's events. The adapter is the first half; a service has its own `main`.
//!
//! `cargo run --example embed_tokio -- FOLDER`, then end its standard input (Ctrl-D).

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dwindle::runtime::{BoxFuture, Runtime};
use dwindle::{Agent, NotifyWatcher, Preset, Watch};
use tokio::runtime::Handle;

/// The tokio runtime that a handle belongs to; with timers enabled.
struct Tokio(Handle);

impl Runtime for Tokio {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let _inside = self.0.enter();
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }

    fn unblock(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(work);
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os().nth(1).ok_or("name a folder")?;
    let agent = Agent::builder()
        .runtime(Arc::new(Tokio(Handle::current())))
        .watcher(Arc::new(NotifyWatcher))
        .watch(Watch::new(folder, Preset::Inbox).with_settle(Duration::from_millis(100)))
        .start()
        .await?;

    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;

    println!("{}", agent.shutdown(Duration::from_secs(10)).await?);
    Ok(())
}
