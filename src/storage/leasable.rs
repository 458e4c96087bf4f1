//! Whether leases can be had in a folder at all.

use std::path::Path;
use std::sync::Arc;

use super::dir::Folder;
use super::lease::NoLease;
use super::ready::lease_on;
use super::scan::Scan;
use crate::policy::Select;

/// So many files are tried.
const FILES: usize = 16;

/// The number of `CAP_LEASE` (capabilities(7)).
const CAP_LEASE: u32 = 28;

/// Why this process can get no lease on the files that a watch takes in a folder; nothing where it can, or where nobody can say. A folder
/// without such files is judged by its owner, whose files are likely to come. Blocks.
pub(crate) fn lease_obstacle(folder: &Folder, select: &Arc<Select>) -> Option<String> {
    let files = Scan::new(folder, Path::new(""), Arc::clone(select));
    let files = files.map(|mut scan| scan.next_batch(FILES, &mut |_| ()).files);
    for path in files.unwrap_or_default() {
        let (Some(relative), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let Ok(parent) = folder.folder(relative) else { continue };
        let is_file = parent
            .status(name)
            .is_ok_and(|status| status.is_some_and(|status| status.is_file()));
        let Some(file) = is_file.then(|| parent.open_file(name).ok()).flatten() else {
            continue;
        };
        return match lease_on(&parent, &file) {
            Ok(()) | Err(NoLease::Writer) => None,
            Err(NoLease::Unavailable(cause)) => Some(format!("{cause} on {}", path.display())),
        };
    }
    let owner = folder.own_status().ok()?.user;
    let user = rustix::process::geteuid();
    (owner != user && !has_capability()?).then(|| {
        format!(
            "its owner is user {}, and this is user {} without CAP_LEASE",
            owner.as_raw(),
            user.as_raw()
        )
    })
}

/// Whether this process may take leases on anybody's files.
fn has_capability() -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    let bits = u64::from_str_radix(effective.trim(), 16).ok()?;
    Some(bits >> CAP_LEASE & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::select_everything;

    #[test]
    fn there_is_none_for_ones_own_files() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(base.path()).unwrap();
        assert_eq!(lease_obstacle(&folder, &select_everything()), None);
        std::fs::write(base.path().join("a"), "text").unwrap();
        assert_eq!(lease_obstacle(&folder, &select_everything()), None);
    }
}
