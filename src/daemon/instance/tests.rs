use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use tempfile::TempDir;

/// A runtime directory that is not there yet, and two folders to watch.
fn scene() -> (TempDir, PathBuf, PathBuf, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let (directory, a, b) = (root.path().join("run"), root.path().join("a"), root.path().join("b"));
    fs::create_dir(&a).unwrap();
    fs::create_dir(&b).unwrap();
    (root, directory, a, b)
}

fn lock(directory: &Path, folders: &[&Path]) -> Result<Instance, Refused> {
    lock_shard(directory, folders, None)
}

fn lock_shard(directory: &Path, folders: &[&Path], shard: Option<&str>) -> Result<Instance, Refused> {
    let shard = shard.map(|shard| shard.parse().unwrap());
    Instance::lock(directory, folders.iter().copied(), shard, OsStr::new("/etc/test.toml"))
}

fn path_of_lock(directory: &Path, folder: &Path) -> PathBuf {
    directory.join(lock_name(&name_for(folder).unwrap(), None))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn a_folder_is_had_once_by_whatever_path_and_again_when_it_is_given_up() {
    let (root, directory, a, b) = scene();
    let other_path = root.path().join("link");
    symlink(&a, &other_path).unwrap();
    let first = lock(&directory, &[&a]).unwrap();
    let beside = lock(&directory, &[&b]).unwrap();
    for path in [&a, &other_path, &b.join("../a")] {
        let refused = lock(&directory, &[path]).unwrap_err();
        assert!(matches!(refused, Refused::Held { .. }), "{refused}");
        let sentence = refused.to_string();
        let holder = format!("watches {} already: process {}, since 2", path.display(), process::id());
        assert!(sentence.contains(&holder), "{sentence}");
        assert!(sentence.contains("Z, configured by /etc/test.toml. Stop"), "{sentence}");
    }
    drop(first);
    lock(&directory, &[&other_path]).unwrap();
    drop(beside);
    assert_eq!(names(&directory), 0, "locks are removed when they are given up");
}

#[test]
fn all_are_had_or_none() {
    let (_root, directory, a, b) = scene();
    let held = lock(&directory, &[&b]).unwrap();
    assert!(lock(&directory, &[&a, &b]).is_err());
    let alone = lock(&directory, &[&a]).unwrap();
    drop((held, alone));
    let both = lock(&directory, &[&a, &b, &a]).unwrap();
    assert_eq!(names(&directory), 2, "a folder that is named twice has one lock");
    drop(both);
}

#[test]
fn agents_for_different_shards_share_a_folder_and_nobody_else_does() {
    let (_root, directory, a, b) = scene();
    let holder = |shard, beside: Result<Instance, Refused>| match beside {
        Err(Refused::Held { content, lock, .. }) => {
            let content = content.into_string().unwrap();
            let process = format!("process {}{shard}, since ", process::id());
            assert!(content.starts_with(&process), "{content}");
            assert!(lock.exists());
        }
        other => panic!("{other:?}"),
    };
    let first = lock_shard(&directory, &[&a], Some("1/2")).unwrap();
    let second = lock_shard(&directory, &[&a, &b], Some("2/2")).unwrap();
    holder(", shard 1/2", lock_shard(&directory, &[&a], Some("1/2")));
    // How many shards there are is not compared: files that fall to two of them are locked one by one.
    drop(lock_shard(&directory, &[&a], Some("1/3")).unwrap());
    drop(first);
    holder(", shard 2/2", lock(&directory, &[&a]));
    let first = lock_shard(&directory, &[&a], Some("1/2")).unwrap();
    drop(second);
    let whole = lock(&directory, &[&b]).unwrap();
    holder("", lock_shard(&directory, &[&b], Some("1/2")));
    holder(", shard 1/2", lock(&directory, &[&a]));
    drop(first);
    drop(lock(&directory, &[&a]).unwrap());
    drop(whole);
    assert_eq!(names(&directory), 0, "the last one removes what all have shared");
}

#[test]
fn what_a_dead_agent_left_of_a_shard_is_in_nobodys_way() {
    let (_root, directory, a, _) = scene();
    drop(lock(&directory, &[&a]).unwrap());
    let folder = name_for(&a).unwrap();
    let shard = "1/2".parse().ok();
    for name in [lock_name(&folder, None), lock_name(&folder, shard)] {
        fs::write(directory.join(name), "process 1, left").unwrap();
    }
    let second = lock_shard(&directory, &[&a], Some("2/2")).unwrap();
    match lock(&directory, &[&a]) {
        Err(Refused::Held { content, .. }) => assert!(content.to_str().unwrap().contains("shard 2/2")),
        other => panic!("{other:?}"),
    }
    drop(second);
    drop(lock_shard(&directory, &[&a], Some("1/2")).unwrap());
    assert_eq!(names(&directory), 0);
}

#[test]
fn others_follow_without_a_gap_and_what_is_left_is_held_as_long_as_its_instance() {
    let (_root, directory, a, b) = scene();
    let is_held = |folder: &Path| matches!(lock(&directory, &[folder]), Err(Refused::Held { .. }));
    let follow =
        |instance: &Instance, folders: &[&Path]| instance.follow(folders.iter().copied(), OsStr::new("/etc/test.toml"));
    let first = lock(&directory, &[&a]).unwrap();
    let second = follow(&first, &[&b]).unwrap();
    assert!(is_held(&a) && is_held(&b));
    // What is not given up yet is its own.
    let third = follow(&second, &[&a, &b]).unwrap();
    drop((first, second));
    assert!(is_held(&a) && is_held(&b));
    let fourth = follow(&third, &[&b]).unwrap();
    drop(third);
    assert!(!is_held(&a) && is_held(&b));

    let other = lock(&directory, &[&a]).unwrap();
    assert!(matches!(follow(&fourth, &[&a, &b]), Err(Refused::Held { .. })));
    drop(other);
    fs::remove_dir(&b).unwrap();
    assert!(matches!(follow(&fourth, &[&b, &b.join("c")]), Err(Refused::Folder(_))));
    assert!(!is_held(&a), "who was refused holds nothing new");
    drop(follow(&fourth, &[&b]).unwrap());
    drop(fourth);
    assert_eq!(names(&directory), 0);
}

#[test]
fn what_a_dead_holder_left_is_taken_over_with_new_content() {
    let (_root, directory, a, _) = scene();
    fs::create_dir(&directory).unwrap();
    let path = path_of_lock(&directory, &a);
    fs::write(&path, "process 1, ".repeat(100)).unwrap();
    let _held = lock(&directory, &[&a]).unwrap();
    let content = fs::read_to_string(&path).unwrap();
    assert!(
        content.starts_with(&format!("process {}, ", process::id())),
        "{content}"
    );
    assert!(content.ends_with("configured by /etc/test.toml"), "{content}");
}

#[test]
fn directory_and_locks_are_for_this_user_alone() {
    let (_root, directory, a, _) = scene();
    let _held = lock(&directory, &[&a]).unwrap();
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&path_of_lock(&directory, &a)), 0o600);
}

