//! The power fails at any moment: only what was made durable by then is there afterwards.

use super::moments::{Moment, Moments, for_each};
use super::scene::{LAYOUTS, Layout, Scene};
use crate::support::mounts::{Disk, Mount};
use crate::support::tracer::{End, run_until};
use crate::support::{Arrival, Data, Sandbox, needs};

#[test]
fn row_02_the_power_fails_on_ext4() {
    needs!(mounts);
    needs!(tool "xfs_io");
    fail_at_some_moments(Disk::Ext4);
}

#[test]
fn row_03_the_power_fails_on_xfs() {
    needs!(mounts);
    needs!(tool "mkfs.xfs");
    fail_at_some_moments(Disk::Xfs);
}

fn fail_at_some_moments(disk: Disk) {
    let mut data = Data::from_seed(201);
    let mut moments = Vec::new();
    for layout in LAYOUTS {
        let some = moments_of(disk, layout).some(4, &mut data);
        moments.extend(some.into_iter().map(|moment| (layout, moment)));
        // After its end, what it reported as compressed stays so.
        moments.push((layout, Moment::Never));
    }
    for_each(&moments, |(layout, moment)| fail_at(disk, *layout, *moment));
}

fn fail_at(disk: Disk, layout: Layout, moment: Moment) {
    let sandbox = Sandbox::with_room_for(256 << 20);
    let mount = Mount::of_disk(&sandbox, disk);
    let scene = scene(&sandbox, &mount, layout);
    let end = run_until(&mut scene.command(), moment.is_it(), || mount.cut_power());
    if end != End::Killed {
        mount.cut_power();
    }
    mount.start_again();
    scene.expect_nothing_lost();
    if end != End::Killed {
        // The originals' removal may be undone by this, but no output.
        scene.expect_outputs();
    }
    scene.expect_that_a_pass_ends_well();
}

fn moments_of(disk: Disk, layout: Layout) -> Moments {
    let sandbox = Sandbox::with_room_for(256 << 20);
    let mount = Mount::of_disk(&sandbox, disk);
    let scene = scene(&sandbox, &mount, layout);
    Moments::of(&mut scene.command())
}

/// All that is in it is on the disk.
fn scene<'a>(sandbox: &'a Sandbox, mount: &Mount, layout: Layout) -> Scene<'a> {
    let data = &mut Data::from_seed(202);
    let mut scene = Scene::lay_out(sandbox, &mount.path().join("inbox"), layout, data);
    // Enough for some to be made durable together, while others are published.
    for mut original in Arrival::several(data, 40) {
        original.original.content.truncate(1000);
        scene.add(original);
    }
    mount.sync();
    scene
}
