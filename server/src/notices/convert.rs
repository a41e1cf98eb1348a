//! From definitions to routes, digests and targets as the decisions and the courier take them.
//!
//! What a definition leaves open is filled in here; what it says and can't be done is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use keepfast_config::config::{Config, Definition};
use keepfast_config::decode::Located;
use keepfast_config::model::route::{
    DigestPlan, EventKind, Match as DefinedMatch, Policy as DefinedPolicy, Route as DefinedRoute, Urgency,
};
use keepfast_config::model::secret::{AddressOrSecret, SecretReference};
use keepfast_config::model::target::{
    Preset, Smtp as DefinedSmtp, SmtpTls, Target as DefinedTarget, Webhook as DefinedWebhook,
};
use keepfast_config::values::name::NamePattern;
use keepfast_notify::decide::{Calendar, Context};
use keepfast_notify::{
    Channel, Digest, DigestName, GenericHook, LogTail, Match, Pattern, PatternError, Policy, Quiet, Route,
    RouteName, SecretRef, Security, Severity, Smtp, Target, TargetName, Webhook, WebhookKind,
};
use keepfast_schedule::cron::Cron;
use keepfast_schedule::schedule::Schedule;
use keepfast_schedule::zone::Zone;

use crate::convert::{schedule, secret, unsupported};
use crate::error::{NoticeError, Result, ServerError};

/// Who hears of what.
#[derive(Debug)]
pub struct Routing {
    /// All routes: those of the server, then those of projects.
    pub routes: Vec<Route>,
    /// All digests.
    pub digests: Vec<Digest>,
    /// All targets.
    pub targets: BTreeSet<TargetName>,
    /// What messages say about the server.
    pub context: Context,
}

/// Who hears of what, according to a configuration. `server` is the name by which messages call this server.
pub fn routing(config: &Config, server: &str) -> Result<Routing> {
    let defined = &config.server.value;
    let failed = |source: NoticeError| ServerError::Notices { definition: "server".to_owned(), source };
    let zone = TimeZone::get(&defined.timezone.0).map_err(|source| failed(source.into()))?;
    let mut routes = Vec::new();
    for definition in &config.routes {
        let name = format!("route {}", definition.name);
        let failed = |source| ServerError::Notices { definition: name.clone(), source };
        routes.extend(route(&definition.value, None, &zone).map_err(failed)?);
    }
    for project in config.projects.values() {
        for (number, defined) in project.value.route.iter().enumerate() {
            let name = format!("route {} of project {}", number + 1, project.name);
            let failed = |source| ServerError::Notices { definition: name.clone(), source };
            routes.extend(route(defined, Some(&project.name), &zone).map_err(failed)?);
        }
    }
    let mut digests = Vec::new();
    if let Some(defined) = &config.digest {
        let plans = [
            ("daily", &defined.value.daily),
            ("weekly", &defined.value.weekly),
            ("monthly", &defined.value.monthly),
        ];
        for (name, plan) in plans {
            let Some(plan) = plan else { continue };
            let failed = |source| ServerError::Notices { definition: format!("digest {name}"), source };
            digests.push(digest(name, plan, &config.server.value.timezone.0).map_err(failed)?);
        }
    }
    Ok(Routing {
        routes,
        digests,
        targets: config.targets.keys().map(TargetName::new).collect(),
        context: Context {
            server: server.to_owned(),
            public_url: defined.public_url.as_ref().map(|url| url.0.trim_end_matches('/').to_owned()),
            zone,
        },
    })
}

/// Whether the configuration says that anyone hears of anything.
#[must_use]
pub fn has_routes(config: &Config) -> bool {
    let of_projects = config.projects.values().any(|project| !project.value.route.is_empty());
    !config.routes.is_empty() || of_projects || config.digest.is_some()
}

/// A route; nothing if it can't match anything, as one of a project that asks for another project.
fn route(
    defined: &DefinedRoute,
    project: Option<&str>,
    zone: &TimeZone,
) -> Result<Option<Route>, NoticeError> {
    let matching = &defined.matching;
    if let Some(project) = project
        && !matching.project.is_empty()
        && !matching.project.iter().any(|pattern| pattern.value.matches(project))
    {
        return Ok(None);
    }
    let mut matches = matches(matching)?;
    if let Some(project) = project {
        matches.project = vec![Pattern::exact(project)?];
    }
    Ok(Some(Route {
        name: name(defined, project),
        matches,
        to: targets(defined.to.0.iter().map(|target| target.name.as_str())),
        policy: policy(&defined.policy, zone)?,
    }))
}

