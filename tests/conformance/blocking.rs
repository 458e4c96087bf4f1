use std::io;
use std::path::Path;
use std::sync::Arc;

use dwindle::{Agent, Events, FolderWatcher, Watcher};

use super::{LIMIT, Witness, add, expect, put, small_arrivals, start, tell, told_by_hand, wait_for_gz};
use crate::support::Inbox;
use crate::support::blocking::assert_may_block;
use crate::support::host::on_each_runtime;

/// What blocks is asked of the watcher, and done by a job. On the simulator, which all of this suite runs on, the kernel is asked besides
/// whether a task read, wrote or slept.
#[test]
fn no_task_blocks_its_thread() {
    on_each_runtime(|host| {
        let (inbox, other) = (Inbox::new(), Inbox::new());
        let files = small_arrivals(525, 20);
        let witness = Witness::default().on_start(|_| assert_may_block("a job"));
        let builder = Agent::builder().observer(Arc::clone(&witness) as _).inbox(4);
        let agent = start(host, builder.watcher(Arc::new(Slow)));
        let (watch, events) = add(host, &agent, told_by_hand(&inbox.path));
        add(host, &agent, told_by_hand(&other.path));
        put(&inbox, &files);
        put(&other, &files);
        tell(&events, &files);
        wait_for_gz(host, &inbox, &files);
        host.block_on(agent.remove_watch(watch)).unwrap();
        // Nobody told of what is in the other one, but for the first scan.
        host.block_on(agent.end_when_done(LIMIT)).unwrap();
        let report = host.block_on(agent.report()).unwrap();
        expect(report, witness.compressed().len() as u64);
        assert!(report.compressed >= 20, "{report}");
    });
}

/// Every call of it takes its time.
struct Slow;

impl Watcher for Slow {
    fn watch(&self, _: &Path, _: Events) -> io::Result<Box<dyn FolderWatcher>> {
        assert_may_block("beginning to watch");
        Ok(Box::new(Slow))
    }
}

impl FolderWatcher for Slow {
    fn add(&mut self, _: &Path) -> io::Result<()> {
        assert_may_block("watching one more folder");
        Ok(())
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        assert_may_block("ending a watch");
    }
}
