//! The program that this one grew out of: compress the files named on the command line, wait for all of them, say how many.
//!
//! `cargo run --example compress_files -- FILE...`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, thread};

use dwindle::{FileOptions, FileOutcome, compress_file};

fn main() -> ExitCode {
    let files: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let options = FileOptions::default();
    let next = AtomicUsize::new(0);
    let compressed = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);

    let work = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            match compress_file(file, &options) {
                Ok(FileOutcome::Compressed { .. }) => {
                    compressed.fetch_add(1, Ordering::Relaxed);
                }
                Ok(FileOutcome::Skipped(reason)) => eprintln!("{}: {reason}", file.display()),
                Ok(_) => {}
                Err(error) => {
                    eprintln!("{error}");
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });

    println!("Compressed {} files", compressed.into_inner());
    ExitCode::from(u8::from(failed.into_inner() > 0))
}
