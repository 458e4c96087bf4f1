//! A whole adapter for a runtime of one's own, here the simplest there can be: a thread for everything.
//!
//! `cargo run --example own_runtime -- FOLDER`, then end its standard input (Ctrl-D).

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use dwindle::runtime::{BoxFuture, Runtime, block_on};
use dwindle::{Agent, Preset, Watch};

/// Good enough to see how little is asked for; a timer that is no longer wanted keeps its thread until its time.
struct ThreadForEverything;

impl Runtime for ThreadForEverything {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        thread::spawn(|| block_on(task));
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let (wake, woken) = async_channel::bounded::<()>(1);
        thread::spawn(move || {
            thread::sleep(deadline.saturating_duration_since(Instant::now()));
            drop(wake);
        });
        Box::pin(async move {
            // It ends when the thread has dropped its end of the channel.
            let _ = woken.recv().await;
        })
    }

    fn unblock(&self, work: Box<dyn FnOnce() + Send>) {
        thread::spawn(work);
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os().nth(1).ok_or("name a folder")?;
    let watch = Watch::new(folder, Preset::Inbox)
        .with_settle(Duration::from_millis(100))
        .with_poll_interval(Duration::from_secs(1));
    let agent = block_on(
        Agent::builder()
            .runtime(Arc::new(ThreadForEverything))
            .watch(watch)
            .start(),
    )?;

    io::copy(&mut io::stdin(), &mut io::sink())?;

    println!("{}", block_on(agent.shutdown(Duration::from_secs(10)))?);
    Ok(())
}
