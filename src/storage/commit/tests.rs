//! Commits in a folder of their own, with things done to the file at an exact moment: from the `progress` callback.

mod conflicts;
mod done;
mod follow;
mod give_up;
mod leases;
mod recovery;
mod retirement;
#[cfg(feature = "zstd")]
mod zstd;

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::SystemTime;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::*;
use crate::codec::Alone;
use crate::model::Class;
use crate::policy::{WriterCheck, quarantined_original};
use crate::storage::{Advanced, Done, Look, Place, Rest, Rules, Syncs, look, select_everything};

const BLOCK: usize = 256 * 1024;

/// A folder, how commits in it are planned, and what shall happen during one.
struct Scene {
    base: tempfile::TempDir,
    level: Level,
    keep_original: bool,
    renew: Renew,
    on_conflict: OnConflict,
    durable: bool,
    /// Originals go to the folder `done`.
    moves: bool,
}

impl Scene {
    fn new() -> Self {
        Scene {
            base: tempfile::tempdir().unwrap(),
            level: Level::default(),
            keep_original: false,
            renew: Renew::None,
            on_conflict: OnConflict::Number,
            durable: true,
            moves: false,
        }
    }

    /// One whose originals go to the folder `done`, which is there.
    fn with_done() -> Self {
        let scene = Scene {
            moves: true,
            ..Scene::new()
        };
        fs::create_dir(scene.path("done")).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// A sound member of these bytes under this name.
    fn write_gzip(&self, name: &str, bytes: &[u8]) {
        self.write_packed(name, bytes, Level::default());
    }

    fn write_packed(&self, name: &str, bytes: &[u8], level: Level) {
        let mut output = Vec::new();
        codec::compress(bytes, &mut output, &Header::default(), level, &Alone, |_| {
            Ok::<_, ()>(())
        })
        .unwrap();
        self.write(name, &output);
    }

    fn plan(&self) -> Plan {
        Plan {
            level: self.level,
            keep_original: self.keep_original,
            renew: self.renew,
            on_conflict: self.on_conflict,
            durable: self.durable,
            hold: Duration::ZERO,
        }
    }

    /// Calls with where an output and an original go.
    fn with_places<T>(&self, act: impl FnOnce(Places<'_>) -> T) -> T {
        if !self.moves {
            return act(Places::BESIDE);
        }
        let output = Arc::new(Folder::open(&self.path("done")).unwrap());
        let source = self.folder();
        let done = Place::Tree {
            output: &output,
            source: &source,
            relative: Path::new(""),
        };
        act(Places {
            output: Place::Beside,
            done: Some(done),
        })
    }

    fn folder(&self) -> Arc<Folder> {
        Arc::new(Folder::open(self.base.path()).unwrap())
    }

    fn candidate(&self, name: impl AsRef<OsStr>) -> Candidate {
        candidate_in(&self.folder(), name.as_ref())
    }

    fn commit(&self, name: impl AsRef<OsStr>) -> Result<Done, Error> {
        self.commit_while(name, |_| ())
    }

    /// Commits, and does `meanwhile` once the first block has been read.
    fn commit_while(&self, name: impl AsRef<OsStr>, meanwhile: impl FnOnce(&Scene)) -> Result<Done, Error> {
        let mut meanwhile = Some(meanwhile);
        let committed = self.with_places(|places| {
            commit(
                self.candidate(name),
                &self.folder(),
                places,
                self.plan(),
                Caller {
                    helpers: &Alone,
                    cancel: &|| false,
                    progress: &mut |_| {
                        if let Some(act) = meanwhile.take() {
                            act(self);
                        }
                    },
                    warn: &mut |warning| panic!("{warning}"),
                },
            )
        });
        finish(committed?)
    }

    /// Steps 1 to 8 of `F`.
    fn publish(&self) -> Rest {
        let candidate = self.candidate("F");
        let committed = self.with_places(|places| {
            commit(
                candidate,
                &self.folder(),
                places,
                self.plan(),
                Caller {
                    helpers: &Alone,
                    cancel: &|| false,
                    progress: &mut |_| (),
                    warn: &mut |_| (),
                },
            )
        });
        published(committed.unwrap())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.base.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The one name of an original in quarantine.
    fn quarantined(&self) -> String {
        let mut names = self.names();
        names.retain(|name| quarantined_original(OsStr::new(name)).is_some());
        assert_eq!(names.len(), 1, "{names:?}");
        names.remove(0)
    }

    fn unpacked(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let file = File::open(self.base.path().join(name)).unwrap();
        flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
        bytes
    }
}

/// Steps 6 to 8, after which the original is in quarantine.
fn published(committed: Advanced) -> Rest {
    later(next(later(committed), false))
}

fn next(rest: Rest, cancelled: bool) -> Advanced {
    rest.advance(&mut Syncs::default(), &|| cancelled, &mut |_| ()).unwrap()
}

fn later(advanced: Advanced) -> Rest {
    match advanced {
        Advanced::Later(rest, _) => rest,
        Advanced::Done(done) => panic!("nothing is left to do: {done:?}"),
    }
}

/// What is left of a commit, without its waits.
fn finish(committed: Advanced) -> Result<Done, Error> {
    end(committed, &|| false, &mut |warning| panic!("{warning}"))
}

fn end(mut advanced: Advanced, cancel: &dyn Fn() -> bool, warn: &mut dyn FnMut(String)) -> Result<Done, Error> {
    loop {
        match advanced {
            Advanced::Done(done) => return Ok(done),
            Advanced::Later(rest, _) => advanced = rest.advance(&mut Syncs::default(), cancel, warn)?,
        }
    }
}

fn retire(rest: Rest, warn: &mut dyn FnMut(String)) -> Result<Done, Error> {
    end(rest.advance(&mut Syncs::default(), &|| false, warn)?, &|| false, warn)
}

/// Without a lease, or this thread would wait for itself when it writes to the file.
fn candidate_in(folder: &Folder, name: &OsStr) -> Candidate {
    let rules = Rules {
        select: select_everything(),
        settle: Duration::ZERO,
        writer_check: WriterCheck::Quiet,
        siblings: Arc::default(),
    };
    match look(folder, name, &rules, SystemTime::now()) {
        Ok(Look::Ready(candidate)) => candidate,
        other => panic!("{}: {other:?}", name.display()),
    }
}

fn text(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 64);
    for line in 0u64.. {
        if bytes.len() >= length {
            break;
        }
        writeln!(
            bytes,
            "{line} GET /index.html {:x}",
            line.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        )
        .unwrap();
    }
    bytes.truncate(length);
    bytes
}

fn is_compressed(done: &Done) -> bool {
    matches!(done, Done::Compressed { .. })
}

#[test]
fn a_file_becomes_its_gzip() {
    for length in [1, 1000, BLOCK, 3 * BLOCK + 17] {
        let scene = Scene::new();
        let bytes = text(length);
        scene.write("app.log", &bytes);
        let done = scene.commit("app.log").unwrap();
        assert_eq!(scene.names(), ["app.log.gz"]);
        assert_eq!(
            done,
            Done::Compressed {
                output: scene.path("app.log.gz"),
                bytes_in: length as u64,
                bytes_out: fs::metadata(scene.path("app.log.gz")).unwrap().len(),
            }
        );
        assert_eq!(scene.unpacked("app.log.gz"), bytes);
    }
}

#[test]
fn output_has_mode_and_mtime_of_the_original() {
    let scene = Scene::new();
    scene.write("F", b"text");
    fs::set_permissions(scene.path("F"), Permissions::from_mode(0o4750)).unwrap();
    let modified = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 5000);
    File::options()
        .write(true)
        .open(scene.path("F"))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    assert!(is_compressed(&scene.commit("F").unwrap()));
    let output = fs::metadata(scene.path("F.gz")).unwrap();
    assert_eq!(output.mode() & 0o7777, 0o750);
    assert_eq!(output.modified().unwrap(), modified);
    let member = fs::read(scene.path("F.gz")).unwrap();
    assert_eq!(member[4..8], 1_234_567_890u32.to_le_bytes());
}

#[test]
fn a_time_that_32_bits_cannot_hold_is_left_out_of_the_header() {
    let scene = Scene::new();
    scene.write("F", b"text");
    let file = File::options().write(true).open(scene.path("F")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH - Duration::from_secs(100))
        .unwrap();
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(fs::read(scene.path("F.gz")).unwrap()[4..8], [0; 4]);
}

#[test]
fn a_sparse_file_comes_back_whole() {
    let scene = Scene::new();
    let file = File::create(scene.path("sparse")).unwrap();
    file.set_len(5_000_000).unwrap();
    file.write_all_at(b"here", 4_000_000).unwrap();
    let bytes = fs::read(scene.path("sparse")).unwrap();
    assert!(is_compressed(&scene.commit("sparse").unwrap()));
    assert!(scene.unpacked("sparse.gz") == bytes);
}

#[test]
fn names_are_bytes_and_may_be_235_long() {
    for name in [&b"new\nline"[..], b"\xff\xfe", b"-rf", b" ", &[b'n'; 235]] {
        let scene = Scene::new();
        let name = OsStr::from_bytes(name);
        fs::write(scene.base.path().join(name), "text").unwrap();
        assert!(is_compressed(&scene.commit(name).unwrap()));
        let mut output = name.to_owned();
        output.push(".gz");
        assert_eq!(scene.unpacked(&output), b"text");
        assert_eq!(scene.names().len(), 1);
    }
    for length in [236, 252, 253, 255] {
        let scene = Scene::new();
        let name = "n".repeat(length);
        scene.write(&name, b"text");
        assert_eq!(scene.commit(&name).unwrap(), Done::Pass(Reason::NameTooLong));
        assert_eq!(scene.names(), [name]);
    }
}

#[test]
fn a_file_touched_meanwhile_is_left_to_its_writer() {
    type Touch = (&'static str, fn(&Scene), Done);
    let touches: [Touch; 8] = [
        ("appended", |scene| append(scene, b"more"), Done::Changed),
        ("emptied", |scene| scene.write("F", b""), Done::Changed),
        (
            "cut",
            |scene| open(scene).set_len(BLOCK as u64 + 1).unwrap(),
            Done::Changed,
        ),
        (
            "overwritten with mtime put back",
            |scene| {
                let file = open(scene);
                let modified = file.metadata().unwrap().modified().unwrap();
                file.write_all_at(b"other", 0).unwrap();
                file.set_modified(modified).unwrap();
            },
            Done::Changed,
        ),
        (
            "replaced by rename",
            |scene| {
                scene.write("new", b"new");
                fs::rename(scene.path("new"), scene.path("F")).unwrap();
            },
            Done::Changed,
        ),
        (
            "linked",
            |scene| fs::hard_link(scene.path("F"), scene.path("second")).unwrap(),
            Done::Changed,
        ),
        ("deleted", |scene| fs::remove_file(scene.path("F")).unwrap(), Done::Gone),
        (
            "renamed",
            |scene| fs::rename(scene.path("F"), scene.path("second")).unwrap(),
            Done::Gone,
        ),
    ];
    for (how, touch, expected) in touches {
        let scene = Scene::new();
        scene.write("F", &text(3 * BLOCK));
        let mut after = Vec::new();
        let done = scene.commit_while("F", |scene| {
            touch(scene);
            after = scene.names();
        });
        assert_eq!(done.unwrap(), expected, "{how}");
        assert_eq!(scene.names(), after, "{how}");
    }
}

fn open(scene: &Scene) -> File {
    File::options().write(true).open(scene.path("F")).unwrap()
}

fn append(scene: &Scene, bytes: &[u8]) {
    let mut file = File::options().append(true).open(scene.path("F")).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn garbage_from_the_engine_is_refused() {
    let scene = Scene::new();
    let bytes = text(1000);
    scene.write("F", &bytes);
    let folder = scene.folder();
    let mut commit = Commit {
        original: Original {
            candidate: scene.candidate("F"),
            parent: Arc::clone(&folder),
            plan: scene.plan(),
            done: None,
        },
        caller: Caller {
            helpers: &Alone,
            cancel: &|| false,
            progress: &mut |_| (),
            warn: &mut |_| (),
        },
    };
    let temp = Temp::create(&folder, OsStr::new("F")).unwrap();
    let packed = commit.compress(&temp, &folder).unwrap();
    commit.verify(&temp, &packed, &folder).unwrap();
    temp.file().write_all_at(b"garbage", 100).unwrap();
    let Err(Stopped::Failed(error)) = commit.verify(&temp, &packed, &folder) else {
        panic!("garbage passed");
    };
    assert_eq!(error.step(), Step::Verify);
    drop(temp);
    assert_eq!(scene.names(), ["F"]);
}

#[test]
fn cancelled_at_any_block_nothing_is_left_behind() {
    let scene = Scene::new();
    scene.write("F", &text(3 * BLOCK));
    for allowed in 0.. {
        let asked = Cell::new(0);
        let cancel = || {
            asked.set(asked.get() + 1);
            asked.get() > allowed
        };
        let committed = commit(
            scene.candidate("F"),
            &scene.folder(),
            Places::BESIDE,
            scene.plan(),
            Caller {
                helpers: &Alone,
                cancel: &cancel,
                progress: &mut |_| (),
                warn: &mut |_| (),
            },
        );
        let done = end(committed.unwrap(), &cancel, &mut |_| ()).unwrap();
        if is_compressed(&done) {
            assert!(allowed > 6, "asked only {allowed} times");
            break;
        }
        assert_eq!(done, Done::Cancelled);
        assert_eq!(scene.names(), ["F"]);
    }
}

#[test]
fn kept_originals_are_compressed_once_and_again_when_they_change() {
    let mut scene = Scene::new();
    scene.keep_original = true;
    scene.on_conflict = OnConflict::Replace;
    scene.write("F", b"text");
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(scene.names(), ["F", "F.gz"]);
    assert_eq!(scene.commit("F").unwrap(), Done::Pass(Reason::UpToDate));
    scene.write("F", b"next");
    let later = SystemTime::now() + Duration::from_secs(10);
    open(&scene).set_modified(later).unwrap();
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(scene.unpacked("F.gz"), b"next");
    assert_eq!(scene.commit("F").unwrap(), Done::Pass(Reason::UpToDate));
    assert_eq!(scene.names(), ["F", "F.gz"]);
}

#[test]
fn a_kept_original_with_the_same_content_but_another_time_is_up_to_date() {
    let mut scene = Scene::new();
    scene.keep_original = true;
    scene.write("F", b"text");
    scene.write_gzip("F.gz", b"text");
    open(&scene).set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(scene.commit("F").unwrap(), Done::Pass(Reason::UpToDate));
    assert_eq!(scene.names(), ["F", "F.gz"]);
}

#[test]
fn an_output_tree_mirrors_the_source() {
    let scene = Scene::new();
    fs::create_dir_all(scene.path("in/a/b")).unwrap();
    fs::create_dir(scene.path("out")).unwrap();
    scene.write("in/a/b/F", b"text");
    let source = Folder::open(&scene.path("in")).unwrap();
    let output = Arc::new(Folder::open(&scene.path("out")).unwrap());
    let relative = Path::new("a/b");
    let parent = Arc::new(source.folder(relative).unwrap());
    let places = Places {
        output: Place::Tree {
            output: &output,
            source: &source,
            relative,
        },
        done: None,
    };
    let candidate = candidate_in(&parent, OsStr::new("F"));
    let committed = commit(
        candidate,
        &parent,
        places,
        scene.plan(),
        Caller {
            helpers: &Alone,
            cancel: &|| false,
            progress: &mut |_| (),
            warn: &mut |_| (),
        },
    );
    assert!(is_compressed(&finish(committed.unwrap()).unwrap()));
    assert_eq!(scene.unpacked("out/a/b/F.gz"), b"text");
    assert!(!scene.path("in/a/b/F").exists());
}

#[test]
fn an_unwritable_output_folder_is_a_permanent_failure_and_the_original_stays() {
    if rustix::process::geteuid().is_root() {
        return eprintln!("skipped: root may write everywhere");
    }
    let scene = Scene::new();
    scene.write("F", b"text");
    fs::set_permissions(scene.base.path(), Permissions::from_mode(0o555)).unwrap();
    let error = scene.commit("F").unwrap_err();
    fs::set_permissions(scene.base.path(), Permissions::from_mode(0o755)).unwrap();
    assert_eq!((error.step(), error.class()), (Step::Create, Class::Permanent));
    assert_eq!(scene.names(), ["F"]);
}

#[test]
fn a_full_disk_is_a_transient_failure_and_the_original_stays() {
    let scene = Scene::new();
    fs::create_dir(scene.path("small")).unwrap();
    if mount("tmpfs", scene.path("small"), "tmpfs", MountFlags::empty(), c"size=1m").is_err() {
        return eprintln!("skipped: a tmpfs cannot be mounted here");
    }
    let mut noise = vec![0; 700_000];
    File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    scene.write("small/F", &noise);
    let result = {
        let folder = Arc::new(Folder::open(&scene.path("small")).unwrap());
        let candidate = candidate_in(&folder, OsStr::new("F"));
        commit(
            candidate,
            &folder,
            Places::BESIDE,
            scene.plan(),
            Caller {
                helpers: &Alone,
                cancel: &|| false,
                progress: &mut |_| (),
                warn: &mut |_| (),
            },
        )
    };
    let names: Vec<_> = fs::read_dir(scene.path("small"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    unmount(scene.path("small"), UnmountFlags::DETACH).unwrap();
    let error = result.unwrap_err();
    assert_eq!((error.step(), error.class()), (Step::Write, Class::Transient));
    assert_eq!(names, ["F"]);
}
