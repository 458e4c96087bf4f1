use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dwindle::{Agent, Level, NotifyWatcher, OnConflict, Preset, Watch};

use super::{
    LIMIT, NEVER, Witness, add, arrivals, bytes_of, expect, put, quick, small_arrivals, start, tell, told_by_hand,
    wait_for_gz, wait_for_gz_beside,
};
use crate::support::gz::read_with_flate2;
use crate::support::host::on_each_runtime;
use crate::support::{Inbox, names_below};

#[test]
fn with_the_kernels_events_it_takes_what_is_there_and_what_comes() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = arrivals(500, &["before.csv", "sub/before.csv", "after.csv", "new/sub/after.csv"]);
        put(&inbox, &files[..2]);
        let agent = start(host, Agent::builder().watcher(Arc::new(NotifyWatcher)));
        add(host, &agent, quick(&inbox.path));
        wait_for_gz(host, &inbox, &files[..2]);
        put(&inbox, &files[2..]);
        wait_for_gz(host, &inbox, &files);
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 4);
    });
}

#[test]
fn without_a_watcher_it_looks_at_intervals() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = arrivals(501, &["before.csv", "after.csv", "new/sub/after.csv"]);
        put(&inbox, &files[..1]);
        let agent = start(host, Agent::builder());
        let watch = quick(&inbox.path).with_poll_interval(Duration::from_millis(100));
        add(host, &agent, watch);
        wait_for_gz(host, &inbox, &files[..1]);
        put(&inbox, &files[1..]);
        wait_for_gz(host, &inbox, &files);
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 3);
    });
}

#[test]
fn events_may_be_told_by_hand() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = arrivals(502, &["first.csv", "sub/file.csv", "found.csv"]);
        fs::write(inbox.outside.join("secret"), "not below the folder").unwrap();
        let agent = start(host, Agent::builder());
        let (_, events) = add(host, &agent, told_by_hand(&inbox.path));

        put(&inbox, &files[..1]);
        // What lies elsewhere, or is nothing, is not looked at.
        for path in ["../outside/secret", "/etc/hostname", "", ".", "missing", "missing/too"] {
            events.file(Path::new(path));
            events.folder(Path::new(path));
        }
        events.file(Path::new("first.csv"));
        wait_for_gz(host, &inbox, &files[..1]);
        put(&inbox, &files[1..2]);
        events.folder(Path::new("sub"));
        wait_for_gz(host, &inbox, &files[..2]);
        put(&inbox, &files[2..]);
        events.lost();
        wait_for_gz(host, &inbox, &files);

        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 3);
        assert!(inbox.outside.join("secret").exists());
        // Nobody listens any more, and that is no error.
        events.file(Path::new("first.csv"));
        events.lost();
    });
}

#[test]
fn an_output_goes_with_its_original_when_that_is_told_of_by_hand() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = arrivals(510, &["page.html", "sub/page.html", "stays.html"]);
        put(&inbox, &files);
        let agent = start(host, Agent::builder());
        let watch = Watch::new(&inbox.path, Preset::StaticAssets)
            .with_settle(Duration::ZERO)
            .with_poll_interval(NEVER);
        let (_, events) = add(host, &agent, watch);
        let with_gz = |paths: &[&'static str]| {
            let gz = paths.iter().map(|path| format!("{path}.gz"));
            let mut names: Vec<String> = gz.chain(paths.iter().map(|path| (*path).to_owned())).collect();
            names.push("sub/".to_owned());
            names.sort();
            names
        };
        // Told as well, not only there: what happens to an original before that is another matter.
        let wait_for = |paths: &[&'static str], compressed: u64| {
            let expected = with_gz(paths);
            host.wait_until(&format!("there are {expected:?}"), || {
                let told = host.block_on(agent.snapshot()).unwrap().report.compressed;
                names_below(&inbox.path) == expected && told == compressed
            });
        };
        wait_for(&["page.html", "stays.html", "sub/page.html"], 3);

        fs::remove_file(inbox.path.join("page.html")).unwrap();
        fs::rename(inbox.path.join("sub/page.html"), inbox.outside.join("moved.html")).unwrap();
        // What is still there, lies elsewhere or is nothing loses nothing.
        for path in [
            "stays.html",
            "../outside/moved.html",
            "/etc/hostname",
            "",
            ".",
            "missing.html",
            "sub",
        ] {
            events.gone(Path::new(path));
        }
        events.gone(Path::new("page.html"));
        events.gone(Path::new("sub/page.html"));
        wait_for(&["stays.html"], 3);
        // An output that goes while its original stays is made anew.
        fs::remove_file(inbox.path.join("stays.html.gz")).unwrap();
        events.gone(Path::new("stays.html.gz"));
        wait_for(&["stays.html"], 4);

        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 4);
        // Nobody listens any more, and that is no error.
        events.gone(Path::new("stays.html"));
    });
}

