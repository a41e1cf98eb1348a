//! Names of what events are about and of what they are sent to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as the configuration has it.
            #[must_use]
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A target's name.
    TargetName
}
name! {
    /// What identifies a route from one reload of the configuration to the next. Routes have no names in files, so the
    /// reader of the configuration makes one, of the route's content for example.
    RouteName
}
name! {
    /// A digest's name.
    DigestName
}

/// What an event is about. Messages about one subject are one thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Subject {
    /// A plan.
    Plan(String),
    /// A repository.
    Repository(String),
    /// A host.
    Host(String),
    /// Where messages go to.
    Target(TargetName),
    /// A drill.
    Drill(String),
    /// The server itself.
    Server,
}

impl Subject {
    /// What it is, as in "plan".
    #[must_use]
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Plan(_) => "plan",
            Self::Repository(_) => "repository",
            Self::Host(_) => "host",
            Self::Target(_) => "target",
            Self::Drill(_) => "drill",
            Self::Server => "server",
        }
    }

    /// Its name alone.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Plan(name) | Self::Repository(name) | Self::Host(name) | Self::Drill(name) => name,
            Self::Target(name) => name.as_str(),
            Self::Server => "server",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("server"),
            other => write!(f, "{}:{}", other.noun(), other.name()),
        }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

/// A text that names no subject.
#[derive(Debug, Error)]
#[error(
    "{text:?} is no subject: it has to be \"server\", or begin with plan:, repository:, host:, target: or drill:"
)]
pub struct SubjectError {
    text: String,
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let name = |name: &str| name.to_owned();
        match text.split_once(':') {
            None if text == "server" => Ok(Self::Server),
            Some(("plan", plan)) => Ok(Self::Plan(name(plan))),
            Some(("repository", repository)) => Ok(Self::Repository(name(repository))),
            Some(("host", host)) => Ok(Self::Host(name(host))),
            Some(("target", target)) => Ok(Self::Target(TargetName::new(target))),
            Some(("drill", drill)) => Ok(Self::Drill(name(drill))),
            _ => Err(SubjectError { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Self, SubjectError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::{Subject, TargetName};

    #[test]
    fn subjects_are_texts_and_back() {
        for subject in [
            Subject::Plan("a:b".to_owned()),
            Subject::Repository("main".to_owned()),
            Subject::Host(String::new()),
            Subject::Target(TargetName::new("ops")),
            Subject::Drill("d".to_owned()),
            Subject::Server,
        ] {
            assert_eq!(subject.to_string().parse::<Subject>().expect("a subject"), subject);
        }
        assert!("plans:x".parse::<Subject>().is_err());
    }
}
