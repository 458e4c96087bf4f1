//! Outputs whose name is taken.

use super::*;

#[test]
fn what_exists_with_other_content_is_kept_as_on_conflict_says() {
    for (on_conflict, expected) in [
        (OnConflict::Number, &["F.gz", "F.~1~.gz", "F.~2~.gz"][..]),
        (OnConflict::Replace, &["F.gz", "F.~1~.gz"]),
        (OnConflict::Skip, &["F", "F.gz", "F.~1~.gz"]),
    ] {
        let mut scene = Scene::new();
        scene.on_conflict = on_conflict;
        scene.write("F", b"text");
        scene.write_gzip("F.gz", b"else");
        scene.write("F.~1~.gz", b"not gzip at all, and long enough to be");
        let done = scene.commit("F").unwrap();
        assert_eq!(scene.names(), expected, "{on_conflict:?}");
        match on_conflict {
            OnConflict::Number => {
                assert_eq!(scene.unpacked("F.~2~.gz"), b"text");
                assert_eq!(scene.unpacked("F.gz"), b"else");
            }
            OnConflict::Replace => assert_eq!(scene.unpacked("F.gz"), b"text"),
            OnConflict::Skip => {
                assert_eq!(done, Done::Pass(Reason::NameTaken));
                assert_eq!(scene.unpacked("F.gz"), b"else");
            }
        }
    }
}

#[test]
fn what_exists_with_the_same_content_finishes_an_earlier_run() {
    for on_conflict in [OnConflict::Number, OnConflict::Replace, OnConflict::Skip] {
        let mut scene = Scene::new();
        scene.on_conflict = on_conflict;
        scene.write("F", &text(2 * BLOCK));
        scene.write_gzip("F.gz", &text(2 * BLOCK));
        let inode = fs::metadata(scene.path("F.gz")).unwrap().ino();
        let done = scene.commit("F").unwrap();
        assert!(matches!(done, Done::Compressed { .. }), "{done:?}");
        assert_eq!(scene.names(), ["F.gz"]);
        assert_eq!(fs::metadata(scene.path("F.gz")).unwrap().ino(), inode);
    }
}

#[test]
fn a_numbered_output_of_an_earlier_run_is_recognised() {
    let scene = Scene::new();
    scene.write("F", b"text");
    scene.write_gzip("F.gz", b"else");
    scene.write_gzip("F.~1~.gz", b"text");
    assert!(matches!(scene.commit("F").unwrap(), Done::Compressed { .. }));
    assert_eq!(scene.names(), ["F.gz", "F.~1~.gz"]);
}

#[test]
fn an_existing_output_that_is_cut_off_or_goes_on_is_not_taken_for_ours() {
    for spoil in [
        |bytes: &mut Vec<u8>| bytes.truncate(22),
        |bytes: &mut Vec<u8>| bytes.extend([0; 8]),
    ] {
        let scene = Scene::new();
        scene.write("F", b"some text that is long enough");
        scene.write_gzip("F.gz", b"some text that is long enough");
        let mut bytes = fs::read(scene.path("F.gz")).unwrap();
        spoil(&mut bytes);
        scene.write("F.gz", &bytes);
        assert!(is_compressed(&scene.commit("F").unwrap()));
        assert_eq!(scene.names(), ["F.gz", "F.~1~.gz"]);
        assert_eq!(fs::read(scene.path("F.gz")).unwrap(), bytes);
    }
}

#[test]
fn what_is_no_file_in_the_outputs_place_is_never_touched() {
    for on_conflict in [OnConflict::Number, OnConflict::Replace, OnConflict::Skip] {
        for folder in [false, true] {
            let mut scene = Scene::new();
            scene.on_conflict = on_conflict;
            scene.write("F", b"text");
            if folder {
                fs::create_dir(scene.path("F.gz")).unwrap();
            } else {
                symlink("nowhere", scene.path("F.gz")).unwrap();
            }
            let done = scene.commit("F").unwrap();
            if on_conflict == OnConflict::Number {
                assert_eq!(scene.names(), ["F.gz", "F.~1~.gz"]);
            } else {
                assert_eq!(done, Done::Pass(Reason::NameTaken));
                assert_eq!(scene.names(), ["F", "F.gz"]);
            }
            let kind = fs::symlink_metadata(scene.path("F.gz")).unwrap().file_type();
            assert!(if folder { kind.is_dir() } else { kind.is_symlink() });
        }
    }
}

#[test]
fn an_output_that_appears_while_we_work_is_a_conflict_like_any() {
    // Of a short file nobody asks before; of a long one its name was free.
    for original in [b"text".to_vec(), b"text".repeat(20_000)] {
        an_output_appears(&original);
    }
}

