//! Files that could not be compressed go to their folder, with the reason beside them.

use std::thread;

use super::*;
use crate::model::Fingerprint;
use crate::storage::GiveUp;

const REASON: &str = "error: cannot read it\n";

fn scene() -> Scene {
    let scene = Scene::new();
    fs::create_dir(scene.path("failed")).unwrap();
    scene.write("F", b"text");
    scene
}

/// Gives `F` up, whose status is taken before `meanwhile`.
fn give_up(scene: &Scene, meanwhile: impl FnOnce()) -> Result<Option<PathBuf>, Error> {
    give_up_after(scene, Duration::ZERO, meanwhile)
}

fn give_up_after(scene: &Scene, settle: Duration, meanwhile: impl FnOnce()) -> Result<Option<PathBuf>, Error> {
    let seen = seen(scene);
    meanwhile();
    give_up_seen(scene, seen, settle)
}

fn seen(scene: &Scene) -> Fingerprint {
    scene.folder().status(OsStr::new("F")).unwrap().unwrap().fingerprint
}

fn give_up_seen(scene: &Scene, seen: Fingerprint, settle: Duration) -> Result<Option<PathBuf>, Error> {
    let parent = scene.folder();
    let output = Arc::new(Folder::open(&scene.path("failed")).unwrap());
    let give_up = GiveUp {
        parent: &parent,
        name: OsStr::new("F"),
        seen,
        settle,
        writer_check: WriterCheck::Lease,
        place: Place::Tree {
            output: &output,
            source: &parent,
            relative: Path::new(""),
        },
        durable: true,
    };
    give_up.run(REASON, &mut |warning| panic!("{warning}"))
}

fn names(scene: &Scene) -> Vec<String> {
    let entries = fs::read_dir(scene.path("failed")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_file_is_moved_as_it_is_with_the_reason_beside_it() {
    let scene = scene();
    fs::set_permissions(scene.path("F"), Permissions::from_mode(0o750)).unwrap();
    let before = fs::metadata(scene.path("F")).unwrap();
    assert_eq!(give_up(&scene, || ()).unwrap(), Some(scene.path("failed/F")));
    assert_eq!(scene.names(), ["failed"]);
    assert_eq!(names(&scene), ["F", "F.reason"]);
    let after = fs::metadata(scene.path("failed/F")).unwrap();
    assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
    assert_eq!(fs::read_to_string(scene.path("failed/F.reason")).unwrap(), REASON);
    let reason = fs::metadata(scene.path("failed/F.reason")).unwrap();
    assert_eq!((reason.mode() & 0o7777, reason.uid()), (0o640, before.uid()));
}

#[test]
fn both_get_the_number_of_which_both_names_are_free() {
    let scene = scene();
    scene.write("failed/F", b"first");
    scene.write("failed/F.~1~.reason", b"of another");
    fs::create_dir(scene.path("failed/F.~2~")).unwrap();
    assert_eq!(give_up(&scene, || ()).unwrap(), Some(scene.path("failed/F.~3~")));
    assert_eq!(names(&scene), ["F", "F.~1~.reason", "F.~2~", "F.~3~", "F.~3~.reason"]);
    assert_eq!(fs::read(scene.path("failed/F")).unwrap(), b"first");
    assert_eq!(fs::read(scene.path("failed/F.~1~.reason")).unwrap(), b"of another");
}

#[test]
fn a_file_that_somebody_writes_to_stays() {
    let scene = scene();
    let writer = File::options().append(true).open(scene.path("F")).unwrap();
    assert_eq!(give_up(&scene, || ()).unwrap(), None);
    drop(writer);
    // Touched since the try, or touched lately.
    assert_eq!(give_up(&scene, || append(&scene, b"more")).unwrap(), None);
    assert_eq!(give_up_after(&scene, Duration::from_secs(60), || ()).unwrap(), None);
    assert_eq!(scene.names(), ["F", "failed"]);
    assert_eq!(names(&scene), [""; 0]);
}

/// As a commit leaves it that fails after the quarantine.
#[test]
fn a_file_that_had_another_name_meanwhile_and_has_its_own_again_is_moved() {
    let scene = scene();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = File::options().write(true).open(scene.path("F")).unwrap();
    file.set_modified(long_ago).unwrap();
    drop(file);
    let settle = Duration::from_secs(60);
    // Its time alone says nothing: it may have been set by whoever is still at it.
    assert_eq!(give_up_after(&scene, settle, || ()).unwrap(), None);
    let mut seen = seen(&scene);
    seen.changed = seen.modified;
    fs::rename(scene.path("F"), scene.path("aside")).unwrap();
    fs::rename(scene.path("aside"), scene.path("F")).unwrap();
    let moved = give_up_seen(&scene, seen, settle).unwrap();
    assert_eq!(moved, Some(scene.path("failed/F")));
}

#[test]
fn another_file_with_its_name_stays() {
    let scene = scene();
    let replace = || {
        scene.write("new", b"new");
        fs::rename(scene.path("new"), scene.path("F")).unwrap();
    };
    assert_eq!(give_up(&scene, replace).unwrap(), None);
    assert_eq!(
        give_up(&scene, || fs::remove_file(scene.path("F")).unwrap()).unwrap(),
        None
    );
    assert_eq!(names(&scene), [""; 0]);
}

#[test]
fn a_folder_on_another_file_system_takes_nothing_and_nothing_is_left_there() {
    let scene = scene();
    if mount("tmpfs", scene.path("failed"), "tmpfs", MountFlags::empty(), None).is_err() {
        return eprintln!("skipped: a tmpfs cannot be mounted here");
    }
    let failed = give_up(&scene, || ());
    let left = names(&scene);
    unmount(scene.path("failed"), UnmountFlags::DETACH).unwrap();
    assert_eq!(failed.unwrap_err().errno(), Some(libc::EXDEV));
    assert_eq!(left, [""; 0]);
    assert_eq!(fs::read(scene.path("F")).unwrap(), b"text");
}

/// Who swaps the name again and again at most gets his own file moved back.
#[test]
fn of_files_that_are_swapped_meanwhile_none_is_lost() {
    let scene = scene();
    let (path, other) = (scene.path("F"), scene.path("other"));
    fs::write(&other, "other").unwrap();
    thread::scope(|scope| {
        let swaps = scope.spawn(|| {
            for _ in 0..2000 {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                let _ = renameat_with(CWD, &path, CWD, &other, RenameFlags::EXCHANGE);
            }
        });
        while !swaps.is_finished() {
            let parent = scene.folder();
            if parent.status(OsStr::new("F")).unwrap().is_some() {
                let _ = give_up(&scene, || ());
            }
        }
    });
    let mut contents = Vec::new();
    for name in [path, other]
        .into_iter()
        .chain(names(&scene).iter().map(|name| scene.path("failed").join(name)))
    {
        if !name.to_string_lossy().ends_with(".reason") && name.exists() {
            contents.push(fs::read_to_string(name).unwrap());
        }
    }
    contents.sort();
    assert_eq!(contents, ["other", "text"]);
}
