//! Killed at any moment: what is on disk directly afterwards, and after one more run.

use std::os::unix::process::ExitStatusExt;

use super::moments::{Moment, Moments, for_each, is_exhaustive};
use super::scene::{LAYOUTS, Layout, Scene};
use crate::support::inbox::Arrival;
use crate::support::memory::MemoryGroup;
use crate::support::skip::present;
use crate::support::tracer::{Call, End, run_until};
use crate::support::{Data, Sandbox};

#[test]
fn row_01_killed_at_any_system_call_nothing_is_lost_and_the_next_run_finishes() {
    let mut data = Data::from_seed(101);
    let mut moments = Vec::new();
    for layout in LAYOUTS {
        let some = moments_of(layout).some(8, &mut data);
        moments.extend(some.into_iter().map(|moment| (layout, moment)));
    }
    for_each(&moments, |(layout, moment)| {
        let sandbox = in_memory();
        let scene = scene(&sandbox, *layout);
        kill_at(&scene, *moment);
        scene.expect_that_a_pass_ends_well();
    });
}

#[test]
fn row_04_killed_again_and_again_while_it_recovers_nothing_is_lost() {
    let mut data = Data::from_seed(104);
    let count = if is_exhaustive() { 200 } else { 6 };
    let mut lives = Vec::new();
    for layout in LAYOUTS {
        let moments = moments_of(layout);
        lives.extend((0..count).map(|_| (layout, [(); 5].map(|()| moments.one(&mut data)))));
    }
    for_each(&lives, |(layout, moments)| {
        let sandbox = in_memory();
        let scene = scene(&sandbox, *layout);
        for moment in moments {
            kill_at(&scene, *moment);
        }
        scene.expect_that_a_pass_ends_well();
    });
}

#[test]
fn row_05_killed_between_publication_and_removal_an_original_is_found_again() {
    let mut data = Data::from_seed(106);
    // Another run may take a few more.
    let stretch: Vec<usize> = (0..calls_from_publication_to_removal() + 5).collect();
    let sample = (0..40).map(|_| stretch[data.number(0..stretch.len())]).collect();
    let moments: Vec<usize> = if is_exhaustive() { stretch } else { sample };
    for_each(&moments, |moment| {
        let sandbox = in_memory();
        let scene = scene(&sandbox, Layout::Beside);
        let mut calls = Published::default();
        let is_there = |call| calls.count(call) == Some(*moment);
        assert_eq!(run_until(&mut scene.command(), is_there, || ()), End::Killed);
        scene.expect_nothing_lost();
        scene.expect_that_a_pass_ends_well();
    });
}

/// A folder in memory, so that outputs count against the limit and it is met while one is written.
#[test]
fn row_06_killed_for_want_of_memory_nothing_is_lost() {
    let Some(group) = MemoryGroup::new(24 << 20) else {
        present("a control group for memory", false);
        return;
    };
    let sandbox = in_memory();
    let mut scene = scene(&sandbox, Layout::Beside);
    let mut data = Data::from_seed(107);
    for number in 0..6 {
        let mut large = Arrival::new(&mut data, format!("large-{number}"));
        large.original.content = data.random_bytes(8 << 20);
        scene.add(large);
    }
    let status = scene.pass().within(&group).finish().status;
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{status}");
    scene.expect_nothing_lost();
    scene.expect_that_a_pass_ends_well();
}

fn calls_from_publication_to_removal() -> usize {
    let sandbox = in_memory();
    let (mut calls, mut at_removal) = (Published::default(), None);
    let note = |call: Call| {
        if let (Some(count), libc::SYS_unlinkat) = (calls.count(call), call.number) {
            at_removal.get_or_insert(count);
        }
        false
    };
    run_until(&mut scene(&sandbox, Layout::Beside).command(), note, || ());
    at_removal.expect("originals are removed")
}

/// Counts the system calls since the first output got its name.
#[derive(Default)]
struct Published {
    calls: Option<usize>,
}

impl Published {
    /// How many there were, with this one; 0 is the publication itself.
    fn count(&mut self, call: Call) -> Option<usize> {
        self.calls = match self.calls {
            None if call.number == libc::SYS_linkat => Some(0),
            calls => calls.map(|calls| calls + 1),
        };
        self.calls
    }
}

/// Killed, nothing that was written is lost with the program, so that a disk would only take time.
fn in_memory() -> Sandbox {
    Sandbox::with_room_for(256 << 20)
}

fn scene(sandbox: &Sandbox, layout: Layout) -> Scene<'_> {
    Scene::lay_out(sandbox, &sandbox.folder("inbox"), layout, &mut Data::from_seed(102))
}

fn moments_of(layout: Layout) -> Moments {
    let sandbox = in_memory();
    let scene = scene(&sandbox, layout);
    let moments = Moments::of(&mut scene.command());
    scene.expect_done();
    moments
}

/// Kills a pass, unless it has ended before, and checks that nothing is lost.
fn kill_at(scene: &Scene<'_>, moment: Moment) {
    run_until(&mut scene.command(), moment.is_it(), || ());
    scene.expect_nothing_lost();
}
