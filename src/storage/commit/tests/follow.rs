//! Outputs that go the way of their originals.

use super::*;
use crate::storage::Pair;

/// What is done in a scene, in words and in deed.
type Way<'a> = (&'a str, &'a dyn Fn(&Scene));

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.keep_original = true;
    scene.renew = Renew::Followers;
    scene.on_conflict = OnConflict::Skip;
    scene.write("F", b"text");
    scene
}

fn modified(scene: &Scene, name: &str) -> SystemTime {
    fs::metadata(scene.path(name)).unwrap().modified().unwrap()
}

/// What `remove_outdated` removed, as a file's name.
fn withdraw(scene: &Scene) -> Option<String> {
    let folder = scene.folder();
    let pair = Pair {
        parent: Some(&folder),
        output: &folder,
        name: OsStr::new("F"),
        format: scene.level.format(),
    };
    let found = pair.find_outdated().unwrap();
    let removed = pair.remove_outdated().unwrap();
    assert_eq!(found, removed);
    removed.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
}

#[test]
fn whatever_changes_its_original_it_is_made_anew() {
    let scene = scene();
    let path = scene.path("F");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let time = |moment| open(&scene).set_modified(moment).unwrap();
    let replace = |bytes: &[u8]| {
        scene.write("new", bytes);
        let new = File::options().write(true).open(scene.path("new")).unwrap();
        new.set_modified(long_ago).unwrap();
        fs::rename(scene.path("new"), &path).unwrap();
    };
    let ways: [(&str, &dyn Fn()); 6] = [
        ("nothing was there before", &|| ()),
        ("another time", &|| time(long_ago)),
        ("other bytes, its time put back", &|| {
            scene.write("F", b"TEXT");
            time(long_ago);
        }),
        ("replaced by one of the same time", &|| replace(b"next")),
        ("replaced by a longer one of the same time", &|| replace(b"longer")),
        ("another mode", &|| {
            fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        }),
    ];
    for (what, change) in ways {
        change();
        assert!(is_compressed(&scene.commit("F").unwrap()), "{what}");
        assert_eq!(scene.unpacked("F.gz"), fs::read(&path).unwrap(), "{what}");
        assert_eq!(modified(&scene, "F.gz"), modified(&scene, "F"), "{what}");
        let mode = |name: &str| fs::metadata(scene.path(name)).unwrap().mode();
        assert_eq!(mode("F.gz"), mode("F"), "{what}");
        assert_eq!(scene.commit("F").unwrap(), Done::Pass(Reason::UpToDate), "{what}");
        assert_eq!(scene.names(), ["F", "F.gz"], "{what}");
    }
}

#[test]
fn what_anybody_else_has_made_is_never_replaced_nor_removed() {
    let somebody_elses: [Way<'_>; 5] = [
        ("of other bytes", &|scene| scene.write("F.gz", b"somebody's")),
        ("empty", &|scene| scene.write("F.gz", b"")),
        ("a sound member", &|scene| scene.write_gzip("F.gz", b"before")),
        ("as gzip -k leaves it", &|scene| {
            scene.write("F", b"before");
            let header = Header {
                name: b"F",
                modified: 1_000_000_000,
                follows: false,
                length: None,
            };
            gzip(scene, &header);
        }),
        ("made for another file and renamed", &|scene| {
            let header = Header {
                name: b"G",
                modified: 1_000_000_000,
                follows: true,
                length: None,
            };
            gzip(scene, &header);
        }),
    ];
    for (what, make) in somebody_elses {
        let scene = scene();
        make(&scene);
        scene.write("F", b"something else");
        let before = fs::read(scene.path("F.gz")).unwrap();
        assert_eq!(scene.commit("F").unwrap(), Done::Pass(Reason::NameTaken), "{what}");
        fs::remove_file(scene.path("F")).unwrap();
        assert_eq!(withdraw(&scene), None, "{what}");
        assert_eq!(fs::read(scene.path("F.gz")).unwrap(), before, "{what}");
    }
}

