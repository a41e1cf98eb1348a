//! Routes: which events go to which targets, and how patient the way is.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use thiserror::Error;

use crate::event::{Event, Severity};
use crate::names::{DigestName, RouteName, Subject, TargetName};
use crate::window::{Quiet, Window};

const PATTERN_CHARS_MAX: usize = 200;

/// A name with `*`, `?`, `[abc]` and `{a,b}` in it.
#[derive(Debug, Clone)]
pub struct Pattern(GlobMatcher);

/// A text that is no pattern.
#[derive(Debug, Error)]
pub enum PatternError {
    /// It is longer than patterns may be.
    #[error("a pattern has at most {PATTERN_CHARS_MAX} characters, and this one has {chars}")]
    TooLong {
        /// How many it has.
        chars: usize,
    },
    /// It can't be read.
    #[error("{pattern:?} is no pattern")]
    Unreadable {
        /// The text.
        pattern: String,
        /// Why.
        source: globset::Error,
    },
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// If it is none, or is too long.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let chars = pattern.chars().count();
        if chars > PATTERN_CHARS_MAX {
            return Err(PatternError::TooLong { chars });
        }
        let glob = GlobBuilder::new(pattern).literal_separator(false).build();
        let unreadable = |source| PatternError::Unreadable { pattern: pattern.to_owned(), source };
        Ok(Self(glob.map_err(unreadable)?.compile_matcher()))
    }

    /// The pattern of one name alone, whatever signs are in it.
    ///
    /// # Errors
    ///
    /// If the name is too long.
    pub fn exact(name: &str) -> Result<Self, PatternError> {
        Self::new(&globset::escape(name))
    }

    fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// What an event has to be. A list that is empty matches everything; of one that isn't, one member has to match; and
/// all lists have to.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// How bad it is. `error` stands for `critical` too, so that the worst isn't left out by accident.
    pub severity: Vec<Severity>,
    /// Its kind, as [`Kind`](crate::Kind)'s text has it: `backup.failed`, `*.failed`, `overdue`.
    pub kind: Vec<Pattern>,
    /// The plan's name.
    pub plan: Vec<Pattern>,
    /// The project's name.
    pub project: Vec<Pattern>,
    /// The repository's name.
    pub repository: Vec<Pattern>,
    /// The host's name.
    pub host: Vec<Pattern>,
    /// Labels: all that are named have to be there, each with one of its values.
    pub labels: BTreeMap<String, Vec<Pattern>>,
    /// When it happens.
    pub window: Vec<Window>,
}

impl Match {
    /// Whether an event is such.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        self.mismatch(event).is_none()
    }

    /// The first field that doesn't match, by its name in the file.
    #[must_use]
    pub fn mismatch(&self, event: &Event) -> Option<&'static str> {
        let any = |patterns: &[Pattern], name: Option<&str>| {
            patterns.is_empty()
                || name.is_some_and(|name| patterns.iter().any(|pattern| pattern.matches(name)))
        };
        let severity = |wanted: &Severity| {
            *wanted == event.severity || (*wanted == Severity::Error && event.severity == Severity::Critical)
        };
        let label = |(name, patterns): (&String, &Vec<Pattern>)| {
            let value = event.scope.labels.get(name);
            value.is_some_and(|value| patterns.iter().any(|pattern| pattern.matches(value)))
        };
        let scope = &event.scope;
        let fields = [
            ("severity", self.severity.is_empty() || self.severity.iter().any(severity)),
            ("kind", any(&self.kind, Some(&event.kind.to_string()))),
            ("plan", any(&self.plan, scope.plan.as_deref())),
            ("project", any(&self.project, scope.project.as_deref())),
            ("repository", any(&self.repository, scope.repository.as_deref())),
            ("host", any(&self.host, scope.host.as_deref())),
            ("labels", self.labels.iter().all(label)),
            ("window", self.window.is_empty() || self.window.iter().any(|window| window.contains(event.at))),
        ];
        fields.into_iter().find_map(|(name, matches)| (!matches).then_some(name))
    }
}

