//! Which secrets a configuration refers to, and where.

use keepfast_config::config::Config;
use keepfast_config::model::secret::{AddressOrSecret, SecretReference};
use keepfast_config::model::source::Source;

/// A secret that a definition refers to.
#[derive(Debug, Clone, Copy)]
pub struct Referred<'c> {
    /// The kind of the definition: `repository`.
    pub kind: &'static str,
    /// Its name; there is one server, and it has none.
    pub name: &'c str,
    /// What the secret is, for messages.
    pub what: &'static str,
    /// Where it is.
    pub reference: &'c SecretReference,
    /// Whether it has more than one line.
    pub is_long: bool,
}

impl Referred<'_> {
    /// The definition, for messages.
    #[must_use]
    pub fn definition(&self) -> String {
        format!("{} {}", self.kind, self.name).trim_end().to_owned()
    }
}

/// All secrets of a configuration.
#[must_use]
pub fn all(config: &Config) -> Vec<Referred<'_>> {
    let mut found = Vec::new();
    let mut add = |kind, name, what, reference: Option<_>| {
        found.extend(reference.map(|reference| Referred { kind, name, what, reference, is_long: false }));
    };
    for (name, repository) in &config.repositories {
        let repository = &repository.value;
        add("repository", name, "password", Some(&repository.password));
        add("repository", name, "access key", repository.access_key.as_ref());
        add("repository", name, "secret key", repository.secret_key.as_ref());
    }
    for (name, plan) in &config.plans {
        for source in &plan.value.source.0 {
            let Source { postgres, mysql, mariadb, mongodb, redis, .. } = source;
            for database in [postgres, mysql, mariadb, mongodb, redis].into_iter().flatten() {
                add("plan", name, "password of the database", database.password.as_ref());
            }
        }
    }
    for (name, target) in &config.targets {
        let mail = target.value.smtp.as_ref();
        add("target", name, "password of the mail server", mail.and_then(|mail| mail.password.as_ref()));
        if let Some(webhook) = &target.value.webhook {
            add("target", name, "address", of_address(&webhook.url.value));
            add("target", name, "token", webhook.token.as_ref());
            add("target", name, "signing key", webhook.hmac.as_ref());
        }
    }
    let server = &config.server.value;
    let database = server.state.postgres.as_ref();
    let of_state = database.and_then(|database| database.password.as_ref());
    add("server", "", "password of the state database", of_state);
    add("server", "", "token of metrics", server.metrics.as_ref().and_then(|metrics| metrics.token.as_ref()));
    add("server", "", "password at the issuer", server.oidc.as_ref().map(|oidc| &oidc.client_secret));
    let heartbeat = server.heartbeat.as_ref();
    add("server", "", "address of the heartbeat", heartbeat.and_then(|heartbeat| of_address(&heartbeat.url)));
    let key = server.tls.as_ref().map(|tls| &tls.key);
    found.extend(key.map(|reference| Referred {
        kind: "server",
        name: "",
        what: "key of TLS",
        reference,
        is_long: true,
    }));
    found
}

fn of_address(address: &AddressOrSecret) -> Option<&SecretReference> {
    match address {
        AddressOrSecret::Secret(reference) => Some(reference),
        AddressOrSecret::Address(_) => None,
    }
}
