//! Where a rotated file stands among those beside it, and whether by that it may be taken.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::series::{Key, Order, Rotation, rotation};
use crate::model::Reason;

/// Where a rotated file stands among those beside it: whether its writer has surely gone on to another one, and whether it is one of
/// the newest of its series, which are to be left. To be shown the names of the folder's regular files, its own or not.
///
/// Symbolic links must not be among them: programs that write to dated files keep one that leads to the live file (cronolog's
/// `--symlink`).
#[derive(Clone, Debug)]
pub(crate) struct Standing<'a> {
    own: Rotation<'a>,
    /// Always so for a numbered name; for a dated one if a newer one of its series, compressed or not, or the undated live file of it
    /// stands beside it.
    is_superseded: bool,
    leave_newest: usize,
    /// The places of newer ones, as many as matter. One that is there compressed, too, counts once.
    newer: BTreeSet<Order>,
}

impl<'a> Standing<'a> {
    /// Nothing where the name alone settles it. `may_be_live` says whether a dated name may be that of the file that is being written.
    pub(super) fn of(name: &'a OsStr, may_be_live: bool, leave_newest: usize) -> Option<Self> {
        let own = rotation(name)?;
        let is_superseded = !(may_be_live && own.is_dated());
        (!is_superseded || leave_newest > 0).then_some(Standing {
            own,
            is_superseded,
            leave_newest,
            newer: BTreeSet::new(),
        })
    }

    /// Takes note of a file beside it.
    pub(crate) fn see(&mut self, sibling: &OsStr) {
        let newer = self.own.newer(sibling.as_bytes());
        self.is_superseded |= newer.is_some_and(|newer| self.own.was_begun_before(newer))
            || !self.is_superseded && self.own.has_live_name(sibling.as_bytes());
        if self.newer.len() < self.leave_newest {
            self.newer.extend(newer);
        }
    }

    /// Whether it may be taken, by what was seen so far: once it may, nothing else that is seen changes that.
    ///
    /// # Errors
    ///
    /// [`Reason::PossiblyLive`] or [`Reason::AmongNewest`].
    pub(crate) fn verdict(&self) -> Result<(), Reason> {
        if !self.is_superseded {
            Err(Reason::PossiblyLive)
        } else if self.newer.len() < self.leave_newest {
            Err(Reason::AmongNewest(self.leave_newest))
        } else {
            Ok(())
        }
    }
}

/// Whether the arrival of `newcomer` may be what a rotated file of the name `waiting` in the same folder waits for.
pub(super) fn is_successor(newcomer: &OsStr, waiting: &OsStr) -> bool {
    let is_successor =
        |own: Rotation<'_>| own.has_live_name(newcomer.as_bytes()) || own.newer(newcomer.as_bytes()).is_some();
    rotation(waiting).is_some_and(is_successor)
}

/// The newest rotated files of each series of a folder, of so many series at most. By them alone many a name's standing is known.
#[derive(Debug)]
pub(crate) struct Newest {
    /// Of each series.
    most: usize,
    /// Numbered ones stand nowhere without `leave-newest`.
    with_numbered: bool,
    series: HashMap<Key, BTreeMap<Order, OsString>>,
}

impl Newest {
    /// More series are left out.
    const SERIES: usize = 4096;

    pub(super) fn new(leave_newest: usize) -> Self {
        Newest {
            most: leave_newest.max(1),
            with_numbered: leave_newest > 0,
            series: HashMap::new(),
        }
    }

    /// Takes note of a regular file, as [`Standing::see`] does.
    pub(crate) fn see(&mut self, name: &OsStr) {
        let Some(seen) = rotation(name).filter(|seen| self.with_numbered || seen.is_dated()) else {
            return;
        };
        let is_full = !self.is_all();
        let newest = match self.series.entry(seen.series.key()) {
            Entry::Occupied(newest) => newest.into_mut(),
            Entry::Vacant(place) if !is_full => place.insert(BTreeMap::new()),
            Entry::Vacant(_) => return,
        };
        newest.insert(seen.order, name.to_owned());
        if newest.len() > self.most {
            newest.pop_first();
        }
    }

    /// Whether it knows of all series that it was shown.
    pub(crate) fn is_all(&self) -> bool {
        self.series.len() < Self::SERIES
    }

    /// Those of the series of this name that are newer.
    pub(crate) fn newer_than(&self, name: &OsStr) -> impl Iterator<Item = &OsStr> {
        let own = rotation(name);
        let newest = own.and_then(|own| self.series.get(&own.series.key()));
        let newest = newest.into_iter().flatten();
        let newer = newest.filter(move |(order, _)| own.is_some_and(|own| **order > own.order));
        newer.map(|(_, name)| name.as_os_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_series_are_known_by_name() {
        let mut newest = Newest::new(2);
        for name in [
            "a.log.3",
            "a.log.1",
            "a.log.9",
            "b.log.5",
            "a.log.2",
            "a.log",
            "c-20260101",
            "c-20260102",
        ] {
            newest.see(OsStr::new(name));
        }
        let newer = |name: &str| {
            newest
                .newer_than(OsStr::new(name))
                .map(OsStr::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(newer("a.log.7"), ["a.log.2", "a.log.1"]);
        assert_eq!(newer("a.log.2"), ["a.log.1"]);
        assert_eq!(newer("b.log.5"), [""; 0]);
        assert_eq!(newer("c-20260101"), ["c-20260102"]);
        assert_eq!(newer("a.log"), [""; 0]);
        assert!(newest.is_all());
    }
}
