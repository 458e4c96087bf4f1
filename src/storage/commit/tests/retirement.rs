//! What happens between publication and the original's end.

use super::*;

/// A writer that has the file open since before.
fn writer(scene: &Scene) -> File {
    File::options().append(true).open(scene.path("F")).unwrap()
}

fn scene_with(bytes: &[u8]) -> (Scene, File, Rest) {
    let scene = Scene::new();
    scene.write("F", bytes);
    let writer = writer(&scene);
    let retiring = scene.publish();
    (scene, writer, retiring)
}

fn end_of(retiring: Rest) -> (Done, Vec<String>) {
    let mut told = Vec::new();
    let done = retire(retiring, &mut |warning| told.push(warning)).unwrap();
    (done, told)
}

#[test]
fn the_original_is_out_of_the_way_and_then_gone() {
    let (scene, _writer, retiring) = scene_with(b"text");
    let quarantined = scene.quarantined();
    assert!(quarantined.starts_with(".F.dwindle-"), "{quarantined}");
    assert_eq!(scene.names(), [quarantined.as_str(), "F.gz"]);
    assert_eq!(scene.unpacked("F.gz"), b"text");
    let (done, told) = end_of(retiring);
    assert!(is_compressed(&done) && told.is_empty(), "{told:?}");
    assert_eq!(scene.names(), ["F.gz"]);
}

#[test]
fn written_to_in_quarantine_it_is_put_back_and_the_output_taken_back() {
    let (scene, mut writer, retiring) = scene_with(b"text");
    writer.write_all(b" more").unwrap();
    assert_eq!(end_of(retiring), (Done::Changed, Vec::new()));
    assert_eq!(scene.names(), ["F"]);
    assert_eq!(fs::read(scene.path("F")).unwrap(), b"text more");
}

#[test]
fn written_to_in_quarantine_with_its_name_taken_it_comes_back_in_sight() {
    let (scene, mut writer, retiring) = scene_with(b"text");
    writer.write_all(b" more").unwrap();
    scene.write("F", b"new");
    scene.write("F.dwindle-conflict-1", b"older");
    let (done, told) = end_of(retiring);
    assert_eq!((done, told.len()), (Done::Changed, 1));
    assert!(told[0].contains("F.dwindle-conflict-2"), "{told:?}");
    assert_eq!(scene.names(), ["F", "F.dwindle-conflict-1", "F.dwindle-conflict-2"]);
    assert_eq!(fs::read(scene.path("F.dwindle-conflict-2")).unwrap(), b"text more");
    assert_eq!(fs::read(scene.path("F")).unwrap(), b"new");
}

#[test]
fn a_file_made_anew_under_the_name_is_not_touched() {
    let (scene, _writer, retiring) = scene_with(b"text");
    scene.write("F", b"new");
    assert!(is_compressed(&end_of(retiring).0));
    assert_eq!(scene.names(), ["F", "F.gz"]);
    assert_eq!(fs::read(scene.path("F")).unwrap(), b"new");
    assert_eq!(scene.unpacked("F.gz"), b"text");
}

#[test]
fn an_output_that_alone_has_the_bytes_is_never_taken_back() {
    let (scene, _writer, retiring) = scene_with(b"text");
    fs::remove_file(scene.path(&scene.quarantined())).unwrap();
    assert!(is_compressed(&end_of(retiring).0));
    assert_eq!(scene.names(), ["F.gz"]);
}

#[test]
fn without_its_output_the_original_is_put_back() {
    let (scene, _writer, retiring) = scene_with(b"text");
    fs::remove_file(scene.path("F.gz")).unwrap();
    scene.write("F.gz", b"theirs");
    assert_eq!(end_of(retiring).0, Done::Changed);
    assert_eq!(scene.names(), ["F", "F.gz"]);
    assert_eq!(fs::read(scene.path("F.gz")).unwrap(), b"theirs");
}

/// As logrotate does with `compress delaycompress`: it moves the numbers up by one, and rotates again.
#[test]
fn an_output_that_was_renamed_is_an_output_still() {
    for moved in ["F.2.gz", "archive/F.gz"] {
        let (scene, _writer, retiring) = scene_with(b"text");
        fs::create_dir(scene.path("archive")).unwrap();
        fs::rename(scene.path("F.gz"), scene.path(moved)).unwrap();
        scene.write("F", b"new");
        scene.write("F.gz", b"theirs");
        let (done, told) = end_of(retiring);
        assert!(is_compressed(&done) && told.is_empty(), "{moved}: {done:?}, {told:?}");
        assert_eq!(scene.unpacked(moved), b"text");
        assert_eq!(fs::read(scene.path("F")).unwrap(), b"new");
        assert_eq!(fs::read(scene.path("F.gz")).unwrap(), b"theirs");
        assert_eq!(
            scene.names().len(),
            4 - usize::from(moved.starts_with("archive")),
            "{moved}"
        );
    }
}

#[test]
fn another_file_in_its_place_in_quarantine_is_not_removed() {
    let (scene, _writer, retiring) = scene_with(b"text");
    let quarantined = scene.quarantined();
    fs::rename(scene.path(&quarantined), scene.path("moved")).unwrap();
    scene.write(&quarantined, b"theirs");
    assert_eq!(end_of(retiring).0, Done::Changed);
    assert_eq!(scene.names(), ["F", "moved"]);
    assert_eq!(fs::read(scene.path("F")).unwrap(), b"theirs");
    assert_eq!(fs::read(scene.path("moved")).unwrap(), b"text");
}

#[test]
fn dropped_before_the_removal_nothing_has_happened() {
    let (scene, _writer, retiring) = scene_with(b"text");
    drop(retiring);
    assert_eq!(scene.names(), ["F"]);
    assert_eq!(fs::read(scene.path("F")).unwrap(), b"text");
}

#[test]
fn what_a_late_writer_adds_is_saved() {
    let (scene, mut writer, retiring) = scene_with(b"text");
    let removed = later(next(retiring, false));
    assert_eq!(scene.names(), ["F.gz"]);
    scene.write("F.dwindle-rescued-1", b"of another time");
    writer.write_all(b" more").unwrap();
    let (done, told) = end_of(removed);
    assert!(is_compressed(&done) && told.len() == 1, "{told:?}");
    assert!(told[0].contains("F.dwindle-rescued-2"), "{told:?}");
    assert_eq!(scene.unpacked("F.gz"), b"text");
    assert_eq!(fs::read(scene.path("F.dwindle-rescued-2")).unwrap(), b" more");
}

#[test]
fn what_a_late_writer_changes_is_saved_whole() {
    let scene = Scene::new();
    scene.write("F", b"text");
    let writer = open(&scene);
    let retiring = scene.publish();
    let removed = later(next(retiring, false));
    writer.write_all_at(b"other text", 0).unwrap();
    assert_eq!(end_of(removed).1.len(), 1);
    assert_eq!(fs::read(scene.path("F.dwindle-rescued-1")).unwrap(), b"other text");
}
