//! Writers, as the kernel tells of them.

use std::os::unix::fs::OpenOptionsExt;
use std::thread;

use super::*;

fn look_at(scene: &Scene) -> Look {
    let rules = Rules {
        select: select_everything(),
        settle: Duration::ZERO,
        writer_check: WriterCheck::Lease,
        siblings: Arc::default(),
    };
    look(&scene.folder(), OsStr::new("F"), &rules, SystemTime::now()).unwrap()
}

fn leased(scene: &Scene) -> Candidate {
    match look_at(scene) {
        Look::Ready(candidate) => candidate,
        other => panic!("{other:?}"),
    }
}

fn commit_leased(scene: &Scene, meanwhile: impl FnOnce()) -> Advanced {
    let mut meanwhile = Some(meanwhile);
    let act = &mut |_| {
        if let Some(act) = meanwhile.take() {
            act();
        }
    };
    commit(
        leased(scene),
        &scene.folder(),
        Places::BESIDE,
        scene.plan(),
        Caller {
            helpers: &Alone,
            cancel: &|| false,
            progress: act,
            warn: &mut |_| (),
        },
    )
    .unwrap()
}

/// Comes, is told that it would have to wait, and goes.
fn knock(path: &Path) {
    let refused = File::options().append(true).custom_flags(libc::O_NONBLOCK).open(path);
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_file_that_is_open_for_writing_is_not_ready_and_is_when_it_is_closed() {
    let scene = Scene::new();
    scene.write("F", b"text");
    let writer = open(&scene);
    assert!(matches!(look_at(&scene), Look::InUse));
    drop(writer);
    assert!(is_compressed(&finish(commit_leased(&scene, || ())).unwrap()));
    assert_eq!(scene.names(), ["F.gz"]);
}

#[test]
fn a_writer_that_comes_while_the_file_is_read_is_noticed() {
    let scene = Scene::new();
    scene.write("F", &text(3 * BLOCK));
    let committed = commit_leased(&scene, || knock(&scene.path("F")));
    assert!(matches!(committed, Advanced::Done(Done::Changed)), "{committed:?}");
    assert_eq!(scene.names(), ["F"]);
    // Nothing is held any more.
    open(&scene);
}

#[test]
fn a_writer_that_comes_to_the_quarantine_gets_the_file_back() {
    let scene = Scene::new();
    scene.write("F", b"text");
    let retiring = published(commit_leased(&scene, || ()));
    let quarantined = scene.quarantined();
    let path = scene.path(&quarantined);
    thread::scope(|scope| {
        knock(&path);
        // As one that had looked the name up just before: it waits until the lease ends.
        let writer = scope.spawn(|| File::options().append(true).open(&path).unwrap().write_all(b" more"));
        assert_eq!(retire(retiring, &mut |_| ()).unwrap(), Done::Changed);
        // Whether it came before or after the file got its name back.
        if writer.join().is_ok() {
            assert_eq!(fs::read(scene.path("F")).unwrap(), b"text more");
        }
    });
    assert_eq!(scene.names(), ["F"]);
}

#[test]
fn a_writer_of_an_original_that_stays_does_not_wait_for_the_disk() {
    let mut scene = Scene::new();
    scene.keep_original = true;
    scene.write("F", b"text");
    let keeping = published(commit_leased(&scene, || ()));
    assert_eq!(scene.names(), ["F", "F.gz"]);
    let writer = File::options()
        .append(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(scene.path("F"));
    writer.unwrap().write_all(b" more").unwrap();
    assert_eq!(retire(keeping, &mut |_| ()).unwrap(), Done::Changed);
    assert_eq!(scene.names(), ["F"]);
}

#[test]
fn a_late_writer_is_waited_for() {
    let scene = Scene::new();
    scene.write("F", b"text");
    let retiring = published(commit_leased(&scene, || ()));
    let removed = later(next(retiring, false));
    // The file has no name any more, but this process still has it open: so has a writer that came in the last moment.
    let (through_proc, _) = removed_original(&scene);
    let saved = thread::scope(|scope| {
        let came = Arc::new(std::sync::Barrier::new(2));
        let writer = scope.spawn({
            let came = Arc::clone(&came);
            move || {
                let mut writer = File::options().append(true).open(through_proc).unwrap();
                came.wait();
                writer.write_all(b" more").unwrap();
            }
        });
        // It waits for the lease.
        let mut retiring = removed;
        while lease_is_held(&scene) {
            thread::yield_now();
        }
        let mut turns = 0;
        loop {
            retiring = match next(retiring, false) {
                Advanced::Later(rest, _) => rest,
                Advanced::Done(done) => break is_compressed(&done),
            };
            turns += 1;
            if turns == 1 {
                came.wait();
            }
            thread::yield_now();
        }
        .then(|| writer.join().unwrap())
    });
    assert!(saved.is_some());
    assert_eq!(scene.names(), ["F.dwindle-rescued-1", "F.gz"]);
    assert_eq!(fs::read(scene.path("F.dwindle-rescued-1")).unwrap(), b" more");
}

#[test]
fn a_late_writer_that_is_just_coming_in_is_waited_for_once_when_all_is_given_up() {
    let scene = Scene::new();
    scene.write("F", b"text");
    let retiring = published(commit_leased(&scene, || ()));
    let removed = later(next(retiring, true));
    let (through_proc, _) = removed_original(&scene);
    knock(&through_proc);
    let removed = later(next(removed, true));
    // This one stays, and is not waited for again.
    let mut writer = File::options().append(true).open(through_proc).unwrap();
    writer.write_all(b" more").unwrap();
    assert!(matches!(next(removed, true), Advanced::Done(done) if is_compressed(&done)));
    assert_eq!(fs::read(scene.path("F.dwindle-rescued-1")).unwrap(), b" more");
}

/// The original that has no name any more, as this process has it open: its path below `/proc`, and its inode.
fn removed_original(scene: &Scene) -> (PathBuf, u64) {
    let found = fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let target = fs::read_link(&path).ok()?;
        let is_it = target.starts_with(scene.base.path()) && target.to_string_lossy().ends_with(".q (deleted)");
        is_it.then(|| (fs::metadata(&path).unwrap().ino(), path))
    });
    let (inode, path) = found.expect("the original is open");
    (path, inode)
}

/// Whether this process's lease on the removed file is unbroken: the kernel lists all (`proc_locks(5)`).
fn lease_is_held(scene: &Scene) -> bool {
    let (_, inode) = removed_original(scene);
    let inode = format!(":{inode} ");
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let lease = locks
        .lines()
        .find(|line| line.contains("LEASE") && line.contains(&inode));
    lease.is_some_and(|line| line.contains("ACTIVE"))
}