/// How patient a route is.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Failures in a row from which on they are told. It counts runs; a condition is told the first time.
    pub after: NonZeroU32,
    /// For how long a message waits for others that can be told in the same one.
    pub group: Duration,
    /// After how long a problem that is still open is told again.
    pub repeat: Option<Duration>,
    /// Whether it is told that a problem is over.
    pub resolved: bool,
    /// When it is quiet.
    pub quiet: Option<Quiet>,
    /// Events wait for this digest.
    pub digest: Option<DigestName>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            after: NonZeroU32::MIN,
            group: Duration::from_secs(120),
            repeat: Some(Duration::from_secs(24 * 3_600)),
            resolved: true,
            quiet: None,
            digest: None,
        }
    }
}

/// Events that match go to targets.
#[derive(Debug, Clone)]
pub struct Route {
    /// What identifies it.
    pub name: RouteName,
    /// Which events.
    pub matches: Match,
    /// To which targets.
    pub to: Vec<TargetName>,
    /// How patiently.
    pub policy: Policy,
}

/// The targets that hear of an event, and the routes that lead there. A target hears of an event once, however many
/// routes there are; a message that says that a target doesn't work isn't sent to that target.
#[must_use]
pub fn who_hears(routes: &[Route], event: &Event) -> BTreeMap<TargetName, BTreeSet<RouteName>> {
    let mut heard: BTreeMap<TargetName, BTreeSet<RouteName>> = BTreeMap::new();
    for route in routes.iter().filter(|route| route.matches.matches(event)) {
        let others = route.to.iter().filter(|target| event.subject != Subject::Target((*target).clone()));
        for target in others {
            heard.entry(target.clone()).or_default().insert(route.name.clone());
        }
    }
    heard
}

/// What several routes to one target come to: a message is sent as soon as any of them would send it.
#[derive(Debug, Clone)]
pub struct Terms {
    pub after: u32,
    pub group: Duration,
    pub repeat: Option<Duration>,
    pub resolved: bool,
    /// It is quiet while each of them says so.
    pub quiet: Vec<Quiet>,
    pub digest: Option<DigestName>,
}

impl Terms {
    /// Those of these routes. Of routes that are gone there is nothing left but that they were there.
    pub fn of(routes: &[Route], names: &BTreeSet<RouteName>) -> Self {
        let mut terms: Option<Self> = None;
        for route in routes.iter().filter(|route| names.contains(&route.name)) {
            let next = Self::of_policy(&route.policy);
            terms = Some(match terms {
                None => next,
                Some(terms) => terms.and(next),
            });
        }
        terms.unwrap_or_else(|| Self::of_policy(&Policy::default()))
    }

    fn of_policy(policy: &Policy) -> Self {
        Self {
            after: policy.after.get(),
            group: policy.group,
            repeat: policy.repeat,
            resolved: policy.resolved,
            quiet: policy.quiet.clone().into_iter().collect(),
            digest: policy.digest.clone(),
        }
    }