/// What identifies a route: all that it says. So it stays the same if others are added before it.
fn name(defined: &DefinedRoute, project: Option<&str>) -> RouteName {
    let DefinedRoute { matching, to, policy } = defined;
    let DefinedMatch { severity, event, plan, project: of_project, repository, host, label } = matching;
    let located = |patterns: &[Located<NamePattern>]| -> Vec<String> {
        patterns.iter().map(|pattern| pattern.value.as_str().to_owned()).collect()
    };
    let host: Vec<&str> = host.iter().map(NamePattern::as_str).collect();
    let to: Vec<&str> = to.0.iter().map(|target| target.name.as_str()).collect();
    let DefinedPolicy { after, group, repeat, resolved, quiet, digest } = policy;
    let digest = digest.as_ref().map(|digest| digest.value);
    let text = format!(
        "{project:?} {severity:?} {event:?} {:?} {:?} {:?} {host:?} {label:?} {to:?} {after:?} {group:?} {repeat:?} \
         {resolved:?} {quiet:?} {digest:?}",
        located(plan),
        located(of_project),
        located(repository)
    );
    RouteName::new(&blake3::hash(text.as_bytes()).to_hex()[..16])
}

fn matches(defined: &DefinedMatch) -> Result<Match, PatternError> {
    let located = |patterns: &[Located<NamePattern>]| -> Result<Vec<Pattern>, PatternError> {
        patterns.iter().map(|pattern| Pattern::new(pattern.value.as_str())).collect()
    };
    let kinds = defined.event.iter().flat_map(|kind| names(*kind));
    let mut labels: BTreeMap<String, Vec<Pattern>> = BTreeMap::new();
    for label in &defined.label {
        labels.entry(label.key.clone()).or_default().push(Pattern::exact(&label.value)?);
    }
    Ok(Match {
        severity: defined.severity.iter().map(|urgency| severity(*urgency)).collect(),
        kind: kinds.map(|name| Pattern::new(name)).collect::<Result<_, _>>()?,
        plan: located(&defined.plan)?,
        project: located(&defined.project)?,
        repository: located(&defined.repository)?,
        host: defined.host.iter().map(|pattern| Pattern::new(pattern.as_str())).collect::<Result<_, _>>()?,
        labels,
        window: Vec::new(),
    })
}

fn severity(urgency: Urgency) -> Severity {
    match urgency {
        Urgency::Info => Severity::Info,
        Urgency::Warning => Severity::Warning,
        Urgency::Error => Severity::Error,
        Urgency::Critical => Severity::Critical,
    }
}

/// The kinds of events that a word of the configuration stands for, as patterns.
fn names(kind: EventKind) -> &'static [&'static str] {
    match kind {
        EventKind::Ok => &["{backup,check,prune,retention,copy,drill,restore}.ok"],
        EventKind::Findings => {
            &["{backup,check,prune,retention,copy,drill,restore}.findings", "retention.idle"]
        }
        EventKind::Failed => &["{backup,check,prune,retention,copy,drill,restore}.failed"],
        EventKind::Missed => &["{backup,check,prune,retention,copy,drill,restore}.missed"],
        EventKind::Lost => &["{backup,check,prune,retention,copy,drill,restore}.lost", "quarantined"],
        EventKind::Overdue => &["overdue"],
        EventKind::Anomaly => &["anomaly"],
        EventKind::Quota => &["quota"],
        EventKind::Check => &["check.{findings,failed,missed,lost}"],
        EventKind::Drill => &["drill.*"],
        EventKind::Config => &["config.*"],
        EventKind::Server => &[
            "repository.unreachable",
            "host.offline",
            "delivery.failed",
            "heartbeat.failed",
            "clock",
            "disk",
            "problem",
            "error.new",
            "undo.failed",
        ],
    }
}

fn policy(defined: &DefinedPolicy, zone: &TimeZone) -> Result<Policy, NoticeError> {
    let quiet = defined.quiet.as_ref().map(|quiet| {
        let unless = if quiet.unless_critical { " unless critical" } else { "" };
        Quiet::parse(&format!("{}{unless}", schedule::text(&quiet.window)), zone.clone())
    });
    Ok(Policy {
        after: defined.after,
        group: defined.group.0,
        // A length of nothing means never: no message is repeated without a pause.
        repeat: Some(defined.repeat.0).filter(|repeat| !repeat.is_zero()),
        resolved: defined.resolved,
        quiet: quiet.transpose()?,
        digest: defined.digest.as_ref().map(|digest| DigestName::new(digest.value.word())),
    })
}

