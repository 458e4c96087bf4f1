//! The moments of a run at which something may go wrong: its system calls. Some of them are tried, or all.

use std::env;
use std::fmt::Debug;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use libc::c_long;

use crate::support::Data;
use crate::support::tracer::{Call, End, run_until};

/// These give a name, take one or change one, so that each of them leaves another state for the next run to find.
const NAME_CHANGES: [c_long; 5] = [
    libc::SYS_linkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
];

/// A system call before which something may go wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// The one of this index among all.
    Call(usize),
    /// The one of this index among those that change names. Unlike the others they are the same ones in every run.
    NameChange(usize),
    /// There is none: the run comes to its end.
    Never,
}

impl Moment {
    /// To be asked of each call of a run, in their order.
    pub(super) fn is_it(self) -> impl FnMut(Call) -> bool {
        let mut name_changes = 0;
        move |call| {
            let is_name_change = NAME_CHANGES.contains(&call.number);
            name_changes += usize::from(is_name_change);
            match self {
                Moment::Call(index) => call.index == index,
                Moment::NameChange(index) => is_name_change && name_changes == index + 1,
                Moment::Never => false,
            }
        }
    }
}

/// The system calls of a run that nothing hindered, in their order. Another run has them in nearly the same.
pub(super) struct Moments {
    calls: Vec<c_long>,
}

impl Moments {
    /// Those of this run, which is made for it.
    pub(super) fn of(run: &mut Command) -> Self {
        let mut calls = Vec::new();
        let end = run_until(
            run,
            |call| {
                calls.push(call.number);
                false
            },
            || (),
        );
        assert_eq!(end, End::Exited(0));
        Moments { calls }
    }

    /// All of them when all are asked for; otherwise all that change names, and so many others.
    pub(super) fn some(&self, others: usize, data: &mut Data) -> Vec<Moment> {
        if is_exhaustive() {
            return (0..self.calls.len()).map(Moment::Call).collect();
        }
        let mut some: Vec<_> = (0..self.name_changes()).map(Moment::NameChange).collect();
        some.extend((0..others).map(|_| Moment::Call(data.number(0..self.calls.len()))));
        some
    }

    /// Any one of them.
    pub(super) fn one(&self, data: &mut Data) -> Moment {
        match data.number(0..2) {
            0 => Moment::Call(data.number(0..self.calls.len())),
            _ => Moment::NameChange(data.number(0..self.name_changes())),
        }
    }

    fn name_changes(&self) -> usize {
        self.calls.iter().filter(|call| NAME_CHANGES.contains(call)).count()
    }
}

/// Whether the long tests go through every moment instead of some.
pub(super) fn is_exhaustive() -> bool {
    env::var_os("DWINDLE_EXHAUSTIVE").is_some_and(|value| value == "1")
}

/// Does it for each item, some at the same time: most of the time is spent waiting. On failure prints the item.
pub(super) fn for_each<T: Sync + Debug>(items: &[T], work: impl Fn(&T) + Sync) {
    const AT_ONCE: usize = 4;
    struct Item<'a, T: Debug>(&'a T);
    impl<T: Debug> Drop for Item<'_, T> {
        fn drop(&mut self) {
            if thread::panicking() {
                eprintln!("it was at {:?}", self.0);
            }
        }
    }
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let _item = Item(item);
                    work(item);
                }
            });
        }
    });
}
