//! Targets of notifications.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use crate::decode::{Context, Decode, Located, OneOrMore};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::code::Code;
use crate::model::reference::Definable;
use crate::model::secret::{AddressOrSecret, SecretReference};
use crate::schema::Shape;
use crate::tree::Node;
use crate::values::address::{AbsolutePath, Host};
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
        host: Host,
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
        /// Certificates in PEM, of authorities to trust in addition to the system's.
        ca_file: Option<AbsolutePath>,
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
        /// With `ntfy`, `gotify` and `telegram`: the token. With `generic`: what is sent as `Authorization: Bearer`.
        token: Option<SecretReference>,
        /// With `telegram`: the chat. With `ntfy`: the topic.
        channel: Option<String>,
        /// With `generic`: what requests are signed with, by HMAC-SHA-256 over the time and the body.
        hmac: Option<SecretReference>,
        /// More headers. Nothing in them is secret.
        headers: Headers,
        /// Certificates in PEM, of authorities to trust in addition to the system's.
        ca_file: Option<AbsolutePath>,
        /// How long a delivery may take.
        timeout: Length = "'15s'",
    }
}

/// Headers of a request, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub BTreeMap<String, String>);

/// Headers that are there for secrets, in small letters.
const SECRET_HEADERS: [&str; 5] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"];

impl Decode for Headers {
    const REQUIRED: bool = false;

    fn shape() -> Shape {
        BTreeMap::<String, String>::shape()
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let is_secret = |name: &str| SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str());
        let entries = node.table().into_iter().flat_map(|table| &table.entries);
        for (name, entry) in entries.filter(|(name, _)| is_secret(name)) {
            context.hide(&entry.node);
            let message = format!("a secret is written into the file: the header `{name}`");
            let diagnostic = Diagnostic::new(Code::SecretLiteral, message).at(entry.node.origin);
            context.tell(diagnostic.help("write `token = { file = \"/run/secrets/NAME\" }`"));
        }
        BTreeMap::decode(node, context).map(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
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

impl Definable for Target {
    const KEY: &'static str = "target";
}
