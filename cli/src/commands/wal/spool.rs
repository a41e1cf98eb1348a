//! What fills and empties a spool: `keepfast wal push`, `receive` and `ship`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use keepfast_operations::OperationsError;
use keepfast_operations::databases::wal::{self, Lists, Receive, Ship, ShipReport};
use keepfast_operations::error::DatabaseError;
use keepfast_sources::SourceError;
use keepfast_sources::context::Progress;
use keepfast_sources::postgres::wal::{Begin, Spool, SpoolLimit};

use crate::args::{Common, PushWal, ReceiveWal, ShipWal};
use crate::console::Console;
use crate::render::{self, counted, short};
use crate::{Outcome, databases, secrets};

/// How long a receiver waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(5);
/// Exit codes of what no time mends: wrong input, a wrong password, another repository in the old one's place.
const PERMANENT: [u8; 3] = [2, 12, 13];

/// Takes a file. A server that archives a hundred files a minute wants to hear nothing of it.
pub fn push(options: &PushWal) -> Result<Outcome> {
    let spool =
        Spool::open(&options.spool, SpoolLimit(options.spool_limit)).map_err(OperationsError::from)?;
    spool.push(&options.file).map_err(OperationsError::from)?;
    Ok(Outcome::Complete)
}

/// Receives until a signal comes.
pub fn receive(common: &Common, options: &ReceiveWal) -> Result<Outcome> {
    let console = Console::new(common)?;
    let mut request = Receive {
        spool: options.spool.clone(),
        limit: SpoolLimit(options.spool_limit),
        from: databases::address(&options.source)?,
        password: databases::password(
            options.source_password_file.as_deref(),
            options.source_password_command.as_deref(),
        ),
        slot: options.slot.clone(),
        begin: if options.from_now { Begin::Now } else { Begin::Resume },
    };
    let (trouble, has_come) = (Trouble::default(), AtomicBool::new(false));
    let watch = |_: Progress<'_>| {
        has_come.store(true, Ordering::Relaxed);
        trouble.is_over(&console, "the log is received again");
    };
    loop {
        match wal::receive(&request, &secrets::children(), &watch, console.run()) {
            Ok(received) => {
                let (position, timeline) = (received.position, received.timeline);
                console.print(&format!("received up to {position} on timeline {timeline}"));
                return Ok(Outcome::Complete);
            }
            Err(_) if console.run().is_cancelled() => return Ok(Outcome::Complete),
            Err(error) if ends_receiver(&error) => return Err(error.into()),
            Err(error) => trouble.tell(&console, &error.into()),
        }
        if console.run().cancel().wait(RECONNECT) {
            return Ok(Outcome::Complete);
        }
        // What follows what was received must not be left out.
        if has_come.load(Ordering::Relaxed) {
            request.begin = Begin::Resume;
        }
    }
}

/// Whether it fails again until someone does something.
fn ends_receiver(error: &OperationsError) -> bool {
    let is_permanent = matches!(
        error,
        OperationsError::Database(DatabaseError::Source(
            SourceError::Refused { .. } | SourceError::Missing { .. } | SourceError::Unsupported { .. }
        ))
    );
    is_permanent || error.is_wrong_input()
}

/// Stores what waits, once or until a signal comes.
pub fn ship(common: &Common, options: &ShipWal) -> Result<Outcome> {
    let console = Console::new(common)?;
    let request = Ship {
        spool: options.spool.clone(),
        name: options.name.clone(),
        with_begun: options.with_begun,
        host: options.host.clone(),
        resources: common.resources(),
    };
    let shared = super::super::shared(common, &console)?;
    let (lists, trouble) = (Lists::default(), Trouble::default());
    let Some(pause) = options.every else {
        let report = console.during("stored", || wal::ship(&request, &lists, &shared, console.run()))?;
        tell(common, &console, &report);
        return Ok(if report.set_aside.is_empty() { Outcome::Complete } else { Outcome::WithFindings });
    };
    loop {
        match wal::ship(&request, &lists, &shared, console.run()) {
            Ok(report) => {
                trouble.is_over(&console, "the log is stored again");
                if report != ShipReport::default() {
                    tell(common, &console, &report);
                }
            }
            Err(_) if console.run().is_cancelled() => return Ok(Outcome::Complete),
            Err(error) => {
                let error: anyhow::Error = error.into();
                if PERMANENT.contains(&crate::exit_code(&error)) {
                    return Err(error);
                }
                trouble.tell(&console, &error);
            }
        }
        if console.run().cancel().wait(pause) {
            return Ok(Outcome::Complete);
        }
    }
}

fn tell(common: &Common, console: &Console, report: &ShipReport) {
    for file in &report.set_aside {
        console.warn(&format!(
            "{}: the repository has another file of this name, and keeps it; this one is in {}. Do two servers archive \
             into one place?",
            file.name,
            file.place.display()
        ));
    }
    if common.json {
        return render::document(report);
    }
    console.print(&match &report.snapshot {
        Some(snapshot) => format!(
            "snapshot {} saved: {}, {}",
            short(snapshot),
            counted(report.files, "file"),
            render::bytes(report.bytes)
        ),
        None => "nothing was to be stored".to_owned(),
    });
}

/// What is wrong at the moment: told once, and once when it is over.
#[derive(Default)]
struct Trouble {
    told: Mutex<Option<String>>,
}

impl Trouble {
    fn tell(&self, console: &Console, error: &anyhow::Error) {
        let text = render::with_causes(error);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref() != Some(&text) {
            console.warn(&format!("{text}; it is tried again until it works"));
            *told = Some(text);
        }
    }

    fn is_over(&self, console: &Console, text: &str) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        if told.is_some() {
            console.say_note(text);
        }
    }
}
