//! The simulator that other tests stand on keeps to what a runtime promises, and finds what blocks.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::blocking::assert_may_block;
use crate::support::simulator::{Simulator, take_time};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_clock_goes_on_only_where_nothing_else_can_happen() {
    let simulator = Simulator::from_seed(1);
    let runtime = simulator.runtime();
    let woken = Arc::new(Mutex::new(Vec::new()));
    for hours in [3, 1, 2] {
        let (woken, deadline) = (Arc::clone(&woken), runtime.now() + hours * HOUR);
        let sleep = runtime.sleep_until(deadline);
        runtime.spawn(Box::pin(async move {
            sleep.await;
            woken.lock().unwrap().push(hours);
        }));
    }
    simulator.run_until_idle();
    assert_eq!(simulator.elapsed(), Duration::ZERO);
    simulator.advance(HOUR / 2);
    assert_eq!((simulator.elapsed(), simulator.tasks()), (HOUR / 2, 3));
    assert!(simulator.run_until(|| woken.lock().unwrap().len() == 2));
    assert_eq!(simulator.elapsed(), 2 * HOUR);
    assert!(!simulator.run_until(|| false), "nothing is left to happen");
    assert_eq!(*woken.lock().unwrap(), [1, 2, 3]);
}

#[test]
fn one_seed_is_one_order_and_seeds_differ() {
    let order = |seed| {
        let simulator = Simulator::from_seed(seed);
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..20 {
            let order = Arc::clone(&order);
            let note = move || order.lock().unwrap().push(number);
            if number % 2 == 0 {
                simulator.runtime().spawn(Box::pin(async move { note() }));
            } else {
                simulator.runtime().unblock(Box::new(note));
            }
        }
        assert!(!simulator.run_until(|| false));
        let order = order.lock().unwrap();
        order.clone()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn nobody_hears_of_work_before_its_time_is_over() {
    let simulator = Simulator::from_seed(1);
    let (tell, told) = async_channel::bounded(1);
    simulator.runtime().unblock(Box::new(move || {
        take_time(HOUR);
        tell.try_send(()).unwrap();
    }));
    let (heard, runtime) = (Arc::new(Mutex::new(None)), simulator.runtime());
    simulator.runtime().spawn(Box::pin({
        let heard = Arc::clone(&heard);
        async move {
            // Told already when this task begins late: another step of the same moment.
            let _ = told.recv().await;
            *heard.lock().unwrap() = Some(runtime.now());
        }
    }));
    let begun = simulator.runtime().now();
    assert!(simulator.run_until(|| heard.lock().unwrap().is_some()));
    assert!(heard.lock().unwrap().unwrap() >= begun + HOUR);
}

#[test]
fn a_panic_ends_one_task_or_one_piece_of_work() {
    let simulator = Simulator::from_seed(1);
    let runtime = simulator.runtime();
    // Past the panic hook, which would print.
    runtime.spawn(Box::pin(async { resume_unwind(Box::new("on purpose")) }));
    runtime.unblock(Box::new(|| resume_unwind(Box::new("on purpose"))));
    let ran = Arc::new(AtomicUsize::new(0));
    runtime.spawn({
        let ran = Arc::clone(&ran);
        Box::pin(async move { ran.store(1, Ordering::SeqCst) })
    });
    assert!(simulator.run_until(|| ran.load(Ordering::SeqCst) == 1));
    simulator.advance(HOUR);
    assert_eq!((simulator.tasks(), simulator.waiting_work()), (0, 0));
}

#[test]
fn dropping_it_drops_tasks_and_work() {
    let simulator = Simulator::from_seed(1);
    let runtime = simulator.runtime();
    let held = Arc::new(());
    for late in [false, true] {
        if late {
            simulator.run_until_idle();
        }
        let (task, work, sleep) = (
            Arc::clone(&held),
            Arc::clone(&held),
            runtime.sleep_until(runtime.now() + HOUR),
        );
        runtime.spawn(Box::pin(async move {
            sleep.await;
            drop(task);
        }));
        runtime.unblock(Box::new(move || drop(work)));
    }
    drop(simulator);
    assert_eq!(Arc::strong_count(&held), 1);
    let task = Arc::clone(&held);
    runtime.spawn(Box::pin(async move { drop(task) }));
    assert_eq!(Arc::strong_count(&held), 1, "nothing is taken any more");
}

#[test]
fn a_future_that_waits_for_ever_is_told() {
    let simulator = Simulator::from_seed(1);
    assert_eq!(simulator.block_on(async { 7 }), 7);
    let waits = || simulator.block_on(std::future::pending::<()>());
    assert!(panic_of(waits).contains("never ready"));
}

#[test]
fn a_task_that_blocks_is_told_by_its_number() {
    let simulator = Simulator::from_seed(1);
    simulator.runtime().unblock(Box::new(|| assert_may_block("a job")));
    simulator.advance(HOUR);
    let blocks = || simulator.block_on(async { assert_may_block("a job") });
    assert_eq!(panic_of(blocks), "task 0 blocked its thread: a job");
}

#[test]
fn the_kernel_tells_what_a_task_read_and_whether_it_slept() {
    let simulator = Simulator::from_seed(1).detecting_system_calls();
    simulator.block_on(async { std::hint::black_box(vec![1; 1000]) });
    let reads = || simulator.block_on(async { std::fs::read("/proc/self/stat").unwrap() });
    assert!(panic_of(reads).contains("calls of read"));
    let sleeps = || simulator.block_on(async { std::thread::sleep(Duration::from_millis(1100)) });
    assert!(panic_of(sleeps).contains("0 calls of read or write, slept"));
    simulator
        .runtime()
        .unblock(Box::new(|| drop(std::fs::read("/proc/self/stat"))));
    simulator.advance(HOUR);
}

fn panic_of<T>(work: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(work)).err().expect("it panics");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}
