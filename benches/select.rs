//! What it costs to ask whether a name is ours: of every event, and of every entry of a scan.
//!
//! ```sh
//! cargo bench --bench select
//! ```
//!
//! A figure is the time for all names; items a second are names. The rules are not public: they are compiled in.

#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

#[path = "../src/model/mod.rs"]
mod model;
#[path = "../src/policy/mod.rs"]
mod policy;

use std::path::{Path, PathBuf};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use policy::{Preset, Select, Watch};

fn main() {
    divan::main();
}

/// Names as they lie in folders: taken and passed over, for each of the reasons that a name can give.
const NAMES: [&str; 16] = [
    "report-2026-11-23.csv",
    "orders/2026/11/23/order-000017.json",
    "app.log",
    "app.log.1",
    "app.log-20261123",
    "app-2026-11-23T12-00-00.000.log",
    "app.log.2.gz",
    "photo.JPEG",
    "index.html",
    "script.min.js",
    ".app.log.a1B2c3",
    "upload.csv.partial",
    ".cache/entry",
    "notes.txt~",
    "libz.so.1",
    "a name with spaces and ünïcode.txt",
];

#[divan::bench(args = [Preset::Inbox, Preset::RotatedLogs, Preset::StaticAssets])]
fn preset(bencher: Bencher<'_, '_>, preset: Preset) {
    ask(bencher, &Watch::new("/srv/inbox", preset));
}

/// Globs as in `include` and `exclude`: half of them match names, half paths.
#[divan::bench(args = [2, 20, 200])]
fn globs(bencher: Bencher<'_, '_>, count: usize) {
    let globs = |kind: &str| -> Vec<String> {
        let glob = |number| match number % 2 {
            0 => format!("*-{kind}{number}.csv"),
            _ => format!("orders/{kind}{number}/**/*.json"),
        };
        (0..count / 2).map(glob).collect()
    };
    let mut include = globs("in");
    include.push("*".to_owned());
    ask(
        bencher,
        &Watch::new("/srv/inbox", Preset::Inbox)
            .with_include(include)
            .with_exclude(globs("out")),
    );
}

#[divan::bench]
fn compile_twenty_globs() -> Select {
    let globs = (0..20).map(|number| format!("reports/{number}/**/*.csv"));
    let watch = Watch::new("/srv/inbox", Preset::Inbox).with_include(globs);
    Select::new(&watch).expect("the globs are right")
}

fn ask(bencher: Bencher<'_, '_>, watch: &Watch) {
    let select = Select::new(watch).expect("the globs are right");
    bencher.counter(ItemsCount::new(NAMES.len())).bench_local(|| {
        NAMES
            .iter()
            .filter(|name| select.file(Path::new(black_box(name))).is_ok())
            .count()
    });
}
