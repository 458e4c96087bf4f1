//! An agent in a program without any async runtime: plain threads, and no kernel events, so that the folder is polled.
//!
//! `cargo run --example embed_threads -- FOLDER`, then end its standard input (Ctrl-D).

use std::sync::Arc;
use std::time::Duration;
use std::{env, io};

use dwindle::runtime::{Threads, block_on};
use dwindle::{Agent, Preset, Watch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os().nth(1).ok_or("name a folder")?;
    let watch = Watch::new(folder, Preset::Inbox)
        .with_settle(Duration::from_millis(100))
        .with_poll_interval(Duration::from_secs(1));
    let agent = block_on(Agent::builder().runtime(Arc::new(Threads::new()?)).watch(watch).start())?;

    io::copy(&mut io::stdin(), &mut io::sink())?;

    println!("{}", block_on(agent.shutdown(Duration::from_secs(10)))?);
    Ok(())
}
