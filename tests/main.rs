//! All integration tests in one binary: one link instead of one a file. A new file needs its `mod` line here; `tidiness` says so
//! when it is forgotten.

/// The floors of `src/`: who may use whom.
mod floors;
/// What is shipped beside the program: the systemd unit.
mod packaging;
/// The runtime with a simulated clock: what it promises, and what it finds.
mod simulator;
/// What every source file keeps to: its size, nothing left to do, no test file forgotten.
mod tidiness;

/// What the tests stand on: folders, seeded data, the program under test, and how its outputs are read back.
mod support;
