//! What is well formed and most likely not as it was meant: names that nothing defines, plans that no one hears of,
//! promises that can't be kept. Everything that needs no calendar.

use std::collections::BTreeMap;

use crate::config::{Config, Kind};
use crate::decode::{NamedDefinition, shortened};
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::files::Facts;
use crate::source::Origin;
use crate::tree::Entry;

mod events;
mod places;
mod plans;
mod references;
mod secrets;
mod state;
mod targets;

/// More names than this aren't listed in a message.
const NAMES_LISTED: usize = 6;

/// What is defined, whether or not it could be decoded.
pub(crate) struct Names<'n> {
    pub(crate) sections: &'n BTreeMap<Kind, BTreeMap<String, Entry>>,
    /// Names of other definitions, wherever they are named.
    pub(crate) named: &'n [NamedDefinition],
    /// Whether more may be defined in a file that couldn't be read.
    pub(crate) is_partial: bool,
}

impl<'n> Names<'n> {
    fn of(&self, kind: Kind) -> impl Iterator<Item = &'n str> + use<'n> {
        self.sections.get(&kind).into_iter().flat_map(|names| names.keys().map(String::as_str))
    }

    fn entries(&self, kind: Kind) -> impl Iterator<Item = (&'n str, &'n Entry)> + use<'n> {
        let named = self.sections.get(&kind).into_iter().flatten();
        named.map(|(name, entry)| (name.as_str(), entry))
    }

    /// Tells if nothing of this name is defined.
    fn check(&self, kind: Kind, name: &str, origin: Origin, diagnostics: &mut Diagnostics) {
        if self.is_partial || self.of(kind).any(|other| other == name) {
            return;
        }
        let message = format!("there is no {kind} `{}`", shortened(name));
        let mut diagnostic = Diagnostic::new(Code::UnknownReference, message).at(origin);
        let known = nearest(name, self.of(kind));
        let others: Vec<String> =
            self.of(kind).take(NAMES_LISTED + 1).map(|name| format!("`{name}`")).collect();
        diagnostic = match (known, others.len()) {
            (Some(_), _) => diagnostic.suggest(known),
            (None, 0) => diagnostic.help(format!("define it: `[{kind}.{}]`", shortened(name))),
            (None, count) if count <= NAMES_LISTED => {
                diagnostic.help(format!("there is only {}", others.join(", ")))
            }
            _ => diagnostic,
        };
        diagnostics.add(diagnostic);
    }
}

/// Goes through all rules.
pub(crate) fn run(config: &Config, names: &Names<'_>, facts: &dyn Facts, diagnostics: &mut Diagnostics) {
    references::check(names, diagnostics);
    plans::check(config, diagnostics);
    places::check(config, diagnostics);
    secrets::check(config, facts, diagnostics);
    targets::check(config, diagnostics);
    // What isn't used or not heard of may be in a file that couldn't be read.
    if !names.is_partial {
        references::check_digests(config, diagnostics);
        references::check_use(names, diagnostics);
        events::check(config, names, facts, diagnostics);
        state::check(config, diagnostics);
    }
}
