//! The main ways through a commit and its recovery once more, to the other format.

use super::*;
use crate::model::Format;
use crate::storage::{Pair, Recovered, recover};

const QUARANTINED: &str = ".F.dwindle-0123abcd.q";

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.level = Format::Zstd.default_level();
    scene
}

fn write_zstd(scene: &Scene, name: &str, bytes: &[u8]) {
    scene.write_packed(name, bytes, Format::Zstd.default_level());
}

fn unpacked(scene: &Scene, name: &str) -> Vec<u8> {
    let frame = fs::read(scene.path(name)).unwrap();
    let length = zstd_safe::get_frame_content_size(&frame)
        .unwrap()
        .expect("the frame says its length");
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap());
    zstd_safe::decompress(&mut bytes, &frame).unwrap();
    bytes
}

#[test]
fn a_file_becomes_its_frame() {
    for length in [1, 1000, BLOCK, 3 * BLOCK + 17, 9 * BLOCK] {
        let scene = scene();
        let bytes = text(length);
        scene.write("app.log", &bytes);
        fs::set_permissions(scene.path("app.log"), Permissions::from_mode(0o640)).unwrap();
        let original = fs::metadata(scene.path("app.log")).unwrap();
        let done = scene.commit("app.log").unwrap();
        let output = fs::metadata(scene.path("app.log.zst")).unwrap();
        assert_eq!(scene.names(), ["app.log.zst"]);
        assert_eq!(
            done,
            Done::Compressed {
                output: scene.path("app.log.zst"),
                bytes_in: length as u64,
                bytes_out: output.len(),
            }
        );
        assert_eq!(unpacked(&scene, "app.log.zst"), bytes);
        assert_eq!(output.mode(), original.mode());
        assert_eq!(output.modified().unwrap(), original.modified().unwrap());
    }
}

#[test]
fn what_exists_with_other_content_is_kept_as_on_conflict_says() {
    for (on_conflict, expected, new) in [
        (OnConflict::Number, &["F.gz", "F.zst", "F.~1~.zst"][..], "F.~1~.zst"),
        (OnConflict::Replace, &["F.gz", "F.zst"], "F.zst"),
        (OnConflict::Skip, &["F", "F.gz", "F.zst"], "F"),
    ] {
        let mut scene = scene();
        scene.on_conflict = on_conflict;
        scene.write("F", b"text");
        // As long, so that only the content tells.
        write_zstd(&scene, "F.zst", b"else");
        scene.write_gzip("F.gz", b"text");
        let done = scene.commit("F").unwrap();
        assert_eq!(scene.names(), expected, "{on_conflict:?}");
        if on_conflict == OnConflict::Skip {
            assert_eq!(done, Done::Pass(Reason::NameTaken));
        } else {
            assert_eq!(unpacked(&scene, new), b"text");
        }
    }
}

#[test]
fn what_exists_with_the_same_content_finishes_an_earlier_run() {
    let scene = scene();
    scene.write("F", &text(2 * BLOCK));
    write_zstd(&scene, "F.zst", b"else");
    scene.write_packed("F.~1~.zst", &text(2 * BLOCK), Format::Zstd.level(9).unwrap());
    let inode = fs::metadata(scene.path("F.~1~.zst")).unwrap().ino();
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(scene.names(), ["F.zst", "F.~1~.zst"]);
    assert_eq!(fs::metadata(scene.path("F.~1~.zst")).unwrap().ino(), inode);
}

#[test]
fn a_kept_original_has_one_output() {
    let mut scene = scene();
    scene.keep_original = true;
    scene.write("F", b"text");
    assert!(is_compressed(&scene.commit("F").unwrap()));
    assert_eq!(scene.commit("F").unwrap(), Done::Pass(Reason::UpToDate));
    assert_eq!(scene.names(), ["F", "F.zst"]);
}