#[test]
fn a_directory_that_others_can_change_is_not_used() {
    let (root, directory, a, _) = scene();
    let why = |directory: &Path| match lock(directory, &[&a]) {
        Err(Refused::NoDirectory { why, .. }) => why,
        other => panic!("{}: {other:?}", directory.display()),
    };
    fs::create_dir(&directory).unwrap();
    for mode in [0o770, 0o702, 0o1777] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        assert!(why(&directory).contains("others may write"), "{mode:o}");
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    lock(&directory, &[&a]).unwrap();
    symlink(&directory, root.path().join("link")).unwrap();
    for link in ["link", "link/", "link/."] {
        assert!(why(&root.path().join(link)).contains("symbolic link"), "{link}");
    }
    assert!(why(&root.path().join("no/run")).contains("is not there"));
}

#[test]
fn what_only_looks_like_a_lock_is_left_alone() {
    let (root, directory, a, _) = scene();
    drop(lock(&directory, &[&a]).unwrap());
    let path = path_of_lock(&directory, &a);
    let target = root.path().join("target");
    fs::write(&target, "precious").unwrap();
    let why = || match lock(&directory, &[&a]) {
        Err(Refused::NotOurs { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    symlink(&target, &path).unwrap();
    assert!(why().contains("symbolic link"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(why().contains("folder"));
    fs::remove_dir(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    assert!(why().contains("no regular file"));
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

/// The files come and go under one name all the time, and a lock on one that has lost the name keeps nobody away.
#[test]
fn what_is_locked_still_has_its_name_among_many_that_come_and_go() {
    let (_root, directory, a, _) = scene();
    let path = path_of_lock(&directory, &a);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut times = 0;
                while times < 500 {
                    match lock(&directory, &[&a]) {
                        Ok(held) => {
                            let named = fs::metadata(&path).map(|file| file.ino()).ok();
                            let locked = held.locks[&a].folder.file().metadata().map(|file| file.ino());
                            assert_eq!(named, locked.ok());
                            times += 1;
                        }
                        Err(Refused::Held { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
}

#[test]
fn the_environment_says_where_the_directory_is() {
    let from = |service: Option<&str>, user: Option<&str>, is_root| {
        directory_from(service.map(OsStr::new), user.map(OsStr::new), is_root)
    };
    let user = Some("/run/user/1000");
    for (found, expected) in [
        (from(Some("/run/a:/run/b"), user, true), "/run/a"),
        (from(Some("/run/a"), user, false), "/run/a"),
        (from(None, user, true), "/run/dwindle"),
        (from(None, user, false), "/run/user/1000/dwindle"),
        (from(Some(""), user, false), "/run/user/1000/dwindle"),
        (from(Some("relative"), Some("relative"), false), "/run/dwindle"),
        (from(None, None, false), "/run/dwindle"),
    ] {
        assert_eq!(found, Path::new(expected));
    }
}
