//! Originals that go to a folder of their own instead of being removed: step 10 is a rename then.

use super::*;

fn writer(scene: &Scene) -> File {
    File::options().append(true).open(scene.path("F")).unwrap()
}

fn end_of(rest: Rest) -> (Done, Vec<String>) {
    let mut told = Vec::new();
    let done = retire(rest, &mut |warning| told.push(warning)).unwrap();
    (done, told)
}

fn moved(scene: &Scene, name: &str) -> Vec<u8> {
    fs::read(scene.path("done").join(name)).unwrap()
}

#[test]
fn the_original_is_moved_as_it_is_and_its_output_stays() {
    for durable in [true, false] {
        let mut scene = Scene::with_done();
        scene.durable = durable;
        scene.write("F", b"text");
        let before = fs::metadata(scene.path("F")).unwrap();
        assert!(is_compressed(&scene.commit("F").unwrap()));
        assert_eq!(scene.names(), ["F.gz", "done"]);
        assert_eq!(moved(&scene, "F"), b"text");
        let after = fs::metadata(scene.path("done/F")).unwrap();
        assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()));
        assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    }
}

#[test]
fn it_is_numbered_where_its_name_is_taken_by_whatever() {
    let scene = Scene::with_done();
    scene.write("done/F", b"first");
    symlink("nowhere", scene.path("done/F.~1~")).unwrap();
    fs::create_dir(scene.path("done/F.~2~")).unwrap();
    scene.write("F", b"text");
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(moved(&scene, "F"), b"first");
    assert_eq!(moved(&scene, "F.~3~"), b"text");
    assert!(scene.path("done/F.~1~").is_symlink());
}

#[test]
fn the_same_name_again_and_again_loses_nothing() {
    let scene = Scene::with_done();
    for text in [b"one", b"two", b"one"] {
        scene.write("F", text);
        assert!(is_compressed(&scene.commit("F").unwrap()));
    }
    // The third one's bytes are in F.gz already.
    assert_eq!(scene.names(), ["F.gz", "F.~1~.gz", "done"]);
    let names = ["F", "F.~1~", "F.~2~"].map(|name| moved(&scene, name));
    assert_eq!(names, [b"one", b"two", b"one"]);
}

#[test]
fn kept_originals_are_not_moved() {
    let mut scene = Scene::with_done();
    scene.keep_original = true;
    scene.write("F", b"text");
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(scene.names(), ["F", "F.gz", "done"]);
    assert_eq!(fs::read_dir(scene.path("done")).unwrap().count(), 0);
}

/// The folder is opened before the work: a mistake in it costs no compression, and shows on the first file.
#[test]
fn without_the_folder_nothing_is_published() {
    let scene = Scene::with_done();
    scene.write("F", b"text");
    let candidate = scene.candidate("F");
    let error = scene.with_places(|mut places| {
        fs::create_dir(scene.path("sub")).unwrap();
        if let Some(Place::Tree { relative, .. }) = &mut places.done {
            *relative = Path::new("sub");
        }
        symlink("elsewhere", scene.path("done/sub")).unwrap();
        let folder = scene.folder();
        let caller = Caller {
            helpers: &Alone,
            cancel: &|| false,
            progress: &mut |_| (),
            warn: &mut |_| (),
        };
        commit(candidate, &folder, places, scene.plan(), caller).unwrap_err()
    });
    assert_eq!(error.errno(), Some(libc::ENOTDIR), "{error}");
    assert_eq!(scene.names(), ["F", "done", "sub"]);
}

#[test]
fn written_to_in_quarantine_it_is_put_back_and_not_moved() {
    let scene = Scene::with_done();
    scene.write("F", b"text");
    let mut writer = writer(&scene);
    let retiring = scene.publish();
    writer.write_all(b" more").unwrap();
    assert_eq!(end_of(retiring), (Done::Changed, Vec::new()));
    assert_eq!(scene.names(), ["F", "done"]);
    assert_eq!(fs::read(scene.path("F")).unwrap(), b"text more");
}

#[test]
fn what_a_late_writer_adds_stays_with_the_original_and_is_told() {
    let scene = Scene::with_done();
    scene.write("F", b"text");
    let mut writer = writer(&scene);
    let retiring = scene.publish();
    let rest = later(next(retiring, false));
    assert_eq!(moved(&scene, "F"), b"text");
    writer.write_all(b" more").unwrap();
    let (done, told) = end_of(rest);
    assert!(is_compressed(&done) && told.len() == 1, "{told:?}");
    assert!(told[0].contains("done/F, but not in"), "{told:?}");
    assert_eq!(moved(&scene, "F"), b"text more");
    assert_eq!(scene.names(), ["F.gz", "done"]);
}

#[test]
fn dropped_before_the_move_nothing_has_happened_and_after_it_all_has() {
    let scene = Scene::with_done();
    scene.write("F", b"text");
    drop(scene.publish());
    assert_eq!(scene.names(), ["F", "done"]);
    let rest = later(next(scene.publish(), false));
    drop(rest);
    assert_eq!(scene.names(), ["F.gz", "done"]);
    assert_eq!(moved(&scene, "F"), b"text");
}

/// As when the administrator removes it while the agent runs.
#[test]
fn a_folder_that_is_gone_gives_the_original_its_name_back_and_keeps_the_output() {
    let scene = Scene::with_done();
    scene.write("F", b"text");
    let retiring = scene.publish();
    fs::remove_dir(scene.path("done")).unwrap();
    let error = retire(retiring, &mut |warning| panic!("{warning}")).unwrap_err();
    assert_eq!((error.step(), error.class()), (Step::Move, Class::Transient), "{error}");
    assert!(!error.is_of_file(&scene.path("F")), "{error}");
    assert_eq!(scene.names(), ["F", "F.gz"]);
    assert_eq!(fs::read(scene.path("F")).unwrap(), b"text");
    // Made again, the next try finishes the work.
    fs::create_dir(scene.path("done")).unwrap();
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(scene.names(), ["F.gz", "done"]);
    assert_eq!(moved(&scene, "F"), b"text");
}

#[test]
fn an_original_that_its_owner_removed_in_quarantine_is_done() {
    let scene = Scene::with_done();
    scene.write("F", b"text");
    let retiring = scene.publish();
    fs::remove_file(scene.path(&scene.quarantined())).unwrap();
    assert!(is_compressed(&end_of(retiring).0));
    assert_eq!(scene.names(), ["F.gz", "done"]);
}

#[test]
fn another_file_system_is_known_before_anything_is_renamed() {
    let scene = Scene::with_done();
    let (here, done) = (scene.folder(), Folder::open(&scene.path("done")).unwrap());
    assert!(done.can_take_from(&here).unwrap());
    let proc = Folder::open(Path::new("/proc")).unwrap();
    assert!(!proc.can_take_from(&here).unwrap());
    if mount("tmpfs", scene.path("done"), "tmpfs", MountFlags::empty(), None).is_err() {
        return eprintln!("skipped: a tmpfs cannot be mounted here");
    }
    let mounted = Folder::open(&scene.path("done")).unwrap();
    scene.write("F", b"text");
    let failed = scene.commit("F");
    let can = mounted.can_take_from(&here).unwrap();
    drop(mounted);
    unmount(scene.path("done"), UnmountFlags::DETACH).unwrap();
    assert!(!can);
    // And if it happens all the same, no byte is lost.
    let error = failed.unwrap_err();
    assert_eq!(error.errno(), Some(libc::EXDEV));
    assert!(!error.is_of_file(&scene.path("F")), "{error}");
    assert_eq!(fs::read(scene.path("F")).unwrap(), b"text");
}
