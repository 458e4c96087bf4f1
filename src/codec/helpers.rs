//! Threads that have nothing else to do.

/// Threads that may help with a large content while they have nothing else to do.
pub(crate) trait Helpers {
    /// Gives `help` to an idle thread, or drops it and says false where there is none. Does not block.
    ///
    /// The thread calls it until it says false, or until the thread has something else to do, and drops it then. Between two calls
    /// nothing is held up by that; each compresses one block. A call that panics fails the content, and nothing else.
    fn try_borrow(&self, help: Help) -> bool;

    /// Whether no other content is at hand, as far as is known, so that nothing is to be gained by doing things for many at once.
    fn have_nothing_to_do(&self) -> bool {
        false
    }
}

/// One turn of help; false where there is nothing left to do for now.
pub(crate) type Help = Box<dyn FnMut() -> bool + Send>;

/// Nobody helps.
pub(crate) struct Alone;

impl Helpers for Alone {
    fn try_borrow(&self, _: Help) -> bool {
        false
    }

    fn have_nothing_to_do(&self) -> bool {
        true
    }
}
