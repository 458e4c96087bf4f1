//! All integration tests in one binary: one link instead of one a file. A new file needs its `mod` line here; `tidiness` says so
//! when it is forgotten.

/// The commands that print: their text, their exit codes, their log.
mod commands;
/// `compress`: what becomes of the files named.
mod compress;
/// `compress`: its options, and odd names.
mod compress_options;
/// `compress -`: standard input to standard output.
mod filter;
/// The floors of `src/`: who may use whom.
mod floors;
/// `compress` at a terminal: the bar, and Ctrl-C.
mod interruption;
/// What is shipped beside the program: the systemd unit.
mod packaging;
/// The runtime with a simulated clock: what it promises, and what it finds.
mod simulator;
/// What every source file keeps to: its size, nothing left to do, no test file forgotten.
mod tidiness;

/// What the tests stand on: folders, seeded data, the program under test, and how its outputs are read back.
mod support;
