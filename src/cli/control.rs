//! The control socket of `dwindle run`: where it is, and what follows when it cannot be had.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::{debug, info, warn};

use crate::config::Config;
use crate::daemon::control::{Control, FILE_NAME, Ledger, Socket, Unavailable};
use crate::daemon::instance;
use crate::model::Escaped;

/// Where the agent's socket is: as configured, or in its runtime directory.
fn place(config: &Config) -> PathBuf {
    let by_default = || instance::runtime_directory().join(FILE_NAME);
    config.control_socket.clone().unwrap_or_else(by_default)
}

/// The socket, or none where the agent goes without.
///
/// # Errors
///
/// Where another agent has it, and this one is a service (`is_service`): whoever asks by the configuration would be answered by the other
/// one. One pass, one shard of several, and folders that a person named go without.
pub(super) fn claim(config: &Config, is_service: bool) -> Result<Option<Socket>, Unavailable> {
    match Socket::claim(&place(config)) {
        Ok(socket) => Ok(Some(socket)),
        Err(taken @ Unavailable::Taken { .. }) if is_service => Err(taken),
        Err(Unavailable::Taken { path }) => {
            let path = Escaped(&path);
            debug!(name: "no-control-socket", "another agent has the control socket {path}: going on without");
            Ok(None)
        }
        // Files do not wait for those who only want to look.
        Err(failed) if is_service => {
            warn!(name: "no-control-socket", "{failed}. Going on without: `dwindle status` cannot ask this agent");
            Ok(None)
        }
        Err(failed) => {
            info!(name: "no-control-socket", "{failed}. Going on without: `dwindle status` cannot ask this agent");
            Ok(None)
        }
    }
}

/// Serves it; none where that cannot be, which is said.
pub(super) fn serve(socket: Socket, ledger: Arc<Ledger>) -> Option<Control> {
    match Control::serve(socket, ledger) {
        Ok(control) => Some(control),
        Err(error) => {
            warn!(name: "no-control-socket", "the control socket cannot be served: {error}. Going on without");
            None
        }
    }
}
