//! The clock jumps: what it says is only asked how long ago a file was touched.

use super::scene::{Layout, Scene};
use crate::support::clock::Clock;
use crate::support::inbox::Arrival;
use crate::support::{Data, Sandbox, needs};

#[test]
fn row_21_the_clock_jumps_back_and_forth() {
    needs!(tool "faketime");
    let sandbox = Sandbox::new();
    let mut data = Data::from_seed(210);
    let mut scene = Scene::lay_out(&sandbox, &sandbox.folder("inbox"), Layout::Beside, &mut data);
    let clock = Clock::new(&sandbox);
    let mut running = scene.agent_that_waits("500ms").with_clock(&clock).start();
    running.wait_for_text("watching");

    // While files settle. It gets over this by itself.
    clock.set("-3s");
    scene.add(Arrival::new(&mut data, "behind"));
    running.wait_for("every output", || scene.outputs_missing().is_empty());

    // All that is told now is from the future.
    clock.set("-2d");
    scene.add(Arrival::new(&mut data, "far-behind"));
    scene.expect_nothing_lost_meanwhile();

    // Nothing is as young as it seems.
    clock.set("+2d");
    scene.add(Arrival::new(&mut data, "far-ahead"));
    running.wait_for("every output", || scene.outputs_missing().is_empty());
    clock.set("+0");
    scene.add(Arrival::new(&mut data, "right-again"));
    scene.wait_until_done(running);
}
