//! What a unit needs of this machine, by the configuration: places that it writes to, and secrets that systemd hands
//! to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use keepfast_config::config::{Config, Definition};
use keepfast_config::managed::MANAGED;
use keepfast_config::model::repository::Repository;
use keepfast_config::model::secret::SecretReference;
use keepfast_config::model::server::Definitions;
use keepfast_config::model::target::Target;
use keepfast_config::values::address::Place;
use keepfast_server::state;

use super::Choices;

/// Directories that systemd makes for the program.
const OWN: [&str; 3] = ["/var/lib/keepfast", "/var/cache/keepfast", "/run/keepfast"];
/// Where systemd itself looks for credentials that an administrator has put there.
const CREDENTIALS: &str = "/etc/credstore";

/// The repositories that a unit works with: those of its plan, or all.
pub fn repositories<'c>(config: &'c Config, choices: &Choices) -> Vec<&'c Definition<Repository>> {
    let plan = choices.plan.as_ref().and_then(|name| config.plans.get(name));
    let is_used = |name: &str| {
        plan.is_none_or(|plan| {
            let copies = plan.value.copy_to.iter().map(|copy| &copy.repository);
            std::iter::once(&plan.value.repository).chain(copies).any(|used| used.name == name)
        })
    };
    config.repositories.values().filter(|repository| is_used(&repository.name)).collect()
}

/// The directories that it writes to beyond those that systemd makes for it, each once.
pub fn writable(config: &Config, choices: &Choices) -> Vec<PathBuf> {
    let mut found: BTreeSet<PathBuf> = choices.restore_to.iter().cloned().collect();
    found.extend(state::folders(config));
    for repository in repositories(config, choices) {
        if let Place::Directory(path) = &repository.value.url.value {
            found.insert(path.clone());
        }
        found.extend(repository.value.cache.iter().map(|cache| cache.0.clone()));
    }
    if choices.plan.is_none() {
        if config.server.value.definitions == Definitions::FilesAndManaged {
            found.extend(choices.config.parent().map(|folder| folder.join(MANAGED)));
        }
        found.extend(
            config.drills.values().filter_map(|drill| Some(drill.value.into.as_ref()?.value.0.clone())),
        );
    }
    let is_inside = |path: &PathBuf, above: &Path| path != above && path.starts_with(above);
    let all = found.clone();
    found.retain(|path| {
        !OWN.iter().any(|own| path.starts_with(own)) && !all.iter().any(|above| is_inside(path, above))
    });
    found.into_iter().collect()
}

/// The secrets that a unit reads.
pub fn secrets<'c>(config: &'c Config, choices: &Choices) -> Vec<&'c SecretReference> {
    let mut found = Vec::new();
    for repository in repositories(config, choices) {
        let Repository { password, access_key, secret_key, .. } = &repository.value;
        found.extend(std::iter::once(password).chain(access_key).chain(secret_key));
    }
    let server = &config.server.value;
    found.extend(server.state.postgres.iter().filter_map(|database| database.password.as_ref()));
    if choices.plan.is_none() {
        found.extend(server.metrics.iter().filter_map(|metrics| metrics.token.as_ref()));
        found.extend(server.oidc.iter().map(|oidc| &oidc.client_secret));
        found.extend(server.tls.iter().map(|tls| &tls.key));
    }
    found.extend(config.targets.values().flat_map(|target| of_target(&target.value)));
    found
}

fn of_target(target: &Target) -> Vec<&SecretReference> {
    use keepfast_config::model::secret::AddressOrSecret;
    let mail = target.smtp.iter().filter_map(|smtp| smtp.password.as_ref());
    let web = target.webhook.iter().flat_map(|webhook| {
        let address = match &webhook.url.value {
            AddressOrSecret::Secret(reference) => Some(reference),
            AddressOrSecret::Address(_) => None,
        };
        address.into_iter().chain(&webhook.token).chain(&webhook.hmac)
    });
    mail.chain(web).collect()
}

/// The credentials that a unit is given, with their files.
pub fn credentials(config: &Config, choices: &Choices) -> BTreeMap<String, PathBuf> {
    let named = secrets(config, choices).into_iter().filter_map(|reference| match reference {
        SecretReference::Credential(name) => Some(name.clone()),
        _ => None,
    });
    named
        .map(|name| {
            let said = choices.credentials.get(&name).cloned();
            let file = said.unwrap_or_else(|| Path::new(CREDENTIALS).join(&name));
            (name, file)
        })
        .collect()
}

/// Whether systemd makes this directory, with the rights that the unit needs.
pub fn is_made_by_systemd(path: &Path) -> bool {
    OWN.iter().any(|own| path.starts_with(own))
}
