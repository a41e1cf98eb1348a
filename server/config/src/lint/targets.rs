//! Targets and repositories whose keys don't fit the kind that they are of.

use crate::config::{Config, Definition};
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::secret::AddressOrSecret;
use crate::model::target::{Preset, Target, Webhook};
use crate::values::address::Place;

/// Keys of a repository that say something of S3 alone.
const OF_S3: [&str; 7] =
    ["endpoint", "region", "access_key", "secret_key", "path_style", "ca_file", "storage_class"];

pub(super) fn check(config: &Config, diagnostics: &mut Diagnostics) {
    for target in config.targets.values() {
        if let Some(webhook) = &target.value.webhook {
            check_address(target, webhook, diagnostics);
            check_preset(config, target, webhook, diagnostics);
        }
    }
    for repository in config.repositories.values() {
        if !matches!(repository.value.url.value, Place::Directory(_)) {
            continue;
        }
        for key in OF_S3 {
            if let Some(origin) = config.effective.key("repository", &repository.name, &[key]) {
                let message = format!("`{key}` has no effect on a directory");
                diagnostics.add(Diagnostic::new(Code::NoEffect, message).at(origin));
            }
        }
    }
}

fn check_address(target: &Definition<Target>, webhook: &Webhook, diagnostics: &mut Diagnostics) {
    let is_literal = matches!(webhook.url.value, AddressOrSecret::Address(_));
    if is_literal && webhook.preset.has_secret_address() {
        diagnostics.hide(webhook.url.origin);
        let message =
            format!("the address of target `{}` is a secret, and written into the file", target.name);
        let diagnostic = Diagnostic::new(Code::AddressIsSecret, message).at(webhook.url.origin);
        diagnostics.add(diagnostic.help(
            "write a reference: `url = { file = \"/run/secrets/NAME\" }` or `url = { env = \"NAME\" }`",
        ));
    }
}

fn check_preset(
    config: &Config,
    target: &Definition<Target>,
    webhook: &Webhook,
    diagnostics: &mut Diagnostics,
) {
    let preset = webhook.preset;
    let takes = |key: &str| match key {
        "hmac" => preset == Preset::Generic,
        "token" => !preset.has_secret_address(),
        _ => matches!(preset, Preset::Ntfy | Preset::Telegram),
    };
    for key in ["hmac", "token", "channel"].into_iter().filter(|key| !takes(key)) {
        if let Some(origin) = config.effective.key("target", &target.name, &["webhook", key]) {
            let message = format!("`{key}` has no effect with the preset `{}`", preset.word());
            diagnostics.add(Diagnostic::new(Code::NoEffect, message).at(origin));
        }
    }
    let needs_token = matches!(preset, Preset::Gotify | Preset::Telegram);
    let lacks = [
        ("token", needs_token && webhook.token.is_none()),
        ("channel", takes("channel") && webhook.channel.is_none()),
    ];
    for (key, _) in lacks.into_iter().filter(|(_, lacks)| *lacks) {
        let message =
            format!("target `{}` lacks the key `{key}`, which `{}` needs", target.name, preset.word());
        diagnostics.add(Diagnostic::new(Code::Missing, message).at(target.origin));
    }
}
