//! Who is told what the agent does: the same ones for all watches, and the hooks of each.

use std::sync::{Arc, Once};

use tracing::info;

use super::observers::Observers;
use crate::daemon::hooks::HookRunner;
use crate::daemon::sandbox;
use crate::model::Observer;
use crate::policy::Watch;

/// Makes the observers of watches.
#[derive(Clone)]
pub(super) struct WatchObservers {
    pub(super) of_all: Arc<dyn Observer>,
    pub(super) hooks: HookRunner,
}

impl WatchObservers {
    /// Of this watch. What it is in the middle of when its hooks change has those that it was begun with.
    pub(super) fn of(&self, watch: &Watch) -> Arc<dyn Observer> {
        let of_all = Arc::clone(&self.of_all);
        if watch.hooks.are_none() {
            return of_all;
        }
        tell_what_hooks_miss();
        let hooks = Arc::new(self.hooks.of(watch.hooks.clone()));
        Arc::new(Observers(vec![of_all, hooks]))
    }
}

/// Once: what fails in a hook for want of it would be a riddle.
fn tell_what_hooks_miss() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        if let Some(unit) = sandbox::without_network() {
            info!(name: "hooks-confined", "hooks have no network in the sandbox of {unit} (RestrictAddressFamilies=, PrivateNetwork=)");
        }
    });
}