    fn and(self, other: Self) -> Self {
        let never_quiet = self.quiet.is_empty() || other.quiet.is_empty();
        Self {
            after: self.after.min(other.after),
            group: self.group.min(other.group),
            repeat: [self.repeat, other.repeat].into_iter().flatten().min(),
            resolved: self.resolved || other.resolved,
            quiet: if never_quiet { Vec::new() } else { [self.quiet, other.quiet].concat() },
            digest: self.digest.filter(|_| other.digest.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{Match, Pattern, Policy, Route, Terms, who_hears};
    use crate::event::{Condition, Event, Kind, Sequence, Severity, Verdict, Work};
    use crate::names::{RouteName, Subject, TargetName};
    use crate::window::{Quiet, Window};

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::new(text).expect("a pattern")).collect()
    }

    fn event() -> Event {
        let kind = Kind::Ended { work: Work::Backup, verdict: Verdict::Failed };
        let at = "2026-01-02T10:00:00Z".parse().expect("an instant");
        let mut event = Event::new(Sequence(1), at, kind, Subject::Plan("shop-db".to_owned()));
        event.scope.plan = Some("shop-db".to_owned());
        event.scope.labels.insert("role".to_owned(), "web".to_owned());
        event
    }

    #[test]
    fn each_matcher_leaves_out_what_it_doesnt_match() {
        let all = Match::default();
        assert!(all.matches(&event()));
        let window = |text| vec![Window::parse(text, TimeZone::UTC).expect("a window")];
        let labels = |values: &[&str]| [("role".to_owned(), patterns(values))].into();
        for (yes, no, field) in [
            (
                Match { severity: vec![Severity::Error, Severity::Info], ..all.clone() },
                Match { severity: vec![Severity::Critical, Severity::Warning], ..all.clone() },
                "severity",
            ),
            (
                Match { kind: patterns(&["overdue", "*.failed"]), ..all.clone() },
                Match { kind: patterns(&["check.*"]), ..all.clone() },
                "kind",
            ),
            (
                Match { plan: patterns(&["shop-*"]), ..all.clone() },
                Match { plan: patterns(&["shop"]), ..all.clone() },
                "plan",
            ),
            (all.clone(), Match { project: patterns(&["*"]), ..all.clone() }, "project"),
            (all.clone(), Match { repository: patterns(&["*"]), ..all.clone() }, "repository"),
            (all.clone(), Match { host: patterns(&["*"]), ..all.clone() }, "host"),
            (
                Match { labels: labels(&["db", "w*"]), ..all.clone() },
                Match { labels: labels(&["db", "we"]), ..all.clone() },
                "labels",
            ),
            (
                Match { window: window("fri 08:00-18:00"), ..all.clone() },
                Match { window: window("sat 08:00-18:00"), ..all.clone() },
                "window",
            ),
        ] {
            assert_eq!(yes.mismatch(&event()), None, "{field}");
            assert_eq!(no.mismatch(&event()), Some(field));
        }
    }

    #[test]
    fn an_exact_pattern_has_no_signs_that_stand_for_others() {
        let exact = Pattern::exact("a*[b]").expect("a pattern");
        assert!(exact.matches("a*[b]") && !exact.matches("aab"));
    }

    #[test]
    fn a_route_for_errors_matches_what_is_worse() {
        let errors = Match { severity: vec![Severity::Error], ..Match::default() };
        assert!(errors.matches(&Event { severity: Severity::Critical, ..event() }));
        assert!(!errors.matches(&Event { severity: Severity::Warning, ..event() }));
    }

    fn route(name: &str, to: &[&str], policy: Policy) -> Route {
        let to = to.iter().map(|name| TargetName::new(*name)).collect();
        Route { name: RouteName::new(name), matches: Match::default(), to, policy }
    }

    #[test]
    fn a_target_hears_once_however_many_routes_there_are() {
        let routes =
            [route("a", &["ops", "chat"], Policy::default()), route("b", &["ops"], Policy::default())];
        let heard = who_hears(&routes, &event());
        assert_eq!(heard.len(), 2);
        assert_eq!(heard[&TargetName::new("ops")].len(), 2);
    }

    #[test]
    fn a_target_that_fails_isnt_told_so_itself() {
        let subject = Subject::Target(TargetName::new("ops"));
        let failed = Event { kind: Kind::Began(Condition::DeliveryFailed), subject, ..event() };
        let heard = who_hears(&[route("a", &["ops", "chat"], Policy::default())], &failed);
        assert_eq!(heard.into_keys().collect::<Vec<_>>(), [TargetName::new("chat")]);
    }

    #[test]
    fn the_least_patient_of_several_routes_counts() {
        let quiet = |text| Some(Quiet::parse(text, TimeZone::UTC).expect("quiet hours"));
        let patient = Policy {
            after: 3.try_into().expect("not zero"),
            quiet: quiet("22:00-07:00"),
            ..Policy::default()
        };
        let other = Policy { repeat: None, quiet: quiet("23:00-06:00"), resolved: false, ..patient.clone() };
        let hasty = Policy { group: std::time::Duration::ZERO, ..Policy::default() };
        let routes = [route("a", &[], patient), route("b", &[], other), route("c", &[], hasty)];
        let names = |names: &[&str]| names.iter().map(|name| RouteName::new(*name)).collect();
        let two = Terms::of(&routes, &names(&["a", "b"]));
        assert_eq!((two.after, two.quiet.len(), two.resolved), (3, 2, true));
        assert!(two.repeat.is_some());
        let three = Terms::of(&routes, &names(&["a", "b", "c"]));
        assert_eq!((three.after, three.quiet.len(), three.group.as_secs()), (1, 0, 0));
    }
}
