//! Who hears of what: routes, digests, pauses.

use std::num::NonZeroU32;

use crate::decode::{Located, OneOrMore};
use crate::model::reference::Reference;
use crate::model::schedule::CronText;
use crate::model::target::Target;
use crate::values::name::{Label, NamePattern};
use crate::values::time::{Length, LocalMoment};
use crate::values::window::QuietHours;

table! {
    /// Sends events to targets. An event goes to each target once, however many routes lead there.
    pub struct Route {
        /// Which events; all that it doesn't restrict.
        matching as "match": Match = "{}",
        /// The targets.
        to: OneOrMore<Reference<Target>>,
        /// How often.
        policy: Policy = "{}",
    }
}

table! {
    /// Which events. All keys must match, and of each key's list one item; of labels, one of each key.
    pub struct Match {
        /// How bad it is.
        severity: Vec<Urgency>,
        /// What happened.
        event: Vec<EventKind>,
        /// Which plans.
        plan: Vec<Located<NamePattern>>,
        /// Which projects.
        project: Vec<Located<NamePattern>>,
        /// Which repositories.
        repository: Vec<Located<NamePattern>>,
        /// Which hosts.
        host: Vec<NamePattern>,
        /// Labels that the host or the project must have.
        label: Vec<Label>,
    }
}

choice! {
    /// How bad something is.
    pub enum Urgency {
        /// Good to know.
        Info = "info",
        /// Went through, with findings.
        Warning = "warning",
        /// Failed, missed or overdue.
        Error = "error",
        /// Data is damaged or in danger.
        Critical = "critical",
    }
}

choice! {
    /// What happened.
    pub enum EventKind {
        /// A run went well.
        Ok = "ok",
        /// A run has findings.
        Findings = "findings",
        /// A run failed.
        Failed = "failed",
        /// A slot passed without a run.
        Missed = "missed",
        /// A run was lost with the program that did it.
        Lost = "lost",
        /// A promise is broken.
        Overdue = "overdue",
        /// Something is unusual.
        Anomaly = "anomaly",
        /// A quota is nearly or fully used.
        Quota = "quota",
        /// A check found something.
        Check = "check",
        /// A drill ended.
        Drill = "drill",
        /// A configuration couldn't be used.
        Config = "config",
        /// Something about the server itself.
        Server = "server",
    }
}

table! {
    /// How often something is told.
    pub struct Policy {
        /// From which failure in a row on.
        after: NonZeroU32 = "1",
        /// What happens within this time is told together.
        group: Length = "'2m'",
        /// What is still so is told again after this.
        repeat: Length = "'24h'",
        /// Whether it is told that it is over.
        resolved: bool = "true",
        /// Hours in which nothing is sent; it is sent afterwards.
        quiet: Option<QuietHours>,
        /// Nothing is sent before the time of this summary.
        digest: Option<Located<DigestName>>,
    }
}

choice! {
    /// Which summary.
    pub enum DigestName {
        /// That of each day.
        Daily = "daily",
        /// That of each week.
        Weekly = "weekly",
        /// That of each month.
        Monthly = "monthly",
    }
}

table! {
    /// Summaries.
    pub struct Digest {
        /// Each day.
        daily: Option<DigestPlan>,
        /// Each week.
        weekly: Option<DigestPlan>,
        /// Each month.
        monthly: Option<DigestPlan>,
    }
}

table! {
    /// A summary.
    pub struct DigestPlan {
        /// When: five fields.
        cron: CronText,
        /// The targets.
        to: OneOrMore<Reference<Target>>,
    }
}

table! {
    /// A time in which plans don't run. Their slots are recorded as skipped, and none of them runs afterwards.
    pub struct Pause {
        /// Which plans; else all.
        plan: Vec<Located<NamePattern>>,
        /// On which hosts; else all.
        host: Vec<NamePattern>,
        /// From when on, in each plan's time zone; else from now on.
        from: Option<LocalMoment>,
        /// Until when; else until it is removed.
        until: Option<LocalMoment>,
        /// Why, for people.
        reason: Option<String>,
    }
}