/// Of some bytes, with the file's time as in the header.
fn gzip(scene: &Scene, header: &Header<'_>) {
    let mut member = Vec::new();
    let all = |_| Ok::<_, ()>(());
    codec::compress(&b"before"[..], &mut member, header, Level::default(), &Alone, all).unwrap();
    scene.write("F.gz", &member);
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(header.modified.into());
    let gzip = File::options().write(true).open(scene.path("F.gz")).unwrap();
    gzip.set_modified(moment).unwrap();
}

#[test]
fn one_that_somebody_still_writes_is_left_to_him() {
    let scene = scene();
    assert!(is_compressed(&scene.commit("F").unwrap()));
    scene.write("F", b"next");
    let writer = File::options().append(true).open(scene.path("F.gz")).unwrap();
    assert_eq!(scene.commit("F").unwrap(), Done::Changed);
    fs::remove_file(scene.path("F")).unwrap();
    assert_eq!(withdraw(&scene), None);
    drop(writer);
    assert_eq!(withdraw(&scene).as_deref(), Some("F.gz"));
}

/// There is no moment without one while a writer has emptied the file, and has not written it yet.
#[test]
fn it_stays_while_its_original_is_being_written_and_goes_when_that_was_left_empty() {
    let scene = scene();
    scene.write("F", b"text");
    assert!(is_compressed(&scene.commit("F").unwrap()));
    let writer = File::options()
        .write(true)
        .truncate(true)
        .open(scene.path("F"))
        .unwrap();
    assert_eq!(withdraw(&scene), None);
    drop(writer);
    assert_eq!(withdraw(&scene).as_deref(), Some("F.gz"));
}

#[test]
fn it_goes_with_its_original_and_not_before() {
    let scene = scene();
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(withdraw(&scene), None);
    fs::rename(scene.path("F"), scene.path("G")).unwrap();
    assert_eq!(withdraw(&scene).as_deref(), Some("F.gz"));
    assert_eq!(withdraw(&scene), None);
    assert_eq!(scene.names(), ["G"]);
}

#[test]
fn it_goes_when_what_has_the_name_is_no_file_or_another_one() {
    let ways: [Way<'_>; 4] = [
        ("a symbolic link", &|scene| {
            symlink("elsewhere", scene.path("F")).unwrap();
        }),
        ("a folder", &|scene| fs::create_dir(scene.path("F")).unwrap()),
        ("an empty file", &|scene| scene.write("F", b"")),
        ("the same file", &|scene| {
            fs::rename(scene.path("away"), scene.path("F")).unwrap();
        }),
    ];
    for (what, take_the_name) in ways {
        let scene = scene();
        assert!(is_compressed(&scene.commit("F").unwrap()));
        fs::rename(scene.path("F"), scene.path("away")).unwrap();
        take_the_name(&scene);
        let stays = what == "the same file";
        assert_eq!(withdraw(&scene).is_none(), stays, "{what}");
        assert_eq!(scene.path("F.gz").exists(), stays, "{what}");
    }
}

/// Who has given it another name, another time or a second name means to keep it.
#[test]
fn one_that_was_touched_since_stays() {
    for touch in [
        |scene: &Scene| fs::hard_link(scene.path("F.gz"), scene.path("kept.gz")).unwrap(),
        |scene: &Scene| {
            let gzip = File::options().append(true).open(scene.path("F.gz")).unwrap();
            gzip.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        },
    ] {
        let scene = scene();
        assert!(is_compressed(&scene.commit("F").unwrap()));
        touch(&scene);
        fs::remove_file(scene.path("F")).unwrap();
        assert_eq!(withdraw(&scene), None);
        assert!(scene.path("F.gz").exists());
    }
}

#[test]
fn a_time_that_the_header_cannot_hold_does_no_harm() {
    for seconds in [0, 1 << 33] {
        let scene = scene();
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        open(&scene).set_modified(moment).unwrap();
        assert!(is_compressed(&scene.commit("F").unwrap()));
        fs::remove_file(scene.path("F")).unwrap();
        assert_eq!(withdraw(&scene).as_deref(), Some("F.gz"), "{seconds}");
    }
}
