use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dwindle::runtime::block_on;
use dwindle::{Agent, AgentError, Events, FolderWatcher, Level, NotifyWatcher, Watcher};

use super::{
    LIMIT, Witness, add, arrivals, bytes_of, count_gz_among, expect, is_whole_original, put, quick, small_arrivals,
    start, tell, told_by_hand, wait_for_gz,
};
use crate::support::host::{Host, on_each_runtime};
use crate::support::{Arrival, Data, Inbox};

#[test]
fn it_ends_by_itself_when_all_is_done() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = arrivals(506, &["first.csv", "sub/second.csv"]);
        put(&inbox, &files);
        let agent = start(host, Agent::builder());
        host.block_on(async {
            agent.add_watch(told_by_hand(&inbox.path)).await.unwrap();
            agent.end_when_done(LIMIT).await.unwrap();
            expect(agent.report().await.unwrap(), 2);
            assert!(matches!(agent.report().await, Err(AgentError::Ended)));
            assert!(matches!(agent.snapshot().await, Err(AgentError::Ended)));
            let again = agent.add_watch(quick(&inbox.path)).await;
            assert!(matches!(again, Err(AgentError::Ended)));
        });
        wait_for_gz(host, &inbox, &files);
    });
}

#[test]
fn a_drain_under_load_compresses_all_that_is_known() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(515, 100);
        let agent = start(host, Agent::builder().workers(2));
        let (_, events) = add(host, &agent, told_by_hand(&inbox.path));
        put(&inbox, &files);
        tell(&events, &files);
        // Nothing is told any more of what comes now.
        let report = host.block_on(agent.shutdown(LIMIT)).unwrap();
        expect(report, 100);
        assert_eq!(report.bytes_in, bytes_of(&files));
        assert_eq!(count_gz_among(&inbox, &files), 100);
    });
}

#[test]
fn at_the_deadline_what_is_not_begun_is_left() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(516, 50);
        // All of them would take 25 seconds, so that many are not begun however long this test is kept from going on.
        let agent = start(host, Agent::builder().workers(1).observer(slow(host, 500)));
        put(&inbox, &files);
        add(host, &agent, told_by_hand(&inbox.path));
        wait_until_known(host, &agent, 50);
        host.wait_until("one is done", || {
            host.block_on(agent.snapshot()).unwrap().report.compressed > 0
        });
        let limit = Duration::from_secs(1);
        let begun = host.now();
        let report = host.block_on(agent.shutdown(limit)).unwrap();
        let took = host.now() - begun;
        assert!((limit..limit + LIMIT / 6).contains(&took), "{took:?}");
        assert_eq!(report.compressed + report.left, 50, "{report}");
        assert!(report.compressed > 0 && report.left > 0, "{report}");
        assert_eq!(count_gz_among(&inbox, &files), report.compressed);
    });
}

#[test]
fn without_time_to_drain_only_what_is_done_is_done() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(517, 20);
        let agent = start(host, Agent::builder().workers(2).observer(slow(host, 50)));
        put(&inbox, &files);
        add(host, &agent, told_by_hand(&inbox.path));
        wait_until_known(host, &agent, 20);
        let report = host.block_on(agent.shutdown(Duration::ZERO)).unwrap();
        assert_eq!((report.compressed + report.left, report.failed), (20, 0), "{report}");
        assert_eq!(count_gz_among(&inbox, &files), report.compressed);
    });
}

#[test]
fn dropped_in_the_middle_of_a_file_it_gives_up_without_a_trace() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let mut files = small_arrivals(507, 10);
        files.push(large_file(507));
        let agent = Arc::new(Mutex::new(None));
        let dropped = Arc::clone(&agent);
        let witness = Witness::default().on_start(move |source| {
            if source.ends_with("large.csv") {
                drop::<Option<Agent>>(dropped.lock().unwrap().take());
            }
        });
        let builder = Agent::builder().workers(1).level(Level::new(9).unwrap());
        let started = start(host, builder.observer(Arc::clone(&witness) as _));
        // The first scan alone tells of these: of what is told besides nobody could say, once it is dropped, whether it is done.
        put(&inbox, &files[..10]);
        let (_, events) = add(host, &started, told_by_hand(&inbox.path));
        wait_for_gz(host, &inbox, &files[..10]);
        put(&inbox, &files[10..]);
        *agent.lock().unwrap() = Some(started);
        tell(&events, &files[10..]);
        host.wait_until("its tasks have ended", || Arc::strong_count(&witness) == 1);
        let report = witness.report().expect("the observer has the report");
        assert_eq!((report.compressed + report.left, report.failed), (11, 0), "{report}");
        assert_eq!(count_gz_among(&inbox, &files), report.compressed);
        // In the simulator a job is done at one stroke; elsewhere it takes seconds, and is told to stop.
        assert!(host.is_simulated() || is_whole_original(&inbox, &files[10]));
    });
}

#[test]
fn aborted_it_reports_what_is_left() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(508, 30);
        let witness = slow(host, 300);
        let agent = start(host, Agent::builder().workers(1).observer(Arc::clone(&witness) as _));
        put(&inbox, &files);
        add(host, &agent, told_by_hand(&inbox.path));
        wait_until_known(host, &agent, 30);
        host.wait_until("some are done", || witness.compressed().len() >= 3);
        let report = host.block_on(async {
            agent.abort().await.unwrap();
            agent.report().await.unwrap()
        });
        assert_eq!((report.compressed + report.left, report.failed), (30, 0), "{report}");
        assert!(report.compressed >= 3 && report.left > 0, "{report}");
        assert_eq!(count_gz_among(&inbox, &files), report.compressed);
    });
}

