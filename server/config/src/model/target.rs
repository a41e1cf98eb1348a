//! Targets of notifications.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use crate::decode::{Located, OneOrMore};
use crate::model::secret::{AddressOrSecret, SecretReference};
use crate::values::time::Length;

table! {
    /// Something that events can be sent to.
    pub struct Target {
        /// What it is, for people.
        description: Option<String>,
        /// A server for e-mail.
        smtp: Option<Smtp>,
        /// An address that takes requests.
        webhook: Option<Webhook>,
    }
    one_of("smtp", "webhook");
}

table! {
    /// E-mail.
    pub struct Smtp {
        /// The server.
        host: String,
        /// Its port.
        port: NonZeroU16 = "587",
        /// How the connection is encrypted.
        tls: SmtpTls = "'starttls'",
        /// Who sends.
        user: Option<String>,
        /// The user's password.
        password: Option<SecretReference>,
        /// The sender's address; else `keepfast@` and the server's name.
        from: Option<String>,
        /// The receivers' addresses.
        to: OneOrMore<String>,
        /// How long a delivery may take.
        timeout: Length = "'30s'",
    }
}

choice! {
    /// How a connection for e-mail is encrypted.
    pub enum SmtpTls {
        /// From the beginning on.
        Tls = "tls",
        /// After a first exchange; a server that can't is refused.
        Starttls = "starttls",
        /// Not at all: for a server on this machine.
        None = "none",
    }
}

table! {
    /// A request for each event.
    pub struct Webhook {
        /// The address. With most presets it is a secret, because who knows it can use it.
        url: Located<AddressOrSecret>,
        /// In which form.
        preset: Preset = "'generic'",
        /// With `ntfy`, `gotify` and `telegram`: the token.
        token: Option<SecretReference>,
        /// With `telegram`: the chat. With `ntfy`: the topic.
        channel: Option<String>,
        /// With `generic`: what requests are signed with, by HMAC-SHA-256 over the time and the body.
        hmac: Option<SecretReference>,
        /// More headers. Nothing in them is secret.
        headers: BTreeMap<String, String>,
        /// How long a delivery may take.
        timeout: Length = "'15s'",
    }
}

choice! {
    /// The form of a request.
    pub enum Preset {
        /// Slack.
        Slack = "slack",
        /// Discord.
        Discord = "discord",
        /// Microsoft Teams.
        Teams = "teams",
        /// ntfy.
        Ntfy = "ntfy",
        /// Gotify.
        Gotify = "gotify",
        /// Telegram.
        Telegram = "telegram",
        /// JSON, signed if there is a key.
        Generic = "generic",
    }
}

impl Preset {
    /// Whether knowing the address is enough to use it.
    #[must_use]
    pub fn has_secret_address(self) -> bool {
        matches!(self, Self::Slack | Self::Discord | Self::Teams)
    }
}
