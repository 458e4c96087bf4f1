//! `dwindle run --dry-run`: a line per file, and nothing touched.

use std::fmt::Display;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::exit::Exit;
use super::print;
use crate::agent::{Area, Prospect, dry_run};
use crate::model::{Escaped, Reason, Size};
use crate::policy::Watch;

/// Prints what would be done in each watch, then how much that is.
pub(super) fn run(watches: &[Watch]) -> Result<Exit> {
    let mut totals = Totals::default();
    let mut lines = print::Lines::new();
    for watch in watches {
        let area = |watch: &Watch| Area::new([watch.path().to_owned(), watch.output_folder()]);
        let others: Vec<Area> = watches.iter().map(area).filter(|other| *other != area(watch)).collect();
        dry_run(watch, &others, &mut |path, prospect| {
            totals.add(&prospect);
            if !is_of_other_shard(&prospect) {
                lines.add(Line(watch.path().join(path), prospect));
            }
        })?;
    }
    lines.add(&totals);
    lines.end().context("cannot write to standard output")?;
    Ok(if totals.failed > 0 {
        Exit::SomeFailed
    } else {
        Exit::Done
    })
}

/// Of a large folder in many parts, nobody wants to read what the others do.
fn is_of_other_shard(prospect: &Prospect) -> bool {
    matches!(prospect, Prospect::Skip(Reason::OtherShard { .. }))
}

/// The verb first, so that lines can be told apart by eye and by grep.
struct Line(PathBuf, Prospect);

impl Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Line(path, prospect) = self;
        let path = Escaped(path);
        match prospect {
            Prospect::Compress { bytes, output } => {
                write!(f, "compress {path} -> {}: finished, {}", Escaped(output), Size(*bytes))
            }
            Prospect::Remake { bytes, output } => {
                let (output, bytes) = (Escaped(output), Size(*bytes));
                write!(
                    f,
                    "compress {path} -> {output}: finished, {bytes}; in the place of the one that is there"
                )
            }
            Prospect::Finish { output, .. } => {
                write!(
                    f,
                    "finish   {path} -> {}: holds the same bytes already",
                    Escaped(output)
                )
            }
            Prospect::Withdraw => write!(f, "remove   {path}: it goes with its original"),
            Prospect::Wait(wait) => write!(
                f,
                "wait     {path}: touched just now, quiet enough in {:.1} s",
                wait.as_secs_f64()
            ),
            Prospect::InUse => write!(f, "wait     {path}: somebody has it open for writing"),
            Prospect::Await(reason) => write!(f, "wait     {path}: {reason}"),
            Prospect::Skip(reason) => write!(f, "skip     {path}: {reason}"),
            Prospect::Fail(error) => write!(f, "fail     {path}: {error}"),
            Prospect::Remove(surplus) => write!(f, "remove   {path}: {surplus}"),
        }
    }
}

#[derive(Default)]
struct Totals {
    compress: u64,
    bytes: u64,
    wait: u64,
    skipped: u64,
    failed: u64,
    removed: u64,
    of_other_shards: u64,
}

impl Totals {
    fn add(&mut self, prospect: &Prospect) {
        match prospect {
            Prospect::Compress { bytes, .. } | Prospect::Remake { bytes, .. } | Prospect::Finish { bytes, .. } => {
                self.compress += 1;
                self.bytes += bytes;
            }
            Prospect::Wait(_) | Prospect::InUse | Prospect::Await(_) => self.wait += 1,
            Prospect::Skip(Reason::OtherShard { .. }) => self.of_other_shards += 1,
            Prospect::Skip(_) => self.skipped += 1,
            Prospect::Fail(_) => self.failed += 1,
            Prospect::Withdraw | Prospect::Remove(_) => self.removed += 1,
        }
    }
}

impl Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files = if self.compress == 1 { "file" } else { "files" };
        write!(
            f,
            "Would compress {} {files} of {}; {} to wait for, {} skipped, {} failed",
            self.compress,
            Size(self.bytes),
            self.wait,
            self.skipped,
            self.failed
        )?;
        if self.removed > 0 {
            write!(f, "; {} to remove", self.removed)?;
        }
        if self.of_other_shards > 0 {
            write!(f, "; {} fall to other shards", self.of_other_shards)?;
        }
        Ok(())
    }
}
