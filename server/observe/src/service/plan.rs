//! The units of one plan that runs without a server: a service that runs it, and a timer that starts that.

use crate::service::calendar::Timer;
use crate::service::error::UnitError;
use crate::service::escape::{description, unit_name_part};
use crate::service::sandbox::Program;

/// A file for systemd's directory of units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// The units of one plan that runs without a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanUnits {
    /// The program and what it may do.
    pub program: Program,
    /// The plan's name.
    pub plan: String,
    /// When it runs.
    pub timer: Timer,
    /// Whether it leaves the machine to others.
    pub nice: bool,
}

/// No file name is longer, with the longest ending of a unit.
const LONGEST_NAME: usize = 255 - ".service".len();

impl PlanUnits {
    /// The service, and the timer that starts it.
    ///
    /// # Errors
    /// A path or the plan's name can't be in a unit, or a time is nothing.
    pub fn files(&self) -> Result<[UnitFile; 2], UnitError> {
        let plan = self.plan.as_str();
        let name = format!("keepfast-{}", unit_name_part(plan));
        let is_bad = plan.is_empty() || plan.starts_with('-') || plan.contains(char::is_control);
        if is_bad || name.len() > LONGEST_NAME {
            return Err(UnitError::Plan(plan.to_owned()));
        }
        let service = UnitFile { name: format!("{name}.service"), text: self.service()? };
        let timer = UnitFile { name: format!("{name}.timer"), text: self.timer_text()? };
        Ok([service, timer])
    }

    fn service(&self) -> Result<String, UnitError> {
        let mut lines = vec![
            "[Unit]".to_owned(),
            format!("Description=keepfast, backup of {}", description(&self.plan)),
            "Wants=network-online.target".to_owned(),
            "After=network-online.target time-sync.target".to_owned(),
            String::new(),
            "[Service]".to_owned(),
            "# 3, with findings, counts as failed, so that someone looks.".to_owned(),
            "Type=oneshot".to_owned(),
            self.program.command(&["run", &self.plan])?,
            "# A first backup takes as long as it takes.".to_owned(),
            "TimeoutStartSec=infinity".to_owned(),
        ];
        if self.nice {
            lines.extend(["Nice=19".to_owned(), "IOSchedulingClass=idle".to_owned()]);
        }
        lines.extend(self.program.lines()?);
        Ok(lines.join("\n") + "\n")
    }

    fn timer_text(&self) -> Result<String, UnitError> {
        let mut lines = vec![
            "[Unit]".to_owned(),
            format!("Description=keepfast, when {} is backed up", description(&self.plan)),
            String::new(),
            "[Timer]".to_owned(),
        ];
        lines.extend(self.timer.lines()?);
        lines.extend([String::new(), "[Install]".to_owned(), "WantedBy=timers.target".to_owned()]);
        Ok(lines.join("\n") + "\n")
    }
}
