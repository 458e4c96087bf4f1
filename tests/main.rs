//! All integration tests in one binary: one link instead of one a file. A new file needs its `mod` line here; `tidiness` says so
//! when it is forgotten.

/// `dwindle run`: every way in which a file comes into a watched folder.
mod arrivals;
/// The commands that print: their text, their exit codes, their log.
mod commands;
/// `compress`: what becomes of the files named.
mod compress;
/// `compress`: its options, and odd names.
mod compress_options;
/// The library's public surface, the same on five runtimes.
mod conformance;
/// `dwindle run`: originals that go to a folder of their own.
mod done_dir;
/// The examples, run.
mod examples;
/// `explain`, and what a dry run says of the same files.
mod explain;
/// `dwindle run`: where a folder may lie, and how it is watched there.
mod file_systems;
/// `compress -`: standard input to standard output.
mod filter;
/// The floors of `src/`: who may use whom.
mod floors;
/// Generated files that are committed: manual pages and completions.
mod generated;
/// What happens around the program and must not stop it.
mod hardship;
/// `dwindle run`: programs that are run when a file is done.
mod hooks;
/// `dwindle run`: of two agents on one folder the second does not start.
mod instances;
/// `compress` at a terminal: the bar, and Ctrl-C.
mod interruption;
/// The examples for Kubernetes, as far as that goes without a cluster.
mod kubernetes;
/// Where the log goes: the journal, text, and that nobody waits for it.
mod logs;
/// `dwindle run`: files that wait for their markers.
mod marker;
/// Everything that may go wrong, row by row, and that no byte is lost by it.
mod matrix;
/// `dwindle run`: metrics for Prometheus, and who asks for them.
mod metrics;
/// `dwindle run`: names that come again.
mod names_again;
/// What the .deb and the .rpm bring.
mod packages;
/// What is shipped beside the program: units, the user they run as, the example configuration.
mod packaging;
/// `dwindle run`: what is never taken.
mod passed_over;
/// The programs that people really run beside it: logrotate, nginx, rsync, sftp, an editor and others.
mod peers;
/// Outputs of several blocks, read by everything that reads gzip.
mod readers;
/// `dwindle run`: SIGHUP, and the configuration that is read again then.
mod reloading;
/// `dwindle run`: outputs that are removed again.
mod retention;
/// `dwindle run`: rotated logs, and which of a series are taken when.
mod rotated_logs;
/// `dwindle run` under a service manager: what it is told, and when.
mod service;
/// `dwindle run`: what the keys of a watch change.
mod settings;
/// `--shard`: agents that share a folder, each with its part of the files.
mod shards;
/// The runtime with a simulated clock: what it promises, and what it finds.
mod simulator;
/// `dwindle run`: web files, each with a `.gz` that goes the way of its original.
mod static_assets;
/// A `.gz` beside each web file, sent by a real nginx.
mod static_assets_nginx;
/// `dwindle status`: what an agent says of itself through its control socket, to whom, and how it is shown.
mod status;
/// `dwindle run`: how it ends, by signals, by itself, or before it has begun.
mod stopping;
/// What every source file keeps to: its size, nothing left to do, no test file forgotten.
mod tidiness;
/// The shipped units on a real systemd: what an admin does with them, and what the sandbox does to the work.
mod units;
/// `dwindle run`: what it costs to wait.
mod waiting;
/// The other format, from the command line and in a watch.
mod zstd;

/// What the tests stand on: folders, seeded data, the program under test, and how its outputs are read back.
mod support;