fn an_output_appears(original: &[u8]) {
    let appear = |on_conflict, bytes: &[u8]| {
        let mut scene = Scene::new();
        scene.on_conflict = on_conflict;
        scene.write("F", original);
        let done = scene
            .commit_while("F", |scene| scene.write_gzip("F.gz", bytes))
            .unwrap();
        (scene.names(), scene.unpacked("F.gz"), done)
    };
    let (names, first, done) = appear(OnConflict::Number, b"else");
    assert!(is_compressed(&done));
    assert_eq!(
        (names, first),
        (vec!["F.gz".into(), "F.~1~.gz".into()], b"else".to_vec())
    );
    let (names, first, _) = appear(OnConflict::Replace, b"else");
    assert_eq!((names, first), (vec!["F.gz".into()], original.to_vec()));
    let (names, _, done) = appear(OnConflict::Skip, b"else");
    assert_eq!(
        (names, done),
        (vec!["F".into(), "F.gz".into()], Done::Pass(Reason::NameTaken))
    );
    let (names, _, done) = appear(OnConflict::Skip, original);
    assert!(matches!(done, Done::Compressed { .. }));
    assert_eq!(names, ["F.gz"]);
}

/// It may take long, and somebody else's files wait in the same batch.
#[test]
fn what_a_short_file_finds_in_its_place_is_read_where_nobody_waits() {
    for (content, name) in [(&b"text"[..], "F.gz"), (b"else", "F.~1~.gz")] {
        let scene = Scene::new();
        scene.write("F", b"text");
        scene.write_gzip("F.gz", content);
        let rest = scene.publish();
        assert!(rest.takes_long() && !rest.waits_for_disk() && !rest.is_published());
        assert_eq!(scene.names(), ["F", "F.gz"]);
        let done = retire(rest, &mut |warning| panic!("{warning}")).unwrap();
        assert!(is_compressed(&done));
        assert_eq!(scene.unpacked(name), b"text");
        assert!(!scene.names().contains(&"F".to_owned()));
    }
}

/// Its maker may yet take it back, and then the original must still be there.
#[test]
fn an_output_that_its_maker_is_not_done_with_is_left_to_it() {
    for on_conflict in [OnConflict::Number, OnConflict::Replace, OnConflict::Skip] {
        let mut scene = Scene::new();
        scene.on_conflict = on_conflict;
        scene.write("F", b"text");
        scene.write_gzip("F.gz", b"text");
        let maker = File::open(scene.path("F.gz")).unwrap();
        crate::storage::lock::lock_own(&maker).unwrap();
        assert_eq!(scene.commit("F").unwrap(), Done::Changed, "{on_conflict:?}");
        assert_eq!(scene.names(), ["F", "F.gz"]);
        drop(maker);
        assert!(matches!(scene.commit("F").unwrap(), Done::Compressed { .. }));
        assert_eq!(scene.names(), ["F.gz"]);
    }
}

#[test]
fn an_output_that_somebody_still_writes_is_no_conflict_yet() {
    for on_conflict in [OnConflict::Number, OnConflict::Replace, OnConflict::Skip] {
        let mut scene = Scene::new();
        scene.on_conflict = on_conflict;
        scene.write("F", b"text");
        scene.write("F.gz", b"half of what");
        let maker = File::options().append(true).open(scene.path("F.gz")).unwrap();
        assert_eq!(scene.commit("F").unwrap(), Done::Changed, "{on_conflict:?}");
        assert_eq!(scene.names(), ["F", "F.gz"]);
        drop(maker);
        assert_ne!(scene.commit("F").unwrap(), Done::Changed, "{on_conflict:?}");
    }
}

#[test]
fn an_output_that_its_maker_is_not_done_with_is_not_replaced() {
    let mut scene = Scene::new();
    scene.on_conflict = OnConflict::Replace;
    scene.write("F", b"new text");
    scene.write_gzip("F.gz", b"old");
    let maker = File::open(scene.path("F.gz")).unwrap();
    crate::storage::lock::lock_own(&maker).unwrap();
    assert_eq!(scene.commit("F").unwrap(), Done::Changed);
    assert_eq!(scene.unpacked("F.gz"), b"old");
    drop(maker);
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(scene.unpacked("F.gz"), b"new text");
}

#[test]
fn an_output_is_locked_until_its_original_is_gone() {
    let scene = Scene::new();
    scene.write("F", b"text");
    let folder = scene.folder();
    let temp = Temp::create(&folder, OsStr::new("F.gz")).unwrap();
    let mut temp = temp.sync().unwrap();
    temp.publish(OsStr::new("F.gz")).unwrap();
    let other = File::open(scene.path("F.gz")).unwrap();
    assert!(crate::storage::lock::lock_own(&other).is_err());
    drop(temp);
    assert!(crate::storage::lock::lock_own(&other).is_ok());
}
