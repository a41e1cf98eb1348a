//! Scopes: the objects that a grant is about.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bytes of a name in a scope, at most.
const NAME_BYTES_MAX: usize = 255;

/// The objects that a grant is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All of them, and the server itself.
    All,
    /// A project: its plans, databases and repositories.
    Project(String),
    /// A plan: its runs and snapshots.
    Plan(String),
    /// A repository: everything in it.
    Repository(String),
    /// A host: what is backed up there.
    Host(String),
    /// Hosts with this label, `role=web`.
    Label(String),
}

/// Why a text is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeFault {
    /// It has another form.
    #[error(
        "{text:?} is no scope: write all, project:NAME, plan:NAME, repository:NAME, host:NAME or label:KEY=VALUE"
    )]
    Form {
        /// What was written.
        text: String,
    },
    /// Its name is empty, too long, or would damage a line of a log.
    #[error("a scope's name has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    Name,
}

impl Scope {
    /// The name of what it is about.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Project(name)
            | Self::Plan(name)
            | Self::Repository(name)
            | Self::Host(name)
            | Self::Label(name) => Some(name),
        }
    }

    /// Whether its name can be one.
    pub fn check(&self) -> Result<(), ScopeFault> {
        let is_bad =
            |name: &str| name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control);
        match self {
            _ if self.name().is_some_and(is_bad) => Err(ScopeFault::Name),
            Self::Label(label) if !label.contains('=') => Err(ScopeFault::Form { text: self.to_string() }),
            _ => Ok(()),
        }
    }

    /// Whether an object is in it.
    #[must_use]
    pub fn contains(&self, object: &Object<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Project(name) => object.project == Some(name),
            Self::Plan(name) => object.plan == Some(name),
            Self::Repository(name) => object.repository == Some(name),
            Self::Host(name) => object.host == Some(name),
            Self::Label(label) => object.labels.iter().any(|one| one == label),
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeFault;

    fn from_str(text: &str) -> Result<Self, ScopeFault> {
        let scope = match text.split_once(':') {
            None if text == "all" => Self::All,
            Some(("project", name)) => Self::Project(name.to_owned()),
            Some(("plan", name)) => Self::Plan(name.to_owned()),
            Some(("repository", name)) => Self::Repository(name.to_owned()),
            Some(("host", name)) => Self::Host(name.to_owned()),
            Some(("label", label)) => Self::Label(label.to_owned()),
            _ => return Err(ScopeFault::Form { text: text.to_owned() }),
        };
        scope.check()?;
        Ok(scope)
    }
}

impl Display for Scope {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Project(name) => write!(f, "project:{name}"),
            Self::Plan(name) => write!(f, "plan:{name}"),
            Self::Repository(name) => write!(f, "repository:{name}"),
            Self::Host(name) => write!(f, "host:{name}"),
            Self::Label(label) => write!(f, "label:{label}"),
        }
    }
}

/// What something is to be done with. What isn't said of it is in no scope: the server itself belongs to nothing, so that
/// only a grant over all reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Object<'a> {
    /// Its project.
    pub project: Option<&'a str>,
    /// Its plan.
    pub plan: Option<&'a str>,
    /// Its repository.
    pub repository: Option<&'a str>,
    /// The host whose data it is.
    pub host: Option<&'a str>,
    /// The labels of that host, `role=web`.
    pub labels: &'a [String],
}

impl Object<'_> {
    /// The server itself, and what belongs to nothing else.
    pub const SERVER: Self = Self { project: None, plan: None, repository: None, host: None, labels: &[] };
}

#[cfg(test)]
mod tests {
    use super::{Object, Scope, ScopeFault};

    #[test]
    fn scopes_are_written_as_they_are_read() {
        for text in ["all", "project:shop", "plan:www", "repository:main", "host:web1", "label:role=web"] {
            let scope: Scope = text.parse().expect(text);
            assert_eq!(scope.to_string(), text);
            let json = serde_json::to_string(&scope).expect("it can be written");
            assert_eq!(serde_json::from_str::<Scope>(&json).ok(), Some(scope), "{json}");
        }
        for text in ["", "All", "plan", "group:x", "label:web"] {
            assert!(matches!(text.parse::<Scope>(), Err(ScopeFault::Form { .. })), "{text}");
        }
        for text in ["plan:", "plan:a\nb"] {
            assert_eq!(text.parse::<Scope>(), Err(ScopeFault::Name), "{text}");
        }
    }

    #[test]
    fn only_all_reaches_what_belongs_to_nothing() {
        let labels = ["role=web".to_owned()];
        let object = Object {
            project: Some("shop"),
            plan: Some("www"),
            repository: Some("main"),
            host: Some("web1"),
            labels: &labels,
        };
        for text in ["project:shop", "plan:www", "repository:main", "host:web1", "label:role=web"] {
            let scope: Scope = text.parse().expect(text);
            assert!(scope.contains(&object), "{text}");
            assert!(!scope.contains(&Object::SERVER), "{text}");
            let other: Scope = format!("{text}2").parse().expect(text);
            assert!(!other.contains(&object), "{other}");
        }
        assert!(Scope::All.contains(&object) && Scope::All.contains(&Object::SERVER));
    }
}
