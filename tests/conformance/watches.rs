use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dwindle::{Agent, AgentError, NotifyWatcher, Preset, Watch};

use super::{
    LIMIT, Witness, add, arrivals, bytes_of, expect, put, quick, small_arrivals, start, tell, told_by_hand, wait_for_gz,
};
use crate::support::host::{Host, on_each_runtime};
use crate::support::{Inbox, names_below};

#[test]
fn a_removed_watch_takes_nothing_more_and_can_come_again() {
    on_each_runtime(|host| {
        let (inbox, other) = (Inbox::new(), Inbox::new());
        let files = arrivals(504, &["first.csv", "second.csv"]);
        let agent = start(host, Agent::builder().watcher(Arc::new(NotifyWatcher)));
        let (watch, events) = add(host, &agent, quick(&inbox.path));
        add(host, &agent, quick(&other.path));
        put(&inbox, &files[..1]);
        wait_for_gz(host, &inbox, &files[..1]);

        host.block_on(agent.remove_watch(watch)).unwrap();
        assert_eq!(watched(host, &agent), std::slice::from_ref(&other.path));
        put(&inbox, &files[1..]);
        events.file(Path::new("second.csv"));
        put(&other, &files[..1]);
        wait_for_gz(host, &other, &files[..1]);
        assert_eq!(names_below(&inbox.path), ["first.csv.gz", "second.csv"]);

        add(host, &agent, quick(&inbox.path));
        wait_for_gz(host, &inbox, &files);
        // A watch that is not there any more is removed as well as one can be.
        host.block_on(agent.remove_watch(watch)).unwrap();
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 3);
    });
}

fn watched(host: &Host, agent: &Agent) -> Vec<PathBuf> {
    let watches = host.block_on(agent.snapshot()).unwrap().watches;
    watches.into_iter().map(|watch| watch.path).collect()
}

#[test]
fn watches_come_and_go_while_files_do() {
    on_each_runtime(|host| {
        let inboxes: Vec<_> = (0..4).map(|_| Inbox::new()).collect();
        let files = small_arrivals(514, 40);
        let witness = Witness::new();
        let agent = start(host, Agent::builder().workers(2).observer(Arc::clone(&witness) as _));
        for files in files.chunks(10) {
            // Each folder gets ten more files, is watched, and is let go with whatever of it is in flight.
            let watches = inboxes.iter().map(|inbox| {
                put(inbox, files);
                add(host, &agent, told_by_hand(&inbox.path))
            });
            let watches: Vec<_> = watches.collect();
            for (watch, events) in watches {
                tell(&events, files);
                host.block_on(agent.remove_watch(watch)).unwrap();
                // Of a watch that is not there any more there is nothing to tell.
                tell(&events, files);
            }
            assert_eq!(watched(host, &agent), Vec::<PathBuf>::new());
        }
        for inbox in &inboxes {
            add(host, &agent, told_by_hand(&inbox.path));
        }
        for inbox in &inboxes {
            wait_for_gz(host, inbox, &files);
        }
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 160);
        assert_eq!(witness.compressed().len(), 160);
    });
}

#[test]
fn a_snapshot_tells_what_is_done_and_what_is_to_be_done() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let slow = inbox.sandbox.folder("slow");
        let files = arrivals(505, &["first.csv", "second.csv"]);
        let agent = start(host, Agent::builder().watcher(Arc::new(NotifyWatcher)));
        let before = host.block_on(agent.snapshot()).unwrap();
        assert_eq!((before.pending, before.queued, before.in_flight), (0, 0, 0));
        assert_eq!((before.watches.len(), before.report.compressed), (0, 0));
        add(host, &agent, quick(&inbox.path));
        let patient = Watch::new(&slow, Preset::Inbox).with_settle(Duration::from_secs(3600));
        add(host, &agent, patient);
        put(&inbox, &files);
        fs::write(slow.join("waits"), "for an hour").unwrap();
        wait_for_gz(host, &inbox, &files);
        let mut now = before.report;
        host.wait_until("two are done and one waits", || {
            let snapshot = host.block_on(agent.snapshot()).unwrap();
            now = snapshot.report;
            snapshot.pending == 1 && now.compressed == 2
        });
        assert_eq!(now.bytes_in, bytes_of(&files));

        // It will not be quiet before the limit, so there is nothing to wait for.
        let report = host.block_on(agent.shutdown(Duration::from_secs(5))).unwrap();
        assert_eq!((report.compressed, report.left), (2, 1));
        assert_eq!(names_below(&slow), ["waits"]);
    });
}

#[test]
fn settings_beyond_their_bounds_are_taken_as_the_nearest_ones() {
    on_each_runtime(|host| {
        for number in [0, usize::MAX] {
            let inbox = Inbox::new();
            let files = small_arrivals(526, 3);
            put(&inbox, &files);
            let builder = Agent::builder().inbox(number).files(number);
            let agent = start(host, builder.workers(number));
            add(host, &agent, told_by_hand(&inbox.path));
            host.block_on(agent.end_when_done(Duration::MAX)).unwrap();
            expect(host.block_on(agent.report()).unwrap(), 3);
        }
    });
}

#[test]
fn what_cannot_be_begun_is_said_at_once() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let agent = host.block_on(Agent::builder().start());
        assert!(matches!(agent, Err(AgentError::NoRuntime)));
        let missing = Watch::new(inbox.sandbox.path("missing"), Preset::Inbox);
        let builder = Agent::builder().runtime(host.runtime()).watch(missing.clone());
        assert!(matches!(host.block_on(builder.start()), Err(AgentError::Folder(_))));

        let agent = start(host, Agent::builder());
        let add = |watch: Watch| host.block_on(agent.add_watch(watch)).map(|_| ());
        let missing = add(missing).unwrap_err();
        assert!(matches!(missing, AgentError::Folder(_)));
        assert!(missing.to_string().contains("missing"), "{missing}");
        let pattern = add(quick(&inbox.path).with_include(["["])).unwrap_err();
        assert!(matches!(pattern, AgentError::Pattern(_)), "{pattern}");
        assert_eq!(watched(host, &agent), Vec::<PathBuf>::new());
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 0);
    });
}
