//! What is left to do for a file that came with a marker: to remove that, when the file has been dealt with and not before.

use std::sync::Arc;

use crate::model::{Observer, Reason};
use crate::storage::{Folder, Marker, Syncs};

use super::job::{Attempt, Cancel};
use super::pool::{Unfinished, Worked};

/// A marker whose file is being worked on.
pub(super) struct Marked {
    marker: Marker,
    /// Where both stand.
    parent: Arc<Folder>,
    observer: Arc<dyn Observer>,
}

impl Marked {
    pub(super) fn new(marker: Marker, parent: &Arc<Folder>, observer: &Arc<dyn Observer>) -> Self {
        Marked {
            marker,
            parent: Arc::clone(parent),
            observer: Arc::clone(observer),
        }
    }

    /// The same work, at the end of which the marker is removed.
    pub(super) fn follow(self, worked: Worked<Attempt>) -> Worked<Attempt> {
        match worked {
            Worked::Ended(attempt) => {
                self.end(&attempt);
                Worked::Ended(attempt)
            }
            Worked::Later(rest, wait) => Worked::Later(Box::new(MarkedRest { marked: self, rest }), wait),
        }
    }

    /// A file that was left as it is keeps its marker.
    fn end(&self, attempt: &Attempt) {
        let is_done = matches!(attempt, Attempt::Compressed { .. } | Attempt::Skipped(Reason::UpToDate));
        if is_done && let Err(error) = self.marker.remove(&self.parent) {
            self.observer.warning(&error.to_string());
        }
    }
}

struct MarkedRest {
    marked: Marked,
    rest: Box<dyn Unfinished<Attempt>>,
}

impl Unfinished<Attempt> for MarkedRest {
    fn enlist(&self, syncs: &mut Syncs) {
        self.rest.enlist(syncs);
    }

    fn waits_for_disk(&self) -> bool {
        self.rest.waits_for_disk()
    }

    fn takes_long(&self) -> bool {
        self.rest.takes_long()
    }

    fn advance(self: Box<Self>, syncs: &mut Syncs, cancel: &Cancel) -> Worked<Attempt> {
        let MarkedRest { marked, rest } = *self;
        marked.follow(rest.advance(syncs, cancel))
    }
}
