//! An agent in a program that uses smol, with the kernel's events.
//!
//! `cargo run --example embed_smol -- FOLDER`, then end its standard input (Ctrl-D).

use std::sync::Arc;
use std::time::Duration;
use std::{env, io};

use dwindle::runtime::Smol;
use dwindle::{Agent, NotifyWatcher, Preset, Watch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = env::args_os().nth(1).ok_or("name a folder")?;
    let watch = Watch::new(folder, Preset::Inbox).with_settle(Duration::from_millis(100));
    smol::block_on(async {
        let agent = Agent::builder()
            .runtime(Arc::new(Smol::new()?))
            .watcher(Arc::new(NotifyWatcher))
            .watch(watch)
            .start()
            .await?;

        smol::unblock(|| io::copy(&mut io::stdin(), &mut io::sink())).await?;

        println!("{}", agent.shutdown(Duration::from_secs(10)).await?);
        Ok(())
    })
}
