//! The blocks of one content, compressed by whoever has time and taken back in order.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::super::compress::CompressError;
use super::super::helpers::{Help, Helpers};
use super::super::kept::{self, Lent};
use super::super::source::{Blocks, Input};
use super::engine::{Engine, Fault};
use super::prove::{Proven, compress_block};
use crate::model::Level;

/// A block that was compressed and proven. What it was made from goes back with it to the thread that read it, and is used there again.
pub(super) struct Piece {
    pub(super) proven: Proven,
    pub(super) data: Lent<Vec<u8>>,
    _input: Input,
}

/// Reads blocks, has them compressed by this thread and by such as can be borrowed, and gives them out in order.
pub(super) struct Pipeline<'a, N: Engine, R> {
    blocks: Blocks<R>,
    helpers: &'a dyn Helpers,
    desk: Arc<Desk>,
    /// How many blocks were read, and how many given out.
    begun: usize,
    ended: usize,
    engine: PhantomData<N>,
}

impl<'a, N: Engine, R: Read> Pipeline<'a, N, R> {
    pub(super) fn new(source: R, level: Level, helpers: &'a dyn Helpers) -> Self {
        Pipeline {
            blocks: Blocks::new(source, N::WINDOW),
            helpers,
            desk: Arc::new(Desk::new(level)),
            begun: 0,
            ended: 0,
            engine: PhantomData,
        }
    }

    /// The next piece; none after the last. `check` is called after each step of reading.
    pub(super) fn next<E>(
        &mut self,
        check: &mut impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Option<Piece>, CompressError<E>> {
        self.read_ahead(check)?;
        if self.ended == self.begun {
            return Ok(None);
        }
        let piece = loop {
            if let Some(done) = self.desk.take_done(self.ended) {
                break done.map_err(CompressError::Wrong)?;
            }
            // Where nothing waits, somebody else is at the one that is wanted.
            if !self.desk.work::<N>() {
                self.desk.wait_for(self.ended);
            }
        };
        self.ended += 1;
        Ok(Some(piece))
    }

    /// One block for this thread; for each that helps, one to be at and one to go on with.
    fn read_ahead<E>(&mut self, check: &mut impl FnMut(u64) -> Result<(), E>) -> Result<(), CompressError<E>> {
        while self.begun - self.ended <= 2 * self.desk.helpers() {
            let Some(input) = self.blocks.next(check)? else {
                break;
            };
            let is_only = self.begun == 0 && input.block().last;
            let data = kept::buffer();
            let index = self.begun;
            let waiting = self.desk.add(Job { index, input, data });
            self.begun += 1;
            if !is_only && self.desk.helpers() < waiting {
                self.helpers.try_borrow(help::<N>(&self.desk));
            }
        }
        Ok(())
    }
}

impl<N: Engine, R> Drop for Pipeline<'_, N, R> {
    /// What nobody has begun is not wanted any more.
    fn drop(&mut self) {
        self.desk.lock().waiting.clear();
    }
}

fn help<N: Engine>(desk: &Arc<Desk>) -> Help {
    let helper = Helper::new(desk);
    Box::new(move || helper.0.work::<N>())
}

/// A block to be compressed, and where to.
struct Job {
    index: usize,
    input: Input,
    data: Lent<Vec<u8>>,
}

/// Where blocks lie that are to be compressed, and those that are.
struct Desk {
    level: Level,
    lists: Mutex<Lists>,
    /// Something was done.
    done: Condvar,
    helpers: AtomicUsize,
}

#[derive(Default)]
struct Lists {
    waiting: VecDeque<Job>,
    done: BTreeMap<usize, Result<Piece, Fault>>,
    /// Whether somebody waits for something to be done. To tell of it costs a system call, whoever listens.
    is_awaited: bool,
}

impl Desk {
    fn new(level: Level) -> Self {
        Desk {
            level,
            lists: Mutex::default(),
            done: Condvar::new(),
            helpers: AtomicUsize::new(0),
        }
    }

    /// How many threads are borrowed.
    fn helpers(&self) -> usize {
        self.helpers.load(Ordering::Relaxed)
    }

    /// Adds a job; how many wait then.
    fn add(&self, job: Job) -> usize {
        let mut lists = self.lock();
        lists.waiting.push_back(job);
        lists.waiting.len()
    }

    /// Does the job that waits longest; false where there is none.
    fn work<N: Engine>(&self) -> bool {
        let Some(mut job) = self.lock().waiting.pop_front() else {
            return false;
        };
        let mut outcome = Outcome {
            desk: self,
            index: job.index,
            result: Some(Err("the compressor panicked")),
        };
        let mut engine = kept::engine::<N>(self.level);
        let proven = compress_block(&mut engine.engine, &job.input.block(), &mut job.data);
        outcome.result = Some(proven.map(|proven| Piece {
            proven,
            data: job.data,
            _input: job.input,
        }));
        true
    }

    fn take_done(&self, index: usize) -> Option<Result<Piece, Fault>> {
        self.lock().done.remove(&index)
    }

    fn wait_for(&self, index: usize) {
        let mut lists = self.lock();
        lists.is_awaited = true;
        let waited = self.done.wait_while(lists, |lists| !lists.done.contains_key(&index));
        waited.unwrap_or_else(PoisonError::into_inner).is_awaited = false;
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        // Nothing panics while it is held.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a job, told when it is dropped: a panic is an outcome too.
struct Outcome<'a> {
    desk: &'a Desk,
    index: usize,
    result: Option<Result<Piece, Fault>>,
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        if let Some(result) = self.result.take() {
            let mut lists = self.desk.lock();
            lists.done.insert(self.index, result);
            if lists.is_awaited {
                self.desk.done.notify_all();
            }
        }
    }
}

/// A borrowed thread, as long as it is.
struct Helper(Arc<Desk>);

impl Helper {
    fn new(desk: &Arc<Desk>) -> Self {
        desk.helpers.fetch_add(1, Ordering::Relaxed);
        Helper(Arc::clone(desk))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.helpers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