fn targets<'n>(names: impl Iterator<Item = &'n str>) -> Vec<TargetName> {
    names.map(TargetName::new).collect()
}

/// When a digest is due.
struct CronCalendar(Schedule);

impl Calendar for CronCalendar {
    fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.0.next(at, at).map(keepfast_schedule::slot::Slot::instant)
    }
}

fn digest(name: &str, plan: &DigestPlan, zone: &str) -> Result<Digest, NoticeError> {
    let zone = Zone::named(zone, jiff::tz::db())?;
    let schedule = Schedule::calendar(plan.cron.0.parse::<Cron>()?, zone);
    Ok(Digest {
        name: DigestName::new(name),
        calendar: Arc::new(CronCalendar(schedule)),
        matches: Match::default(),
        to: targets(plan.to.0.iter().map(|target| target.name.as_str())),
    })
}

/// Where a part of a target is that must not be shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// It is no secret, and stands in the configuration.
    Plain(String),
    /// It is a secret, and has to be read from there.
    Secret(keepfast_operations::secret::SecretSource),
}

/// A target, with what it takes to send to it.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// The target.
    pub target: Target,
    /// Its secrets, by the names that the target has for them.
    pub secrets: BTreeMap<SecretRef, Held>,
    /// The file with certificates that its server's may be signed by.
    pub ca_file: Option<PathBuf>,
}

/// A target as the courier takes it. `server` is the name of this server.
pub fn recipient(definition: &Definition<DefinedTarget>, server: &str) -> Result<Recipient> {
    let of = format!("target {}", definition.name);
    let mut secrets = Keyring { of: &of, held: BTreeMap::new() };
    let DefinedTarget { smtp: mail, webhook: hook, description: _ } = &definition.value;
    let (channel, ca_file) = match (mail, hook) {
        (Some(mail), _) => (Channel::Smtp(smtp(mail, server, &mut secrets)?), &mail.ca_file),
        (None, Some(hook)) => (Channel::Webhook(webhook(hook, &mut secrets)?), &hook.ca_file),
        (None, None) => return Err(unsupported(&of, "a target that is neither `smtp` nor `webhook`")),
    };
    let target = Target { name: TargetName::new(&definition.name), channel, log_tail: LogTail::None };
    let ca_file = ca_file.as_ref().map(|file| file.0.clone());
    Ok(Recipient { target, secrets: secrets.held, ca_file })
}

/// Collects the secrets of a definition.
pub struct Keyring<'d> {
    /// What it is about, for errors.
    pub of: &'d str,
    /// What is known so far.
    pub held: BTreeMap<SecretRef, Held>,
}

impl Keyring<'_> {
    fn secret(&mut self, name: &str, reference: &SecretReference) -> Result<SecretRef> {
        let source = secret::source(reference, self.of)?;
        Ok(self.hold(name, Held::Secret(source)))
    }

    fn optional(&mut self, name: &str, reference: Option<&SecretReference>) -> Result<Option<SecretRef>> {
        reference.map(|reference| self.secret(name, reference)).transpose()
    }

    /// An address, which may be a secret.
    pub fn address(&mut self, address: &AddressOrSecret) -> Result<SecretRef> {
        match address {
            AddressOrSecret::Address(url) => Ok(self.hold("url", Held::Plain(url.0.clone()))),
            AddressOrSecret::Secret(reference) => self.secret("url", reference),
        }
    }

    fn hold(&mut self, name: &str, held: Held) -> SecretRef {
        let name = SecretRef(name.to_owned());
        self.held.insert(name.clone(), held);
        name
    }
}

fn smtp(defined: &DefinedSmtp, server: &str, secrets: &mut Keyring<'_>) -> Result<Smtp> {
    let DefinedSmtp { host, port, tls, user, password, from, to, ca_file: _, timeout } = defined;
    Ok(Smtp {
        host: host.0.clone(),
        port: port.get(),
        security: match tls {
            SmtpTls::Tls => Security::Tls,
            SmtpTls::Starttls => Security::StartTls,
            SmtpTls::None => Security::Plain,
        },
        authorities: None,
        user: user.clone(),
        password: secrets.optional("password", password.as_ref())?,
        from: from.clone().unwrap_or_else(|| format!("keepfast@{server}")),
        to: to.0.clone(),
        hello: server.to_owned(),
        timeout: timeout.0,
    })
}

