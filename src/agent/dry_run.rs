//! What a watch would do with what is in its folder now; nothing is touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Reason, Surplus};
use crate::policy::{Select, Watch};
use crate::storage::{Folder, Scan, Sight};

use super::AgentError;
use super::job::Area;
use super::outlook::{Outlook, Prospect};
use super::retention::{MOST, Retention};

/// How many files are found before they are looked at.
const BATCH: usize = 4096;

/// Looks at everything once and tells what would be done, in the order in which it is found; last what is surplus elsewhere. Paths are relative to the
/// watched folder, those of outputs that would be removed perhaps whole. `others` are other watches' areas. Blocks.
///
/// # Errors
///
/// When a pattern is wrong or a folder cannot be opened.
pub(crate) fn dry_run(watch: &Watch, others: &[Area], tell: &mut dyn FnMut(&Path, Prospect)) -> Result<(), AgentError> {
    let outlook = Outlook::open(watch)?;
    let mut surplus = find_surplus(&outlook, others, tell);
    let mut found_files = false;
    let mut scan = Scan::new(&outlook.root, Path::new(""), Arc::clone(&outlook.rules.select))?;
    loop {
        let batch = scan.next_batch(BATCH, &mut |sight| match sight {
            Sight::PassedOver(path, reason @ Reason::CompressedSuffix(_)) if watch.output_dir.is_none() => {
                let goes = surplus.remove(&watch.path.join(path)).map(Prospect::Remove);
                let goes = goes.or_else(|| withdrawn(&outlook, path));
                tell(path, goes.unwrap_or(Prospect::Skip(reason)));
            }
            Sight::PassedOver(path, reason) => {
                // Of another shard, but a file.
                found_files |= matches!(reason, Reason::OtherShard { .. });
                tell(path, Prospect::Skip(reason));
            }
            Sight::Failed(error) => {
                let path = error.path().to_owned();
                tell(path.strip_prefix(&watch.path).unwrap_or(&path), Prospect::Fail(error));
            }
            Sight::Entered(_) => {}
        });
        found_files |= !batch.files.is_empty();
        for path in &batch.leftovers {
            tell(path, Prospect::Skip(Reason::OwnTemporary));
        }
        for (file, prospect) in batch.files.iter().zip(outlook.of_all(&batch.files)) {
            if let Some(prospect) = prospect {
                tell(file, prospect);
            }
        }
        if batch.end {
            break;
        }
    }
    if let Some(output) = &outlook.output
        && found_files
        && watch.outputs_follow()
    {
        dry_run_outputs(&outlook, output, tell)?;
    }
    for (path, why) in surplus {
        tell(&path, Prospect::Remove(why));
    }
    Ok(())
}

/// What is surplus now, by whole paths; what would be compressed is not counted yet.
fn find_surplus(
    outlook: &Outlook<'_>,
    others: &[Area],
    tell: &mut dyn FnMut(&Path, Prospect),
) -> BTreeMap<PathBuf, Surplus> {
    let watch = outlook.watch;
    // An output folder that is not there holds nothing.
    if !watch.retention.is_limited() || watch.output_dir.is_some() && outlook.output.is_none() {
        return BTreeMap::new();
    }
    let retention = Retention {
        watch,
        select: &outlook.rules.select,
        source: &outlook.root,
        output: outlook.output.as_ref(),
        most: MOST,
    };
    match retention.prospects(others) {
        Ok(surplus) => surplus.into_iter().collect(),
        Err(error) => {
            tell(&watch.output_folder(), Prospect::Fail(error));
            BTreeMap::new()
        }
    }
}

/// Tells of outputs in a folder of their own whose originals are gone.
fn dry_run_outputs(
    outlook: &Outlook<'_>,
    output: &Folder,
    tell: &mut dyn FnMut(&Path, Prospect),
) -> Result<(), AgentError> {
    let mut scan = Scan::new(output, Path::new(""), Arc::new(Select::everything(outlook.watch.shard)))?;
    while !scan
        .next_batch(BATCH, &mut |sight| {
            if let Sight::PassedOver(path, Reason::CompressedSuffix(_)) = sight
                && let Some(prospect) = withdrawn(outlook, path)
            {
                tell(&output.path().join(path), prospect);
            }
        })
        .end
    {}
    Ok(())
}

/// What would become of an output, where that would go or cannot be looked at.
fn withdrawn(outlook: &Outlook<'_>, output: &Path) -> Option<Prospect> {
    match outlook.withdraws(output) {
        Ok(true) => Some(Prospect::Withdraw),
        Ok(false) => None,
        Err(error) => Some(Prospect::Fail(error)),
    }
}
