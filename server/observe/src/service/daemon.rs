//! The unit of the server.

use std::time::Duration;

use crate::service::error::UnitError;
use crate::service::escape::time;
use crate::service::sandbox::Program;

/// The unit of the server, `keepfast.service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonUnit {
    /// The program and what it may do.
    pub program: Program,
    /// If the server says nothing for this long, it is started again.
    pub watchdog: Duration,
    /// How long runs have to end when the server is stopped.
    pub stop_within: Duration,
}

impl DaemonUnit {
    /// The name of its file.
    pub const NAME: &'static str = "keepfast.service";

    /// Its text.
    ///
    /// # Errors
    /// A path can't be in a unit, or a time is nothing.
    pub fn text(&self) -> Result<String, UnitError> {
        if self.watchdog.is_zero() {
            return Err(UnitError::NoTime("the watchdog"));
        }
        if self.stop_within.is_zero() {
            return Err(UnitError::NoTime("the time to stop"));
        }
        let mut lines = vec![
            "[Unit]".to_owned(),
            "Description=keepfast, backups".to_owned(),
            "Wants=network-online.target".to_owned(),
            "After=network-online.target time-sync.target".to_owned(),
            String::new(),
            "[Service]".to_owned(),
            "Type=notify".to_owned(),
            "NotifyAccess=main".to_owned(),
            self.program.command(&["serve"])?,
            // Variables are replaced here, by systemd itself.
            "ExecReload=/bin/kill -HUP $MAINPID".to_owned(),
            format!("WatchdogSec={}", time(self.watchdog)),
            "Restart=on-failure".to_owned(),
            "RestartSec=10s".to_owned(),
            "# 2: the configuration is invalid, and stays so until a person changes it.".to_owned(),
            "RestartPreventExitStatus=2".to_owned(),
            "# First only the server, which ends its runs in order.".to_owned(),
            "KillMode=mixed".to_owned(),
            format!("TimeoutStopSec={}", time(self.stop_within)),
            // Only the server has one: it goes when its unit stops.
            "RuntimeDirectory=keepfast".to_owned(),
            "RuntimeDirectoryMode=0750".to_owned(),
        ];
        lines.extend(self.program.lines()?);
        lines.extend([String::new(), "[Install]".to_owned(), "WantedBy=multi-user.target".to_owned()]);
        Ok(lines.join("\n") + "\n")
    }
}