#[test]
fn a_runtime_that_ends_ends_the_agent() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let host = host.another();
        let agent = start(&host, Agent::builder());
        add(&host, &agent, quick(&inbox.path));
        host.end();
        assert!(matches!(block_on(agent.shutdown(LIMIT)), Err(AgentError::Ended)));
    });
}

#[test]
fn nothing_is_lost_when_the_runtime_is_dropped_half_way() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(518, 40);
        put(&inbox, &files);
        let first = host.another();
        let witness = slow(&first, 250);
        let agent = start(&first, Agent::builder().workers(2).observer(Arc::clone(&witness) as _));
        add(&first, &agent, told_by_hand(&inbox.path));
        first.wait_until("some are done", || witness.compressed().len() >= 5);
        first.end();
        assert!(matches!(block_on(agent.shutdown(LIMIT)), Err(AgentError::Ended)));
        host.wait_until("what was in flight has ended", || Arc::strong_count(&witness) == 1);
        let compressed = count_gz_among(&inbox, &files);
        assert!((5..40).contains(&compressed), "{compressed}");
        // The next one finds what was left.
        let agent = start(host, Agent::builder());
        add(host, &agent, told_by_hand(&inbox.path));
        let report = host.block_on(async {
            agent.end_when_done(LIMIT).await.unwrap();
            agent.report().await.unwrap()
        });
        expect(report, 40 - compressed);
        wait_for_gz(host, &inbox, &files);
    });
}

#[test]
fn it_may_be_driven_from_inside_another_runtime() {
    on_each_runtime(|host| {
        if host.is_simulated() {
            // Its clock stands still unless the simulator itself drives the future.
            return;
        }
        let inbox = Inbox::new();
        let files = arrivals(519, &["file.csv"]);
        put(&inbox, &files);
        let watch = told_by_hand(&inbox.path);
        let run = async {
            let agent = Agent::builder().runtime(host.runtime()).watch(watch).start().await?;
            agent.end_when_done(LIMIT).await?;
            agent.report().await
        };
        let outer = tokio::runtime::Builder::new_current_thread().build().unwrap();
        expect(outer.block_on(run).unwrap(), 1);
        wait_for_gz(host, &inbox, &files);
    });
}

#[test]
fn its_handle_may_be_used_by_several_threads_at_once() {
    on_each_runtime(|host| {
        if host.is_simulated() {
            return;
        }
        let inboxes: Vec<_> = (0..4).map(|_| Inbox::new()).collect();
        let files = small_arrivals(520, 10);
        let agent = start(host, Agent::builder().watcher(Arc::new(NotifyWatcher)));
        let calls = AtomicUsize::new(0);
        thread::scope(|scope| {
            for inbox in &inboxes {
                scope.spawn(|| {
                    let (watch, _) = block_on(agent.add_watch(quick(&inbox.path))).unwrap();
                    put(inbox, &files);
                    wait_for_gz(host, inbox, &files);
                    let pending = block_on(agent.snapshot()).unwrap().pending;
                    assert!(pending <= 40, "{pending}");
                    block_on(agent.remove_watch(watch)).unwrap();
                    calls.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(calls.into_inner(), 4);
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 40);
    });
}

/// A scan under way is in a watcher that takes its time.
#[test]
fn when_the_report_is_there_no_scan_is_under_way() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let scans = Arc::new(SlowScans {
            take_time: Box::new(host.takes_time(Duration::from_millis(200))),
            under_way: AtomicUsize::new(0),
        });
        let watcher = Arc::new(SlowWatcher(Arc::clone(&scans)));
        let agent = start(host, Agent::builder().watcher(watcher));
        add(host, &agent, quick(&inbox.path));
        if !host.is_simulated() {
            // There a scan is made at one stroke.
            host.wait_until("the scan has begun", || scans.under_way.load(Ordering::SeqCst) > 0);
        }
        expect(host.block_on(agent.shutdown(Duration::ZERO)).unwrap(), 0);
        assert_eq!(scans.under_way.load(Ordering::SeqCst), 0);
    });
}

struct SlowScans {
    take_time: Box<dyn Fn() + Send + Sync>,
    under_way: AtomicUsize,
}

struct SlowWatcher(Arc<SlowScans>);

impl Watcher for SlowWatcher {
    fn watch(&self, _: &Path, _: Events) -> io::Result<Box<dyn FolderWatcher>> {
        Ok(Box::new(SlowWatcher(Arc::clone(&self.0))))
    }
}

impl FolderWatcher for SlowWatcher {
    fn add(&mut self, _: &Path) -> io::Result<()> {
        self.0.under_way.fetch_add(1, Ordering::SeqCst);
        (self.0.take_time)();
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Each file takes at least so long.
fn slow(host: &Host, milliseconds: u64) -> Arc<Witness> {
    let take_time = host.takes_time(Duration::from_millis(milliseconds));
    Witness::default().on_start(move |_| take_time())
}

fn wait_until_known(host: &Host, agent: &Agent, files: usize) {
    host.wait_until("all files are known", || {
        let snapshot = host.block_on(agent.snapshot()).unwrap();
        snapshot.pending as u64 + snapshot.report.compressed >= files as u64
    });
}

/// One file that a worker needs seconds for.
fn large_file(seed: u64) -> Arrival {
    let data = &mut Data::from_seed(seed);
    let mut file = Arrival::new(data, "large.csv");
    file.original.content = data.tedious_text(4_000_000);
    file
}
