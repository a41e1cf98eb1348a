//! Who does something, as the audit names it.

use keepfast_store::{AuditAction, AuditNote, Label, UtcTime};
use serde_json::Value;

/// Who does something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    who: String,
    origin: String,
}

impl Actor {
    /// A user in a session.
    #[must_use]
    pub fn user(name: &str, origin: &str) -> Self {
        Self { who: format!("user {name}"), origin: origin.to_owned() }
    }

    /// A token of a user.
    #[must_use]
    pub fn token(token: &str, user: &str, origin: &str) -> Self {
        Self { who: format!("token {token} of {user}"), origin: origin.to_owned() }
    }

    /// An account of this machine, which may use the files of the state.
    #[must_use]
    pub fn local(name: &str, id: u32) -> Self {
        Self { who: format!("local user {name} ({id})"), origin: "local".to_owned() }
    }

    /// Someone who isn't signed in.
    #[must_use]
    pub fn stranger(origin: &str) -> Self {
        Self { who: "not signed in".to_owned(), origin: origin.to_owned() }
    }

    /// The server by itself.
    #[must_use]
    pub fn server(name: &str) -> Self {
        Self { who: format!("server {name}"), origin: "local".to_owned() }
    }

    /// Who it is.
    #[must_use]
    pub fn who(&self) -> &str {
        &self.who
    }

    /// What is to be recorded of something that this actor does.
    #[must_use]
    pub fn note(
        &self,
        at: UtcTime,
        action: &'static str,
        object: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) -> AuditNote {
        AuditNote {
            at,
            who: Label::from(self.who.as_str()),
            origin: Label::from(self.origin.as_str()),
            action: AuditAction::known(action),
            object: Label::from(object),
            before,
            after,
        }
    }
}
