//! Several at work on one folder: whatever each of them gets to, every file becomes one output.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::scene::{Layout, Scene};
use crate::support::inbox::Arrival;
use crate::support::strace::Strace;
use crate::support::{Data, Dwindle, Sandbox, needs};

const FILES: usize = 40;

#[test]
fn row_07_two_agents_on_one_folder() {
    for round in 0..4 {
        let sandbox = Sandbox::new();
        let scene = scene(&sandbox, 700 + round);
        // As two users' agents, which do not see each other's locks on the folder: otherwise one would refuse to start.
        let agents = [".runtime", ".runtime-of-another"].map(|runtime| {
            let runtime = sandbox.private_folder(runtime);
            scene.pass().env("RUNTIME_DIRECTORY", runtime).start()
        });
        for agent in agents {
            // It may find a file that the other is at.
            expect_no_panic(&agent.wait_exit().stderr);
        }
        scene.expect_nothing_lost();
        scene.expect_that_a_pass_ends_well();
    }
}

#[test]
fn row_07_compress_beside_an_agent() {
    for round in 0..4 {
        let sandbox = Sandbox::new();
        let scene = scene(&sandbox, 710 + round);
        // From the other end.
        let names = (0..FILES).rev().map(|number| scene.original(&name_of(number)));
        let compress = Dwindle::new(&sandbox).args(["compress"]).args(names);
        let (agent, compress) = (scene.pass().start(), compress.start());
        expect_no_panic(&agent.wait_exit().stderr);
        // Files that the agent was quicker with are missing.
        expect_no_panic(&compress.wait_exit().stderr);
        scene.expect_nothing_lost();
        scene.expect_that_a_pass_ends_well();
    }
}

fn scene(sandbox: &Sandbox, seed: u64) -> Scene<'_> {
    let mut data = Data::from_seed(seed);
    let mut scene = Scene::lay_out(sandbox, &sandbox.folder("inbox"), Layout::Beside, &mut data);
    for number in 0..FILES {
        scene.add(Arrival::new(&mut data, name_of(number)));
    }
    scene
}

fn name_of(number: usize) -> String {
    format!("file-{number}")
}

fn expect_no_panic(log: &str) {
    assert!(!log.contains("panicked"), "{log}");
}

/// As on two hosts, which have different runtime directories, with and without shards. Each is killed again and again in the middle of its
/// work, and started anew at once, while the other goes on.
#[test]
fn row_07_two_agents_that_are_killed_and_started_again() {
    for (round, shards) in [(0, None), (1, Some(["1/2", "2/2"])), (2, None)] {
        let sandbox = Sandbox::new();
        let mut scene = scene(&sandbox, 720 + round);
        let mut data = Data::from_seed(730 + round);
        for number in 0..FILES {
            let mut large = Arrival::new(&mut data, format!("large-{number}"));
            large.original.content = data.log_text(300_000);
            scene.add(large);
        }
        let start = |index: usize| {
            let runtime = sandbox.private_folder(format!(".runtime-of-{index}"));
            let shard = shards.map(|shards| ["--shard", shards[index]]);
            let agent = scene.agent().env("RUNTIME_DIRECTORY", runtime);
            agent.args(shard.into_iter().flatten()).start()
        };
        let mut agents = [start(0), start(1)].map(Some);
        for turn in 0..12 {
            let index = data.number(0..2);
            let mut agent = agents[index].take().expect("started");
            agent.wait_for_text("watching");
            // It is to be met at any of its steps.
            thread::sleep(Duration::from_millis(data.number(0..40) as u64));
            agent.signal(Signal::KILL);
            // Its end is waited for.
            drop(agent);
            agents[index] = Some(start(index));
            if turn % 4 == 3 {
                scene.expect_nothing_lost_meanwhile();
            }
        }
        for agent in agents.into_iter().flatten() {
            agent.signal(Signal::TERM);
            expect_no_panic(&agent.wait_exit().stderr);
        }
        scene.expect_nothing_lost();
        for shard in shards.into_iter().flatten() {
            let pass = scene.pass().args(["--shard", shard]).finish().expect_code(0);
            assert_eq!(pass.report().failed, 0, "{pass}");
        }
        scene.expect_that_a_pass_ends_well();
    }
}

/// Each of them slowed down where it matters: between what it looks at and what it then does.
#[test]
fn row_07_two_agents_whose_steps_take_long() {
    needs!(tool "strace");
    for (round, slow) in (0..).zip([
        "flock:delay_exit=3000",
        "linkat:delay_enter=3000:delay_exit=3000",
        "renameat2:delay_enter=3000:delay_exit=3000",
        "unlinkat:delay_enter=3000",
    ]) {
        let sandbox = Sandbox::new();
        let scene = scene(&sandbox, 740 + round);
        let agents: Vec<_> = (0..2)
            .map(|index| {
                let runtime = sandbox.private_folder(format!(".runtime-of-{index}"));
                let strace = Strace::inject(&sandbox, slow).logging_to(sandbox.path(format!("strace-{index}.log")));
                scene.pass().env("RUNTIME_DIRECTORY", runtime).under(&strace)
            })
            .collect();
        let agents: Vec<_> = agents.into_iter().map(Dwindle::start).collect();
        for agent in agents {
            expect_no_panic(&agent.wait_exit().stderr);
        }
        scene.expect_nothing_lost();
        scene.expect_that_a_pass_ends_well();
    }
}
