//! The ends of a simulated agent: at any moment, in every way there is; and what must be true then.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::disk::Folder;
use super::simulator::Simulator;
use super::world::{LONGEST_JOB, State};
use super::{Happening, Millis, REST, ROOMY, SLACK, Simulation};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Drain(Option<Millis>),
    Abort,
    Once { patience: Millis },
    DropHandle,
    DropRuntime,
}

pub(super) fn plan_an_end(state: &mut State, at: Millis) {
    let within = state.rng.u64(0..20_000);
    let mut plan = |at, end| state.plan_in(at, Happening::End(end));
    match within % 8 {
        0 => plan(at, End::Abort),
        1 => plan(at, End::Drain(None)),
        2 => plan(at, End::Drain(Some(within))),
        3 => plan(at, End::Once { patience: within }),
        4 => plan(at, End::DropHandle),
        5 => plan(at, End::DropRuntime),
        6 => {
            plan(at, End::Drain(None));
            plan(at + within, End::Abort);
        }
        _ => {
            plan(at, End::Once { patience: within });
            plan(at + within, End::Drain(Some(within)));
        }
    }
}

impl Simulation {
    pub(super) fn end(&mut self, end: End) {
        self.check_before_the_end();
        let now = self.world.lock().now;
        let in_flight = LONGEST_JOB + 2_000;
        let work: Millis = self
            .world
            .lock()
            .folders
            .values()
            .map(|folder| folder.files.len() as Millis + 8)
            .sum();
        let work = work * LONGEST_JOB + SLACK;
        let ends_by = match end {
            End::Drain(None) => now + work,
            End::Drain(Some(limit)) => now + limit + in_flight,
            End::Once { patience } => now.max(self.quiet_from) + patience + work + 5 * SLACK,
            End::Abort | End::DropHandle | End::DropRuntime => now + in_flight,
        };
        self.ends_by = self.ends_by.min(ends_by);
        match end {
            End::Abort | End::DropHandle => self.world.lock().account.give_up_at(now),
            End::Drain(Some(limit)) => self.world.lock().account.give_up_at(now + limit),
            End::Once { .. } => self.world.lock().account.once_from(now),
            End::Drain(None) | End::DropRuntime => {}
        }
        match end {
            End::Drain(limit) => {
                let limit = limit.map(Duration::from_millis);
                self.call(move |agent| async move { drop(agent.drain(limit).await) });
            }
            End::Once { patience } => {
                let patience = Duration::from_millis(patience);
                self.call(move |agent| async move { drop(agent.end_when_done(patience).await) });
            }
            End::Abort => self.call(|agent| async move { drop(agent.abort().await) }),
            End::DropHandle => self.agent = None,
            End::DropRuntime => self.drop_the_runtime(),
        }
        if self.ending.is_none() && end != End::DropRuntime {
            self.take_snapshots(30);
            let report = Arc::clone(&self.report);
            self.call(|agent| async move {
                let result = agent.report().await;
                *report.lock().expect("no panic") = Some(result);
            });
        }
        self.ending = Some(end);
    }

    /// Whoever waits for the agent must hear that it is gone.
    fn drop_the_runtime(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        let is_told = |poll: Poll<bool>| poll == Poll::Ready(true);
        let mut context = Context::from_waker(Waker::noop());
        let mut asked = pin!(async { agent.snapshot().await.is_err() });
        let _ = asked.as_mut().poll(&mut context);
        self.simulator = None;
        let asks = pin!(async { agent.snapshot().await.is_err() });
        let waits = pin!(async { agent.report().await.is_err() });
        let told = [
            asked.poll(&mut context),
            asks.poll(&mut context),
            waits.poll(&mut context),
        ];
        let account = &mut self.world.lock().account;
        account.demand(told.into_iter().all(is_told), || {
            format!("the runtime is gone, and calls are {told:?}")
        });
    }

    /// At the end of a long rest nothing is left to do.
    fn check_before_the_end(&self) {
        let mut state = self.world.lock();
        if state.now < self.quiet_from + REST {
            return;
        }
        let State { folders, account, .. } = &mut *state;
        for (watch, folder) in folders.iter().filter(|(_, folder)| !folder.is_removed) {
            let open = folder.open_work();
            account.demand(open.is_none(), || format!("{open:?} of {watch:?} was never compressed"));
        }
    }

    pub(super) fn check_end(&mut self) -> Result<(), String> {
        self.agent = None;
        let Some(simulator) = &self.simulator else {
            return Ok(());
        };
        self.check_workers_ended(simulator);
        simulator.advance(Duration::from_secs(2));
        let (tasks, work) = (simulator.tasks(), simulator.waiting_work());
        let calls = self.calls.load(Ordering::SeqCst);
        let forgets = self.removes || self.files != ROOMY;
        let mut state = self.world.lock();
        let State { folders, account, .. } = &mut *state;
        account.problem()?;
        let Some(told) = account.finished else {
            return Err("it does not end in time".to_owned());
        };
        account.demand(calls == 0, || format!("{calls} calls never returned"));
        account.demand(tasks + work == 0, || {
            format!("{tasks} tasks and {work} pieces of work are left")
        });
        let is_one_pass = matches!(self.ending, Some(End::Once { .. }));
        account.check_report(&told, forgets, is_one_pass);
        if self.quiet_from == 0 && told.failed + told.left == 0 {
            let mut open = folders.values().filter_map(Folder::unlinked_work);
            account.demand(open.next().is_none(), || {
                "a file was forgotten in the one pass".to_owned()
            });
        }
        let report = self.report.lock().expect("no panic");
        let is_dropped = self.ending == Some(End::DropHandle);
        let same = matches!(&*report, Some(Ok(report)) if *report == told);
        account.demand(same || is_dropped, || {
            format!("{report:?} was reported, {told:?} was told")
        });
        account.problem()
    }

    /// At the moment of the end only calls are open, and perhaps a scan that nobody waits for.
    fn check_workers_ended(&self, simulator: &Simulator) {
        let (tasks, calls) = (simulator.tasks(), self.calls.load(Ordering::SeqCst));
        let mut state = self.world.lock();
        let is_scanning = state.account.is_scanning(state.now) || simulator.waiting_work() > 0;
        let holds = tasks <= calls || is_scanning || state.account.finished.is_none();
        state.account.demand(holds, || {
            format!("{tasks} tasks at the end, and {calls} calls are open")
        });
    }
}
