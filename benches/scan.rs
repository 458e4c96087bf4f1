//! What it costs to find the files of a folder, and to look at each.
//!
//! ```sh
//! cargo bench --bench scan
//! ```
//!
//! A figure is the time for all files; items a second are files. The folders are made where `TMPDIR` says, and are in the kernel's caches.
//! The storage is not public: it is compiled in.

#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

#[path = "../src/codec/mod.rs"]
mod codec;
#[path = "../src/model/mod.rs"]
mod model;
#[path = "../src/policy/mod.rs"]
mod policy;
#[path = "../src/storage/mod.rs"]
mod storage;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use divan::Bencher;
use divan::counter::ItemsCount;
use policy::{Select, WriterCheck};
use storage::{Folder, Look, Rules, Scan, look};
use tempfile::TempDir;

fn main() {
    divan::main();
}

const FILES: usize = 10_000;

/// As many as the agenda asks for.
const BATCH: usize = 256;

/// The same files in one folder, and in many.
#[divan::bench(args = [1, 100, 1000], sample_count = 20)]
fn scan(bencher: Bencher<'_, '_>, folders: usize) {
    let inbox = inbox(folders);
    let root = Folder::open(inbox.path()).expect("it is there");
    bencher
        .counter(ItemsCount::new(FILES))
        .bench_local(|| assert_eq!(find_all(&root).len(), FILES));
}

/// What a worker does before it compresses: status, open, lease, first bytes.
#[divan::bench(args = [1, 100], sample_count = 20)]
fn look_at_each(bencher: Bencher<'_, '_>, folders: usize) {
    let inbox = inbox(folders);
    let root = Folder::open(inbox.path()).expect("it is there");
    let files = find_all(&root);
    let rules = Rules {
        select: Arc::new(Select::everything(None)),
        settle: Duration::ZERO,
        writer_check: WriterCheck::Lease,
        siblings: Arc::default(),
    };
    let is_ready = |path: &PathBuf| {
        let (folder, name) = (path.parent().unwrap_or(Path::new("")), path.file_name());
        let parent = root.folder(folder).expect("it is there");
        let found = look(&parent, name.expect("a file has a name"), &rules, SystemTime::now());
        matches!(found.expect("it can be read"), Look::Ready(_))
    };
    bencher
        .counter(ItemsCount::new(FILES))
        .bench_local(|| assert_eq!(files.iter().filter(|path| is_ready(path)).count(), FILES));
}

fn find_all(root: &Folder) -> Vec<PathBuf> {
    let mut scan = Scan::new(root, Path::new(""), Arc::new(Select::everything(None))).expect("it is there");
    let mut files = Vec::new();
    loop {
        let batch = scan.next_batch(BATCH, &mut |_| ());
        files.extend(batch.files);
        if batch.end {
            return files;
        }
    }
}

fn inbox(folders: usize) -> TempDir {
    let inbox = tempfile::tempdir().expect("there is room");
    for folder in 0..folders {
        let below = inbox.path().join(format!("folder-{folder:04}"));
        fs::create_dir(&below).expect("there is room");
        for number in 0..FILES / folders {
            fs::write(below.join(format!("report-{number:05}.csv")), "1,2,3\n").expect("there is room");
        }
    }
    inbox
}
