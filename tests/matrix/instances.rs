//! Several at work on one folder: whatever each of them gets to, every file becomes one output.

use super::scene::{Layout, Scene};
use crate::support::inbox::Arrival;
use crate::support::{Data, Dwindle, Sandbox};

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
