//! How the program ends, as a number. Scripts and service managers rely on these.

use std::process::ExitCode;

use crate::daemon::signals::Signal;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All done; also a stop that a signal asked for.
    Done,
    /// Some files failed. The others are done.
    SomeFailed,
    /// The command line is wrong.
    Usage,
    /// It could not start, for a reason that may pass: a folder is missing, or another agent has it (`EX_TEMPFAIL` of sysexits.h).
    TryLater,
    /// The configuration is wrong (`EX_CONFIG` of sysexits.h).
    BadConfiguration,
    /// A second signal, this one, cut the drain short.
    Signal(Signal),
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn number(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::SomeFailed => 1,
            Exit::Usage => 2,
            Exit::TryLater => 75,
            Exit::BadConfiguration => 78,
            Exit::Signal(signal) => signal.exit_code(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_scripts_rely_on() {
        let all = [
            (Exit::Done, 0),
            (Exit::SomeFailed, 1),
            (Exit::Usage, 2),
            (Exit::TryLater, 75),
            (Exit::BadConfiguration, 78),
            (Exit::Signal(Signal::Interrupt), 130),
            (Exit::Signal(Signal::Terminate), 143),
        ];
        for (exit, number) in all {
            assert_eq!(exit.number(), number, "{exit:?}");
        }
    }
}
