use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dwindle::{Agent, Events, FolderWatcher, Watcher};

use super::{Failure, LIMIT, Witness, add, expect, put, small_arrivals, start, tell, told_by_hand, wait_for_gz};
use crate::support::Inbox;
use crate::support::host::{Host, on_each_runtime};

#[test]
fn row_58_a_job_that_panics_is_a_failed_file_and_its_worker_goes_on() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(521, 10);
        let is_cursed = Arc::new(AtomicBool::new(true));
        let cursed = files[4].original.name.clone();
        let witness = Witness::default().on_start({
            let (is_cursed, cursed) = (Arc::clone(&is_cursed), cursed.clone());
            move |source| {
                if is_cursed.load(Ordering::Relaxed) && source.ends_with(&cursed) {
                    // Past the panic hook, which would print.
                    resume_unwind(Box::new("on purpose"));
                }
            }
        });
        let agent = start(host, Agent::builder().workers(1).observer(Arc::clone(&witness) as _));
        let (_, events) = add(host, &agent, told_by_hand(&inbox.path));
        put(&inbox, &files);
        tell(&events, &files);
        host.wait_until("the others are done", || witness.compressed().len() == 9);
        let report = host.block_on(agent.snapshot()).unwrap().report;
        assert_eq!((report.compressed, report.failed), (9, 1), "{report}");
        let failed = witness.failed();
        assert!(
            !failed.is_empty() && failed.iter().all(|failure| failure.path == Path::new(&cursed)),
            "{failed:?}"
        );

        is_cursed.store(false, Ordering::Relaxed);
        events.file(Path::new(&cursed));
        wait_for_gz(host, &inbox, &files);
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 10);
    });
}

#[test]
fn a_failed_file_is_tried_again_when_that_was_told() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(522, 1);
        let name = files[0].original.name.clone();
        let told = Arc::new(Mutex::new(None::<Events>));
        let is_cursed = Arc::new(AtomicBool::new(true));
        let witness = Witness::with_clock_of(host).on_start({
            let (told, is_cursed, name) = (Arc::clone(&told), Arc::clone(&is_cursed), name.clone());
            move |_| {
                if is_cursed.load(Ordering::Relaxed) {
                    // Something happens to the file while it is at work, so that another try may help.
                    told.lock().unwrap().as_ref().unwrap().file(Path::new(&name));
                    resume_unwind(Box::new("on purpose"));
                }
            }
        });
        let agent = start(host, Agent::builder().observer(Arc::clone(&witness) as _));
        let (_, events) = add(host, &agent, told_by_hand(&inbox.path));
        *told.lock().unwrap() = Some(events.clone());
        put(&inbox, &files);
        tell(&events, &files);
        host.wait_until("it failed three times", || witness.failed().len() >= 3);
        is_cursed.store(false, Ordering::Relaxed);
        wait_for_gz(host, &inbox, &files);
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 1);
        let failed = witness.failed();
        assert!(
            failed
                .iter()
                .all(|failure| failure.retry_in == Some(Duration::from_secs(1))),
            "{failed:?}"
        );
        expect_tries_as_told(host, &failed);
    });
}

#[test]
fn a_lost_folder_is_looked_for_at_the_times_told() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(523, 3);
        let witness = Arc::new(Witness::with_clock_of(host));
        let agent = start(host, Agent::builder().observer(Arc::clone(&witness) as _));
        let (_, events) = add(host, &agent, told_by_hand(&inbox.path));
        put(&inbox, &files[..1]);
        tell(&events, &files[..1]);
        wait_for_gz(host, &inbox, &files[..1]);

        let elsewhere = inbox.sandbox.path("elsewhere");
        fs::rename(&inbox.path, &elsewhere).unwrap();
        events.lost();
        let lost = || witness.lost.lock().unwrap().clone();
        host.wait_until("it was looked for three times", || lost().len() >= 3);
        fs::rename(&elsewhere, &inbox.path).unwrap();
        put(&inbox, &files[1..]);
        wait_for_gz(host, &inbox, &files);
        assert_eq!(witness.found.load(Ordering::Relaxed), 1);
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 3);
        let lost = lost();
        let waits: Vec<_> = lost
            .iter()
            .take(3)
            .map(|failure| failure.retry_in.unwrap().as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4]);
        assert!(lost.iter().all(|failure| failure.path == inbox.path));
        expect_tries_as_told(host, &lost);
    });
}

#[test]
fn a_scan_that_panics_is_made_again() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(524, 3);
        put(&inbox, &files);
        let witness = Arc::new(Witness::with_clock_of(host));
        let builder = Agent::builder().observer(Arc::clone(&witness) as _);
        let agent = start(host, builder.watcher(Arc::new(PanicsOnce)));
        add(host, &agent, told_by_hand(&inbox.path));
        wait_for_gz(host, &inbox, &files);
        assert_eq!(witness.lost.lock().unwrap().len(), 1);
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 3);
    });
}

/// Each try came when the one before had said, and not much later.
fn expect_tries_as_told(host: &Host, failures: &[Failure]) {
    let slack = if host.is_simulated() {
        Duration::from_millis(200)
    } else {
        LIMIT / 4
    };
    for pair in failures.windows(2) {
        let (wait, told) = (pair[1].at - pair[0].at, pair[0].retry_in.unwrap());
        assert!((told..told + slack).contains(&wait), "{wait:?} and not {told:?}");
    }
}

struct PanicsOnce;

impl Watcher for PanicsOnce {
    fn watch(&self, _: &Path, _: Events) -> io::Result<Box<dyn FolderWatcher>> {
        Ok(Box::new(WatchThatPanics(false)))
    }
}

struct WatchThatPanics(bool);

impl FolderWatcher for WatchThatPanics {
    fn add(&mut self, _: &Path) -> io::Result<()> {
        if !std::mem::replace(&mut self.0, true) {
            resume_unwind(Box::new("on purpose"));
        }
        Ok(())
    }
}
