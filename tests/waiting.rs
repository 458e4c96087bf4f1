//! What it costs to wait beside others who are busy.

use std::fs;

use rustix::process::Signal;

use crate::support::Inbox;

/// inotify(7); from the kernel's `linux/inotify.h`.
const IN_ACCESS: u32 = 0x1;
const IN_MODIFY: u32 = 0x2;
const IN_CLOSE_WRITE: u32 = 0x8;
const IN_CLOSE_NOWRITE: u32 = 0x10;
const IN_OPEN: u32 = 0x20;
const IN_MOVED_TO: u32 = 0x80;
const IN_CREATE: u32 = 0x100;

#[test]
fn the_kernel_is_asked_for_nothing_that_reading_and_writing_raise() {
    let inbox = Inbox::new();
    let mut running = inbox.watch("");
    running.wait_until_watched(&inbox.path);
    let masks = masks_of(running.process_id());
    assert!(!masks.is_empty());
    for mask in masks {
        let too_much = mask & (IN_ACCESS | IN_MODIFY | IN_OPEN | IN_CLOSE_NOWRITE);
        assert_eq!(too_much, 0, "{mask:#x}");
        let needed = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE;
        assert_eq!(mask & needed, needed, "{mask:#x}");
    }
    running.signal(Signal::TERM);
    running.wait_exit().expect_code(0);
}

/// Of all inotify watches of a process; `mask:` of `proc_pid_fdinfo(5)`.
fn masks_of(process: u32) -> Vec<u32> {
    let open = fs::read_dir(format!("/proc/{process}/fdinfo")).unwrap();
    let texts = open.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    let masks = |text: String| {
        let watches = text.lines().filter(|line| line.starts_with("inotify "));
        let words = watches.flat_map(str::split_whitespace);
        let masks = words.filter_map(|word| word.strip_prefix("mask:"));
        masks
            .map(|digits| u32::from_str_radix(digits, 16).unwrap())
            .collect::<Vec<_>>()
    };
    texts.flat_map(masks).collect()
}
