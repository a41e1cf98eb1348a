//! `keepfast serve`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::{Context, Result};
use keepfast_http::pages;
use keepfast_http::serve::ApiFront;
use keepfast_operations::child::{ChildGroup, ChildInput, ChildMessages, Children};
use keepfast_operations::host::SystemHost;
use keepfast_server::daemon::outside::{Level, Manager, Voice, Wish};
use keepfast_server::daemon::{self, Serve};
use keepfast_server::surroundings::Surroundings;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::plans;
use crate::args::Common;
use crate::{Outcome, lines, render};

/// Where Linux names the machine's boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Keeps the promises of plans until it is told to stop.
pub fn serve(common: &Common) -> Result<Outcome> {
    let first_file = plans::first(common);
    let (loaded, footprint) = daemon::definitions::read(&first_file);
    let config = loaded.config.ok_or_else(|| plans::invalid(common, &loaded.report))?;
    let boot = std::fs::read_to_string(BOOT_ID).with_context(|| format!("{BOOT_ID} can't be read"))?;
    let (to, wishes) = unbounded_channel();
    hear_signals(to.clone())?;
    let around = plans::surroundings(common);
    daemon::serve(Serve {
        first_file,
        config,
        report: loaded.report,
        footprint,
        around: Surroundings {
            // No one sits at a terminal, and a program that asks must not wait for ever.
            children: Children {
                input: ChildInput::Empty,
                // Also so that no secret that a program prints gets into the journal.
                messages: ChildMessages::Captured,
                group: ChildGroup::Own,
                ..around.children.clone()
            },
            ..around
        },
        host: Arc::new(SystemHost),
        boot: boot.trim().to_owned(),
        manager: Arc::new(Systemd),
        voice: Arc::new(Log { json: common.json, quiet: common.quiet }),
        wishes,
        wishing: to,
        front: Some(Box::new(ApiFront { pages: Some(pages::dashboard()) })),
    })?;
    Ok(Outcome::Complete)
}

/// The first SIGTERM or SIGINT ends runs in order, a second one the process. SIGHUP reads the definitions again.
fn hear_signals(to: UnboundedSender<Wish>) -> Result<()> {
    let is_stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&is_stopping))?;
        signal_hook::flag::register(signal, Arc::clone(&is_stopping))?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let hear = move || {
        for signal in signals.forever() {
            let wish = if signal == SIGHUP { Wish::Reload(None) } else { Wish::Stop };
            if to.send(wish).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(hear)?;
    Ok(())
}

/// The system's service manager, if it has started this process.
struct Systemd;

impl Systemd {
    fn tell(states: &[NotifyState<'_>]) {
        // Without a service manager there is no one to tell.
        let _ = sd_notify::notify(states);
    }
}

impl Manager for Systemd {
    fn ready(&self) {
        Self::tell(&[NotifyState::Ready]);
    }

    fn reloading(&self) {
        let time = NotifyState::monotonic_usec_now().ok();
        let states: Vec<NotifyState<'_>> = std::iter::once(NotifyState::Reloading).chain(time).collect();
        Self::tell(&states);
    }

    fn stopping(&self) {
        Self::tell(&[NotifyState::Stopping]);
    }

    fn alive(&self) {
        Self::tell(&[NotifyState::Watchdog]);
    }

    fn status(&self, text: &str) {
        Self::tell(&[NotifyState::Status(text)]);
    }
}

/// The server's words on standard error, where a service manager keeps them.
struct Log {
    json: bool,
    quiet: bool,
}

impl Voice for Log {
    fn say(&self, level: Level, text: &str) {
        match level {
            Level::Info if self.quiet => {}
            Level::Info if self.json => render::note("info", text, true),
            Level::Info => lines::message(text),
            Level::Warning => render::note("warning", text, self.json),
            Level::Error => render::note("error", text, self.json),
        }
    }
}
