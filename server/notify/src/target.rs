//! Where messages go to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::names::TargetName;

/// A secret, by the name that the resolver of secrets knows. Secrets themselves are never in a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef(pub String);

/// How much of a run's log a message has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogTail {
    /// Nothing: logs may name what others shouldn't know.
    #[default]
    None,
    /// At most this many lines from its end.
    Lines(u16),
}

/// Where messages go to.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name.
    pub name: TargetName,
    /// How they get there.
    pub channel: Channel,
    /// How much of a log they have.
    pub log_tail: LogTail,
}

/// How messages get to a target.
#[derive(Debug, Clone)]
pub enum Channel {
    /// As mail.
    Smtp(Smtp),
    /// By a request over HTTP.
    Webhook(Webhook),
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// It begins in the clear and goes on with TLS, or ends. Port 587.
    StartTls,
    /// TLS from the first byte. Port 465.
    Tls,
    /// Not at all: everyone on the way reads the messages, and the password.
    Plain,
}

/// Mail by way of a server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The certificates, as PEM, of authorities that the server's may be signed by, besides those of the system.
    pub authorities: Option<String>,
    /// The user, if it asks for one.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretRef>,
    /// Who it is from: an address, or `Name <address>`.
    pub from: String,
    /// Who gets it: the same.
    pub to: Vec<String>,
    /// What this machine calls itself to the server: a host name.
    pub hello: String,
    /// For all of a transaction, at most this long: some servers let strangers wait for a minute.
    pub timeout: Duration,
}

/// A request over HTTP.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The address. It is a secret itself where anyone that knows it may write: Slack, Discord, Teams.
    pub url: SecretRef,
    /// What the service at the other end takes.
    pub kind: WebhookKind,
    /// More headers, by name. None of them is secret.
    pub headers: BTreeMap<String, String>,
    /// Whether the address has to lead to the public internet. Without it, it may lead anywhere that this machine
    /// reaches.
    pub public_only: bool,
    /// The certificates, as PEM, of authorities that the server's may be signed by, besides those of the system.
    pub authorities: Option<String>,
    /// For all of a request, at most this long.
    pub timeout: Duration,
}

/// What a service takes.
#[derive(Debug, Clone)]
pub enum WebhookKind {
    /// An incoming webhook of Slack, and of what understands the same.
    Slack,
    /// A webhook of Discord.
    Discord,
    /// A workflow of Microsoft Teams that posts what it gets to a channel.
    Teams,
    /// A topic of ntfy: the address of the server.
    Ntfy {
        /// The topic; else it is the last part of the address.
        topic: Option<String>,
        /// A token, if the topic is protected.
        token: Option<SecretRef>,
    },
    /// An application of Gotify: the address of the server.
    Gotify {
        /// The application's token.
        token: SecretRef,
    },
    /// A bot of Telegram: the address of its API, usually `https://api.telegram.org`.
    Telegram {
        /// The bot's token.
        token: SecretRef,
        /// The chat: a number, or `@name` of a channel.
        chat: String,
    },
    /// Anything: JSON of a shape that is documented and stays.
    Generic(GenericHook),
}

/// What a generic request has besides its body.
#[derive(Debug, Clone, Default)]
pub struct GenericHook {
    /// The key that requests are signed with.
    pub signing_key: Option<SecretRef>,
    /// A token that is sent as `Authorization: Bearer`.
    pub bearer: Option<SecretRef>,
}
