//! Units as they are installed.

use std::path::PathBuf;
use std::time::Duration;

use keepfast_observe::service::{
    AccountName, Calendar, Credential, CredentialName, DaemonUnit, PlanUnits, Program, Reads, RunAs, Timer,
};

/// Reads everything as root, and writes to a local repository.
pub fn program() -> Program {
    Program {
        program: PathBuf::from("/usr/bin/keepfast"),
        config: PathBuf::from("/etc/keepfast/keepfast.toml"),
        run_as: RunAs::Root,
        reads: Reads::Everything,
        restores: false,
        writable: vec![PathBuf::from("/srv/backup")],
        credentials: vec![Credential {
            name: CredentialName::new("main-password").expect("a name"),
            path: PathBuf::from("/etc/keepfast/secrets/main"),
        }],
    }
}

/// Reads everything by one capability, as an account of its own.
pub fn unprivileged() -> Program {
    Program {
        run_as: RunAs::User(AccountName::new("keepfast").expect("a name")),
        writable: Vec::new(),
        credentials: Vec::new(),
        ..program()
    }
}

/// Restores to homes too.
pub fn restoring() -> Program {
    Program { restores: true, writable: vec![PathBuf::from("/srv"), PathBuf::from("/home")], ..program() }
}

pub fn daemon(program: Program) -> DaemonUnit {
    DaemonUnit { program, watchdog: Duration::from_secs(60), stop_within: Duration::from_secs(300) }
}

pub fn plan(program: Program) -> PlanUnits {
    PlanUnits {
        program,
        plan: "shop-db".to_owned(),
        timer: Timer::At {
            calendar: Calendar::from_cron("30 1 * * MON-FRI", "Europe/Paris").expect("a schedule"),
            jitter: Duration::from_secs(900),
            catch_up: true,
        },
        nice: true,
    }
}
