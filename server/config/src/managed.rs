//! What files in `managed.d` may say: they are written through the API, and the API is no way to run programs, to read the
//! server's environment or to take in other files. A person who may write such a file decides what is backed up, when and where
//! to; commands stand in files that people write, and a managed definition can name a template that has them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::effective::{DefinitionHash, hash, path_of};
use crate::files::Limits;
use crate::source::{Origin, Sources};
use crate::tree::{Node, Table, Value, parse};

/// Where the API writes definitions, beside the first file.
pub const MANAGED: &str = "managed.d";

/// What stands for itself at the top of a file, and not in a managed one.
const FOREIGN: [(&str, &str); 2] = [
    ("server", "the server's own settings stand in a file that people write"),
    ("include", "other files are named in a file that people write"),
];
/// Keys below a definition that run a program, hand arguments to one, or name a place of the machine's own.
const COMMANDS: [(&str, &str); 6] = [
    ("hook", "runs a command: put it into a template in a file that people write, and inherit that"),
    ("stream", "runs a command: put the plan into a file that people write"),
    ("command", "runs a command: name the secret by `file`, `env` or `credential`"),
    ("options", "are arguments of a command: put them into a file that people write"),
    ("programs", "names folders of programs that are run: put it into a file that people write"),
    ("cache", "is a place of the machine's own: put it into a file that people write"),
];
/// Keys that name a secret.
const SECRETS: [&str; 5] = ["password", "access_key", "secret_key", "token", "hmac"];

/// Whether a file is one that the API writes.
pub(crate) fn is_managed(path: &Path, top: &Path) -> bool {
    path.parent() == Some(&top.join(MANAGED))
}

/// Tells all that a managed file says and may not.
pub(crate) fn check(root: &Node, diagnostics: &mut Diagnostics) {
    let Some(table) = root.table() else { return };
    for (section, entry) in &table.entries {
        if let Some((_, why)) = FOREIGN.iter().find(|(key, _)| key == section) {
            refuse(section, why, entry.key, diagnostics);
        }
        // The names of definitions are no keys: a plan may be called `command`.
        match (is_named(section), entry.node.table()) {
            (true, Some(named)) => {
                named.entries.values().for_each(|definition| check_below(&definition.node, diagnostics));
            }
            _ => check_below(&entry.node, diagnostics),
        }
    }
    root.walk(&mut |node| {
        if node.text().is_some_and(|text| text.replace("$$", "").contains('$')) {
            let diagnostic = Diagnostic::new(Code::Managed, "a managed file takes no variables");
            let help = "write the value itself; a secret is named by `{ env = \"NAME\" }`, and a dollar sign is `$$`";
            diagnostics.add(diagnostic.at(node.origin).help(help));
        }
    });
}

fn check_below(node: &Node, diagnostics: &mut Diagnostics) {
    match &node.value {
        Value::List(list) => list.iter().for_each(|node| check_below(node, diagnostics)),
        Value::Table(Table { entries }) => {
            for (key, entry) in entries {
                if let Some((_, why)) = COMMANDS.iter().find(|(command, _)| command == key) {
                    refuse(key, why, entry.key, diagnostics);
                }
                check_below(&entry.node, diagnostics);
            }
        }
        _ => {}
    }
}

fn refuse(key: &str, why: &str, at: Origin, diagnostics: &mut Diagnostics) {
    let message = format!("a managed file can't have `{key}`");
    diagnostics.add(Diagnostic::new(Code::Managed, message).at(at).help(format!("`{key}` {why}")));
}

/// Whether a section has definitions by name.
fn is_named(section: &str) -> bool {
    crate::config::Kind::ALL.into_iter().any(|kind| kind.key() == section)
}

/// A definition of a text, by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    /// What it is: `plan`.
    pub section: String,
    /// Its name; a number for what has none.
    pub name: String,
    /// A hash of what it says itself, whatever it inherits.
    pub hash: DefinitionHash,
    /// Whether it names a secret.
    pub names_secret: bool,
}

impl Defined {
    fn of(section: &str, name: &str, node: &Node) -> (String, Self) {
        let mut names_secret = false;
        node.walk(&mut |node| {
            let keys = node.table().into_iter().flat_map(|table| table.entries.keys());
            names_secret |= keys.into_iter().any(|key| SECRETS.contains(&key.as_str()));
        });
        let (section_text, name_text) = (section.to_owned(), name.to_owned());
        let defined = Self { section: section_text, name: name_text, hash: hash(node), names_secret };
        (path_of(section, name), defined)
    }
}

/// What a text defines, by the path of each definition. Nothing if it can't be read.
#[must_use]
pub fn defined_by(text: &str) -> Option<BTreeMap<String, Defined>> {
    let file = Sources::default().add(Default::default(), text.to_owned());
    let root = parse(text, file, Limits::default().levels).ok()?;
    let mut found = BTreeMap::new();
    for (section, entry) in &root.table()?.entries {
        match (&entry.node.value, is_named(section)) {
            (Value::Table(Table { entries }), true) => {
                found.extend(entries.iter().map(|(name, entry)| Defined::of(section, name, &entry.node)));
            }
            (Value::List(list), false) => {
                let numbered = list.iter().zip(1..);
                found.extend(numbered.map(|(node, number)| Defined::of(section, &number.to_string(), node)));
            }
            _ if section == "version" => {}
            _ => found.extend([Defined::of(section, "", &entry.node)]),
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::defined_by;

    #[test]
    fn a_text_defines_what_it_names() {
        let text =
            "version = 1\n[plan.www]\nrepository = 'main'\n[plan.\"a b\"]\n[[route]]\nto = ['x']\n[digest]\n";
        let paths: Vec<String> = defined_by(text).expect("TOML").into_keys().collect();
        assert_eq!(paths, ["digest", "plan.\"a b\"", "plan.www", "route.1"]);
        assert_eq!(defined_by("[plan.www\n"), None);
        let said = |text| defined_by(text).expect("TOML")["plan.www"].clone();
        let hash = |text| said(text).hash;
        assert!(!said("plan.www.rpo = '1h'").names_secret);
        assert!(said("plan.www.source = [{ postgres = { password = { env = 'A' } } }]").names_secret);
        assert_eq!(hash("plan.www.rpo = '1h' # x"), hash("[plan.www]\nrpo = \"1h\""));
        assert_ne!(hash("plan.www.rpo = '1h'"), hash("plan.www.rpo = '2h'"));
    }
}
