//! Whether a server that is lost could be rebuilt.

use crate::config::Config;
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::Origin;

/// A file that says something of the server and has schedules is most likely a server's.
pub(super) fn check(config: &Config, diagnostics: &mut Diagnostics) {
    let server = &config.server;
    if server.origin == Origin::DEFAULT || server.value.backup.is_some() {
        return;
    }
    let mut scheduled =
        config.plans.values().filter(|plan| plan.value.enabled && plan.value.schedule.is_some());
    if let Some(plan) = scheduled.next() {
        let message = "the state and the configuration of this server are not backed up";
        let help = format!(
            "add `backup = {{ repository = \"{}\" }}` to `[server]`, or `backup = false` if that is as it should be",
            plan.value.repository.name
        );
        diagnostics.add(Diagnostic::new(Code::StateNotBackedUp, message).at(server.origin).help(help));
    }
}
