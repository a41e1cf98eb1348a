//! The server of this machine: whether one runs, since when, and of which version.

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_operations::error::with_causes;
use keepfast_server::lock::MachineLock;
use keepfast_server::{control, state};

use super::checks::Checks;
use crate::commands::plans::age;

const SUBJECT: &str = "server";

/// Looks whether a server runs with the state, and whether it answers.
pub fn check(config: &Config, checks: &mut Checks) {
    match MachineLock::is_held(config) {
        Err(error) => {
            return checks.warning(SUBJECT, with_causes(&error), "run it as the user of the server");
        }
        Ok(false) => {
            let text = "none runs with this state; `keepfast serve` is one, and `keepfast run` works without";
            return checks.ok(SUBJECT, text);
        }
        Ok(true) => {}
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return checks.failed(SUBJECT, error.to_string(), "see to the cause"),
    };
    match runtime.block_on(control::server(&state::folder(config))) {
        Err(error) => checks.warning(
            SUBJECT,
            format!("one runs and doesn't answer: {}", with_causes(&error)),
            "it may be starting; else its journal says why (`journalctl -u keepfast`)",
        ),
        Ok(server) => {
            let since = age(server.started, Timestamp::now());
            let text = format!("version {} runs as process {}, for {since}", server.version, server.process);
            let own = env!("CARGO_PKG_VERSION");
            if server.version == own {
                checks.ok(SUBJECT, text);
            } else {
                checks.warning(
                    SUBJECT,
                    format!("{text}; this program is version {own}"),
                    "start it again: `systemctl restart keepfast`",
                );
            }
        }
    }
}