#[test]
fn a_tiny_inbox_and_a_tiny_table_lose_nothing() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(503, 200);
        let builder = Agent::builder().inbox(1).files(16).workers(2);
        let agent = start(host, builder.watcher(Arc::new(NotifyWatcher)));
        let watch = quick(&inbox.path)
            .with_durable(false)
            .with_level(Level::new(1).unwrap());
        add(host, &agent, watch);
        put(&inbox, &files);
        wait_for_gz(host, &inbox, &files);
        expect(host.block_on(agent.shutdown(LIMIT)).unwrap(), 200);
    });
}

#[test]
fn every_file_is_accounted_for_exactly_once() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = small_arrivals(513, 60);
        put(&inbox, &files);
        fs::write(inbox.path.join("cursed"), "its job panics").unwrap();
        fs::write(inbox.path.join("empty"), "").unwrap();
        fs::write(inbox.path.join("packed"), b"\x1f\x8b\x08 is compressed already").unwrap();
        let witness = Witness::default().on_start(|source| {
            if source.ends_with("cursed") {
                // Past the panic hook, which would print.
                std::panic::resume_unwind(Box::new("on purpose"));
            }
        });
        let agent = start(host, Agent::builder().workers(3).observer(Arc::clone(&witness) as _));
        let (_, events) = add(host, &agent, told_by_hand(&inbox.path));
        // All of them are told of, some several times, while the first scan finds them, too.
        for _ in 0..3 {
            tell(&events, &files);
            events.lost();
        }
        let others = ["cursed", "empty", "packed"];
        wait_for_gz_beside(host, &inbox, &files, &others);
        let report = host.block_on(agent.shutdown(LIMIT)).unwrap();
        let counts = (report.compressed, report.skipped, report.failed, report.left);
        assert_eq!(counts, (60, 2, 1, 0));
        assert_eq!(report.bytes_in, bytes_of(&files));

        let compressed = witness.compressed();
        let names: BTreeSet<_> = files.iter().map(|file| PathBuf::from(&file.original.name)).collect();
        assert_eq!((compressed.len(), compressed.into_iter().collect()), (60, names));
        let skipped: BTreeSet<_> = witness.skipped.lock().unwrap().iter().cloned().collect();
        assert_eq!(skipped, BTreeSet::from(["empty".into(), "packed".into()]));
        assert!(
            witness
                .failed()
                .iter()
                .all(|failure| failure.path == Path::new("cursed"))
        );
        assert_eq!(witness.report(), Some(report));
    });
}

#[test]
fn an_observer_hears_of_every_byte_and_every_file() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = arrivals(509, &["first.csv", "sub/second.csv"]);
        put(&inbox, &files);
        fs::write(inbox.path.join("empty"), "").unwrap();
        let witness = Witness::new();
        let agent = start(host, Agent::builder().observer(Arc::clone(&witness) as _));
        add(host, &agent, quick(&inbox.path));
        wait_for_gz_beside(host, &inbox, &files, &["empty"]);
        let report = host.block_on(agent.shutdown(LIMIT)).unwrap();
        assert_eq!((report.compressed, report.skipped), (2, 1));
        assert_eq!(report.bytes_in, bytes_of(&files));
        assert_eq!(witness.progress.load(Ordering::Relaxed), report.bytes_in);
        assert_eq!(
            witness.compressed(),
            [PathBuf::from("first.csv"), "sub/second.csv".into()]
        );
        assert_eq!(witness.report(), Some(report));
    });
}

#[test]
fn the_rules_of_a_watch_hold() {
    on_each_runtime(|host| {
        let inbox = Inbox::new();
        let files = arrivals(510, &["file.csv"]);
        put(&inbox, &files);
        put(&inbox, &arrivals(511, &["file.txt", "sub/file.csv"]));
        fs::create_dir(inbox.outside.join("gz")).unwrap();
        fs::write(inbox.outside.join("gz/file.csv.gz"), "in the way").unwrap();
        let watch = told_by_hand(&inbox.path)
            .with_recursive(false)
            .with_include(["*.csv"])
            .with_keep_original(true)
            .with_output_dir(inbox.outside.join("gz"))
            .with_on_conflict(OnConflict::Replace);
        // The folder may as well be given before the start.
        let agent = start(host, Agent::builder().watch(watch));
        host.block_on(async {
            agent.end_when_done(LIMIT).await.unwrap();
            expect(agent.report().await.unwrap(), 1);
        });
        assert_eq!(
            names_below(&inbox.path),
            ["file.csv", "file.txt", "sub/", "sub/file.csv"]
        );
        assert_eq!(names_below(&inbox.outside.join("gz")), ["file.csv.gz"]);
        let member = read_with_flate2(&inbox.outside.join("gz/file.csv.gz"));
        assert_eq!(member.content, files[0].original.content);
    });
}