#[test]
fn an_output_follows_its_original() {
    let mut scene = scene();
    scene.keep_original = true;
    scene.renew = Renew::Followers;
    scene.on_conflict = OnConflict::Skip;
    let modified = |name: &str| fs::metadata(scene.path(name)).unwrap().modified().unwrap();
    scene.write("F", b"text");
    for bytes in [&b"text"[..], b"next"] {
        scene.write("F", bytes);
        assert!(is_compressed(&scene.commit("F").unwrap()));
        assert_eq!(unpacked(&scene, "F.zst"), bytes);
        assert_eq!(modified("F.zst"), modified("F"));
        assert_eq!(scene.commit("F").unwrap(), Done::Pass(Reason::UpToDate));
    }
    // Whose it is, is no hindrance to know it by its content.
    let later = modified("F") + Duration::from_secs(1);
    scene.renew = Renew::None;
    File::options()
        .write(true)
        .open(scene.path("F"))
        .unwrap()
        .set_modified(later)
        .unwrap();
    assert_eq!(scene.commit("F").unwrap(), Done::Pass(Reason::UpToDate));

    assert_eq!(withdraw(&scene, "G"), None);
    fs::remove_file(scene.path("F")).unwrap();
    assert_eq!(withdraw(&scene, "F").as_deref(), Some("F.zst"));
    assert_eq!(scene.names(), [""; 0]);
}

#[test]
fn somebody_elses_output_is_neither_replaced_nor_removed() {
    let mut scene = scene();
    scene.keep_original = true;
    scene.renew = Renew::Followers;
    scene.on_conflict = OnConflict::Skip;
    scene.write("F", b"text");
    write_zstd(&scene, "F.zst", b"else");
    assert_eq!(scene.commit("F").unwrap(), Done::Pass(Reason::NameTaken));
    fs::remove_file(scene.path("F")).unwrap();
    assert_eq!(withdraw(&scene, "F"), None);
    assert_eq!(unpacked(&scene, "F.zst"), b"else");
}

fn withdraw(scene: &Scene, name: &str) -> Option<String> {
    let folder = scene.folder();
    let pair = Pair {
        parent: Some(&folder),
        output: &folder,
        name: OsStr::new(name),
        format: Format::Zstd,
    };
    let removed = pair.remove_outdated().unwrap();
    removed.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
}

/// They may be compressing the same file, and not be done.
#[test]
fn while_somebody_writes_to_an_output_of_any_format_the_file_is_left_alone() {
    for (level, theirs) in [
        (Level::default(), "F.zst"),
        (Format::Zstd.default_level(), "F.gz"),
        (Format::Zstd.default_level(), "F.zst"),
    ] {
        let mut scene = scene();
        scene.level = level;
        scene.write("F", b"text");
        let writer = File::create(scene.path(theirs)).unwrap();
        assert_eq!(scene.commit("F").unwrap(), Done::Changed, "{theirs}");
        drop(writer);
        assert!(is_compressed(&scene.commit("F").unwrap()), "{theirs}");
    }
}

#[test]
fn a_file_that_shrinks_or_grows_meanwhile_is_left() {
    for length in [BLOCK, 4 * BLOCK] {
        let scene = scene();
        scene.write("F", &text(2 * BLOCK));
        let done = scene.commit_while("F", |scene| {
            let file = File::options().write(true).open(scene.path("F")).unwrap();
            file.set_len(length as u64).unwrap();
        });
        assert_eq!(done.unwrap(), Done::Changed);
        assert_eq!(scene.names(), ["F"]);
    }
}

#[test]
fn what_a_late_writer_adds_is_saved() {
    let scene = scene();
    scene.write("F", b"text");
    let mut writer = File::options().append(true).open(scene.path("F")).unwrap();
    let removed = later(next(scene.publish(), false));
    assert_eq!(scene.names(), ["F.zst"]);
    writer.write_all(b" more").unwrap();
    let mut told = Vec::new();
    assert!(is_compressed(
        &retire(removed, &mut |warning| told.push(warning)).unwrap()
    ));
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(unpacked(&scene, "F.zst"), b"text");
    assert_eq!(fs::read(scene.path("F.dwindle-rescued-1")).unwrap(), b" more");
}

/// Whatever format the configuration names by now.
#[test]
fn an_original_whose_name_was_taken_goes_when_an_output_of_any_format_has_its_bytes() {
    for (gzip, zstd, expected) in [
        (&b"text"[..], &b"else"[..], Recovered::Removed),
        (b"else", b"text", Recovered::Removed),
        (b"else", b"news", Recovered::Original("F.dwindle-conflict-1".into())),
    ] {
        let scene = scene();
        scene.write(QUARANTINED, b"text");
        scene.write("F", b"new");
        scene.write_gzip("F.gz", gzip);
        write_zstd(&scene, "F.~1~.zst", zstd);
        write_zstd(&scene, "F.zst", b"else");
        let recovered = recover(
            &scene.folder(),
            OsStr::new(QUARANTINED),
            &Places::BESIDE,
            true,
            &mut |_| (),
        );
        assert_eq!(recovered.unwrap(), expected);
    }
}