fn webhook(defined: &DefinedWebhook, secrets: &mut Keyring<'_>) -> Result<Webhook> {
    let DefinedWebhook { url, preset, token, channel, hmac, headers, ca_file: _, timeout } = defined;
    let of = secrets.of;
    let lacks = |key: &str| unsupported(of, format!("the preset `{}` without `{key}`", preset.word()));
    let address = secrets.address(&url.value)?;
    let token = secrets.optional("token", token.as_ref())?;
    let kind = match preset {
        Preset::Slack => WebhookKind::Slack,
        Preset::Discord => WebhookKind::Discord,
        Preset::Teams => WebhookKind::Teams,
        Preset::Ntfy => WebhookKind::Ntfy { topic: channel.clone(), token },
        Preset::Gotify => WebhookKind::Gotify { token: token.ok_or_else(|| lacks("token"))? },
        Preset::Telegram => WebhookKind::Telegram {
            token: token.ok_or_else(|| lacks("token"))?,
            chat: channel.clone().ok_or_else(|| lacks("channel"))?,
        },
        Preset::Generic => WebhookKind::Generic(GenericHook {
            signing_key: secrets.optional("hmac", hmac.as_ref())?,
            bearer: token,
        }),
    };
    Ok(Webhook {
        url: address,
        kind,
        headers: headers.0.clone(),
        // The administrator has written the address: it may lead to this network.
        public_only: false,
        authorities: None,
        timeout: timeout.0,
    })
}

#[cfg(test)]
mod tests {
    use keepfast_notify::{Condition, Event, Kind, Match, Note, Pattern, Sequence, Subject, Verdict, Work};

    use super::{EventKind, names};

    const ALL: [EventKind; 12] = [
        EventKind::Ok,
        EventKind::Findings,
        EventKind::Failed,
        EventKind::Missed,
        EventKind::Lost,
        EventKind::Overdue,
        EventKind::Anomaly,
        EventKind::Quota,
        EventKind::Check,
        EventKind::Drill,
        EventKind::Config,
        EventKind::Server,
    ];

    /// The words of the configuration that match a kind of events.
    fn words(kind: Kind) -> Vec<&'static str> {
        let at = "2026-03-02T08:00:00Z".parse().expect("an instant");
        let event = Event::new(Sequence(1), at, kind, Subject::Server);
        let matches = |word: &EventKind| {
            let patterns = names(*word).iter().map(|name| Pattern::new(name).expect("a pattern"));
            Match { kind: patterns.collect(), ..Match::default() }.matches(&event)
        };
        ALL.into_iter().filter(matches).map(EventKind::word).collect()
    }

    /// Each kind of events has a word; but those that only routes for everything get.
    #[test]
    fn each_kind_of_events_has_a_word_in_the_configuration() {
        let works =
            [Work::Backup, Work::Check, Work::Prune, Work::Forget, Work::Copy, Work::Drill, Work::Restore];
        for work in works {
            for verdict in [Verdict::Ok, Verdict::Findings, Verdict::Failed, Verdict::Missed, Verdict::Lost] {
                assert!(
                    words(Kind::Ended { work, verdict }).contains(&verdict.word()),
                    "{work:?} {verdict:?}"
                );
            }
        }
        for (condition, word) in [
            (Condition::Overdue, "overdue"),
            (Condition::Quota, "quota"),
            (Condition::Anomaly, "anomaly"),
            (Condition::RetentionIdle, "findings"),
            (Condition::Unreachable, "server"),
            (Condition::Offline, "server"),
            (Condition::ConfigInvalid, "config"),
            (Condition::ConfigDiffers, "config"),
            (Condition::DeliveryFailed, "server"),
            (Condition::HeartbeatFailed, "server"),
            (Condition::Quarantined, "lost"),
            (Condition::Clock, "server"),
            (Condition::Disk, "server"),
            (Condition::Other, "server"),
        ] {
            assert_eq!(words(Kind::Began(condition)), [word], "{condition:?}");
        }
        for (note, word) in
            [(Note::ConfigApplied, "config"), (Note::NewError, "server"), (Note::UndoFailed, "server")]
        {
            assert_eq!(words(Kind::Noted(note)), [word], "{note:?}");
        }
        let ended = |work, verdict| words(Kind::Ended { work, verdict });
        assert_eq!(ended(Work::Check, Verdict::Findings), ["findings", "check"]);
        assert_eq!(ended(Work::Drill, Verdict::Ok), ["ok", "drill"]);
        assert_eq!(ended(Work::Backup, Verdict::Cancelled), [""; 0]);
    }
}
