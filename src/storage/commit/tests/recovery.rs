//! What a run that was killed leaves, and what the next one makes of it.

use super::*;
use crate::storage::{Recovered, recover};

const QUARANTINED: &str = ".F.dwindle-0123abcd.q";
const UNPUBLISHED: &str = ".dwindle-0123456789abcdef.tmp";

fn recover_in(scene: &Scene, name: &str, told: &mut Vec<String>) -> Recovered {
    scene.with_places(|places| {
        recover(&scene.folder(), OsStr::new(name), &places, true, &mut |warning| {
            told.push(warning);
        })
        .unwrap()
    })
}

#[test]
fn an_original_gets_its_name_back() {
    let scene = Scene::new();
    scene.write(QUARANTINED, b"text");
    scene.write_gzip("F.gz", b"text");
    let recovered = recover_in(&scene, QUARANTINED, &mut Vec::new());
    assert_eq!(recovered, Recovered::Original("F".into()));
    assert_eq!(scene.names(), ["F", "F.gz"]);
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(scene.names(), ["F.gz"]);
}

#[test]
fn an_original_whose_name_was_taken_goes_when_an_output_has_its_bytes() {
    let scene = Scene::new();
    scene.write(QUARANTINED, b"text");
    scene.write("F", b"new");
    scene.write_gzip("F.gz", b"else");
    scene.write_gzip("F.~1~.gz", b"text");
    assert_eq!(recover_in(&scene, QUARANTINED, &mut Vec::new()), Recovered::Removed);
    assert_eq!(scene.names(), ["F", "F.gz", "F.~1~.gz"]);
}

#[test]
fn an_original_whose_name_was_taken_comes_back_in_sight_when_nothing_else_has_its_bytes() {
    let scene = Scene::new();
    scene.write(QUARANTINED, b"text");
    scene.write("F", b"new");
    scene.write_gzip("F.gz", b"else");
    let mut told = Vec::new();
    let recovered = recover_in(&scene, QUARANTINED, &mut told);
    assert_eq!(recovered, Recovered::Original("F.dwindle-conflict-1".into()));
    assert_eq!(told.len(), 1);
    assert_eq!(scene.names(), ["F", "F.dwindle-conflict-1", "F.gz"]);
    assert_eq!(fs::read(scene.path("F.dwindle-conflict-1")).unwrap(), b"text");
}

#[test]
fn an_output_that_was_not_published_is_removed() {
    let scene = Scene::new();
    scene.write(UNPUBLISHED, b"half");
    assert_eq!(recover_in(&scene, UNPUBLISHED, &mut Vec::new()), Recovered::Removed);
    assert_eq!(scene.names(), [""; 0]);
}

#[test]
fn what_somebody_is_at_is_left_to_him() {
    let scene = Scene::new();
    scene.write("F", b"text");
    let retiring = scene.publish();
    let quarantined = scene.quarantined();
    assert_eq!(recover_in(&scene, &quarantined, &mut Vec::new()), Recovered::Left);
    assert!(scene.path(&quarantined).exists());
    assert!(is_compressed(&retire(retiring, &mut |_| ()).unwrap()));

    scene.write(UNPUBLISHED, b"half");
    let maker = File::open(scene.path(UNPUBLISHED)).unwrap();
    crate::storage::lock::lock_own(&maker).unwrap();
    assert_eq!(recover_in(&scene, UNPUBLISHED, &mut Vec::new()), Recovered::Left);
    assert!(scene.path(UNPUBLISHED).exists());
}

#[test]
fn what_is_no_file_is_left() {
    let scene = Scene::new();
    fs::create_dir(scene.path(QUARANTINED)).unwrap();
    symlink("/etc/hostname", scene.path(UNPUBLISHED)).unwrap();
    for name in [QUARANTINED, UNPUBLISHED, ".G.dwindle-01234567.q"] {
        assert_eq!(recover_in(&scene, name, &mut Vec::new()), Recovered::Left, "{name}");
    }
    assert_eq!(scene.names(), [QUARANTINED, UNPUBLISHED]);
}

#[test]
fn an_original_whose_name_was_taken_goes_to_its_folder_when_an_output_has_its_bytes() {
    let scene = Scene::with_done();
    scene.write(QUARANTINED, b"text");
    scene.write("F", b"new");
    scene.write_gzip("F.gz", b"text");
    scene.write("done/F", b"of another time");
    assert_eq!(recover_in(&scene, QUARANTINED, &mut Vec::new()), Recovered::Removed);
    assert_eq!(scene.names(), ["F", "F.gz", "done"]);
    assert_eq!(fs::read(scene.path("done/F.~1~")).unwrap(), b"text");
    assert_eq!(fs::read(scene.path("done/F")).unwrap(), b"of another time");
}

#[test]
fn an_original_of_which_nothing_else_has_the_bytes_never_goes_to_its_folder() {
    let scene = Scene::with_done();
    scene.write(QUARANTINED, b"text");
    scene.write("F", b"new");
    let recovered = recover_in(&scene, QUARANTINED, &mut Vec::new());
    assert_eq!(recovered, Recovered::Original("F.dwindle-conflict-1".into()));
    assert_eq!(fs::read_dir(scene.path("done")).unwrap().count(), 0);
}
