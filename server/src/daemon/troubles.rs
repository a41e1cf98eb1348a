//! What is wrong with the server itself, as problems of its host: definitions, schedules, the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::diagnostic::render::{Report, Style};
use keepfast_operations::error::with_causes;
use keepfast_schedule::clock::ClockEvent;
use keepfast_store::{Applied, HostId, ProblemKind, Store, Subject, SubjectKind};
use serde_json::json;

use crate::error::{Result, ServerError};
use crate::state::{instant, stored};

/// How long a clock that was set is a problem.
const CLOCK_IS_NEWS_FOR: Duration = Duration::from_secs(600);

/// What is wrong with a server that follows other definitions than those that were applied last.
const DIFFERS: &str = "config differs";

/// The problems of a server.
pub struct Troubles {
    store: Store,
    host: Subject,
    /// Since when the clock is right again.
    clock_was_set: Option<Timestamp>,
    /// The definitions that the server was told to differ from; nothing if it isn't known what was told.
    told_applied: Option<Option<Applied>>,
}

fn kind(name: &'static str) -> Result<ProblemKind> {
    ProblemKind::new(name).map_err(ServerError::name(name))
}

impl Troubles {
    /// Of the server on this host.
    pub fn new(store: Store, host: HostId) -> Self {
        Self {
            store,
            host: Subject::of(SubjectKind::Host, host.as_str()),
            clock_was_set: None,
            told_applied: None,
        }
    }

    /// The server has started: its definitions are valid, and what the clock did before is no news.
    pub async fn begin(&mut self, now: Timestamp) -> Result<()> {
        self.config_is_valid(now).await?;
        self.store.resolve_problem(stored(now), &self.host, &kind("clock")?).await?;
        Ok(())
    }

    /// Definitions can't be read; those of before are followed.
    pub async fn config_is_invalid(&mut self, report: &Report, now: Timestamp) -> Result<()> {
        let text = report.render(Style::Plain);
        let first = text.lines().next().unwrap_or_default().to_owned();
        let document = json!({
            "summary": format!("the definitions are invalid, and those of before are followed: {first}"),
            "report": text.chars().take(4096).collect::<String>(),
        });
        self.store.see_problem(stored(now), &self.host, &kind("config")?, &document, None).await?;
        Ok(())
    }

    /// Definitions were read.
    pub async fn config_is_valid(&mut self, now: Timestamp) -> Result<()> {
        self.store.resolve_problem(stored(now), &self.host, &kind("config")?).await?;
        Ok(())
    }

    /// The definitions that were applied last, if the server follows others.
    pub async fn differs(&mut self, applied: Option<&Applied>, now: Timestamp) -> Result<()> {
        if self.told_applied.as_ref().is_some_and(|told| told.as_ref() == applied) {
            return Ok(());
        }
        let kind = kind(DIFFERS)?;
        match applied {
            Some(applied) => {
                let document = json!({
                    "summary": format!(
                        "this server makes no slots: its definitions are others than those that the server on {} \
                         applied at {}. Give both the same files, or reload this server (SIGHUP) to apply its own",
                        applied.host,
                        instant(applied.at),
                    ),
                    "applied": applied.config,
                    "by": applied.server,
                    "host": applied.host,
                });
                self.store.see_problem(stored(now), &self.host, &kind, &document, None).await?;
            }
            None => {
                self.store.resolve_problem(stored(now), &self.host, &kind).await?;
            }
        }
        self.told_applied = Some(applied.cloned());
        Ok(())
    }

    /// Schedules that can't be used: these, and no others.
    pub async fn wrong(&mut self, wrong: &[ServerError], now: Timestamp) -> Result<()> {
        let kind = kind("schedule")?;
        let mut texts: BTreeMap<Subject, String> = BTreeMap::new();
        for error in wrong {
            let subject = match error {
                ServerError::Schedule { definition, .. } => match definition.split_once(' ') {
                    Some(("plan", name)) => Subject::of(SubjectKind::Plan, name),
                    Some((_, name)) => Subject::of(SubjectKind::Repository, name),
                    None => self.host.clone(),
                },
                _ => self.host.clone(),
            };
            texts.insert(subject, with_causes(error));
        }
        for problem in self.store.open_problems().await?.iter().filter(|problem| problem.kind == kind) {
            if !texts.contains_key(&problem.subject) {
                self.store.resolve_problem(stored(now), &problem.subject, &kind).await?;
            }
        }
        for (subject, text) in texts {
            let document = json!({ "summary": text });
            self.store.see_problem(stored(now), &subject, &kind, &document, None).await?;
        }
        Ok(())
    }

    /// What has happened to the clocks since the last look.
    pub async fn clock(&mut self, events: &[ClockEvent], now: Timestamp) -> Result<()> {
        for event in events {
            if let ClockEvent::Set { by } = event {
                let way = if by.is_negative() { "back" } else { "ahead" };
                let document = json!({
                    "summary": format!("the clock was set {way} by {} s; slots were decided again", by.as_secs().abs()),
                    "seconds": by.as_secs(),
                });
                self.store.see_problem(stored(now), &self.host, &kind("clock")?, &document, None).await?;
                self.clock_was_set = Some(now);
            }
        }
        let news_for = |since: Timestamp| now.duration_since(since).unsigned_abs();
        if self.clock_was_set.is_some_and(|since| news_for(since) >= CLOCK_IS_NEWS_FOR) {
            self.store.resolve_problem(stored(now), &self.host, &kind("clock")?).await?;
            self.clock_was_set = None;
        }
        Ok(())
    }
}
