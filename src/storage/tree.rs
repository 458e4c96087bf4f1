//! Output folders that mirror the source's.

use std::path::{Component, Path};
use std::sync::Arc;

use rustix::fs::{Mode, mkdirat};
use rustix::io::{Errno, retry_on_intr};

use super::dir::{Folder, is_gone};
use super::metadata;
use crate::model::{Error, Step};

/// Opens the folder `relative` below `output`, and makes what is missing of it: with owner, access control list and permissions of the
/// folder of the same path below `source`. With `durable`, what was made is durable on return.
///
/// A symbolic link on the way, on either side, is an error.
pub(super) fn make_folders(
    output: &Arc<Folder>,
    source: &Folder,
    relative: &Path,
    durable: bool,
    warn: &mut dyn FnMut(String),
) -> Result<Arc<Folder>, Error> {
    match output.folder_or_self(relative) {
        Err(error) if is_gone(&error) => {}
        opened => return opened,
    }
    let mut made = output.duplicate()?;
    let mut model = source.duplicate()?;
    for component in relative.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        model = model.folder(Path::new(name))?;
        let parent = made;
        let new = match retry_on_intr(|| mkdirat(&parent, name, Mode::RWXU)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(Error::new(Step::Create, parent.path_of(name), errno)),
        };
        made = parent.folder(Path::new(name))?;
        if new {
            metadata::copy_access(&model, &model.own_status()?, &made, warn);
            if durable {
                made.sync()?;
                parent.sync()?;
            }
        }
    }
    Ok(Arc::new(made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn new_folders_have_the_permissions_of_their_models() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        fs::create_dir_all(path("in/a/b")).unwrap();
        fs::create_dir_all(path("out/a")).unwrap();
        fs::set_permissions(path("in/a"), Permissions::from_mode(0o750)).unwrap();
        fs::set_permissions(path("in/a/b"), Permissions::from_mode(0o2705)).unwrap();
        fs::set_permissions(path("out/a"), Permissions::from_mode(0o711)).unwrap();
        let source = Folder::open(&path("in")).unwrap();
        let output = Arc::new(Folder::open(&path("out")).unwrap());
        let folder = make_folders(&output, &source, Path::new("a/b"), true, &mut |warning| {
            panic!("{warning}")
        })
        .unwrap();
        assert_eq!(folder.path(), path("out/a/b"));
        let mode = |name: &str| fs::metadata(path(name)).unwrap().mode() & 0o7777;
        assert_eq!(mode("out/a"), 0o711, "what was there is left as it is");
        assert_eq!(mode("out/a/b"), 0o705);
    }

    #[test]
    fn a_symbolic_link_in_the_output_is_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        fs::create_dir_all(path("in/a/b")).unwrap();
        fs::create_dir_all(path("elsewhere")).unwrap();
        fs::create_dir_all(path("out")).unwrap();
        symlink("../elsewhere", path("out/a")).unwrap();
        let source = Folder::open(&path("in")).unwrap();
        let output = Arc::new(Folder::open(&path("out")).unwrap());
        assert!(make_folders(&output, &source, Path::new("a/b"), true, &mut |_| {}).is_err());
        assert_eq!(fs::read_dir(path("elsewhere")).unwrap().count(), 0);
    }
}
