//! From files to a configuration, with all that is wrong in one pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{Config, Definition, Kind, Named};
use crate::decode::{Context, Decode, NamedDefinition, TableReader, shortened};
use crate::diagnostic::code::Code;
use crate::diagnostic::render::Report;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::effective::{Effective, hash};
use crate::files::{Facts, Files, Limits};
use crate::inherit::{Heir, Inheritance, settle};
use crate::lint;
use crate::managed::MANAGED;
use crate::model::plan::Plan;
use crate::model::root::Root;
use crate::model::server::{Definitions, Server};
use crate::reading::{Parsed, Reader, Reading};
use crate::schema::fill::fill;
use crate::schema::open_keys;
use crate::source::{Origin, Sources};
use crate::state_plan;
use crate::substitute::{Substitution, hide_literals};
use crate::tree::{Entry, Node, Table, Value};
use crate::values::name::{Name, is_name};

/// The version of the form of files that this program reads.
pub const VERSION: i64 = 1;

/// What comes of reading a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration; nothing if there is an error.
    pub config: Option<Config>,
    /// Errors and warnings, with the files that they are about.
    pub report: Report,
}

/// Reads a configuration from its first file on. Nothing stops at the first error.
#[must_use]
pub fn load(first: &Path, files: &dyn Files, facts: &dyn Facts, limits: &Limits) -> Loaded {
    let mut diagnostics = Diagnostics::new(limits.diagnostics);
    let mut sources = Sources::default();
    let mut reader = Reader {
        source: files,
        facts,
        limits,
        diagnostics: &mut diagnostics,
        sources: &mut sources,
        top: first.parent().map(Path::to_owned).unwrap_or_default(),
        reading: Reading { files: Vec::new(), is_partial: false },
        above: Vec::new(),
        seen: Vec::new(),
    };
    reader.read(first, None);
    if writes_managed(&reader.reading) {
        read_managed(&mut reader, first);
    }
    let Reading { files, is_partial } = reader.reading;
    let loading = Loading { facts, limits, is_partial, diagnostics: &mut diagnostics, named: Vec::new() };
    let config = loading.run(&files);
    let config = config.filter(|_| !diagnostics.has_errors());
    let config = config.map(|config| Config { sources: sources.clone(), ..config });
    Loaded { config, report: Report::new(diagnostics, sources, open_keys(Root::TABLE)) }
}

/// Whether definitions of the dashboard count. It is asked before anything is decoded: it says which files there are.
fn writes_managed(reading: &Reading) -> bool {
    let definitions = |file: &Parsed| {
        let server = file.root.table()?.get("server")?.table()?;
        Some(server.get("definitions")?.text()? == Definitions::FilesAndManaged.word())
    };
    reading.files.iter().filter_map(definitions).any(|managed| managed)
}

fn read_managed(reader: &mut Reader<'_>, first: &Path) {
    let folder = first.parent().map(Path::to_owned).unwrap_or_default().join(MANAGED);
    // It may not be there yet.
    let mut found: Vec<PathBuf> = reader.source.list(&folder).unwrap_or_default();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    found.sort();
    found.iter().for_each(|path| reader.read(path, None));
}

/// The parts of all files, before they are decoded.
#[derive(Default)]
struct Sections {
    server: Option<Entry>,
    digest: Option<Entry>,
    named: BTreeMap<Kind, BTreeMap<String, Entry>>,
    routes: Vec<Node>,
    pauses: Vec<Node>,
}

struct Loading<'l> {
    facts: &'l dyn Facts,
    limits: &'l Limits,
    is_partial: bool,
    diagnostics: &'l mut Diagnostics,
    /// Names of other definitions that were decoded.
    named: Vec<NamedDefinition>,
}

impl Loading<'_> {
    fn run(mut self, files: &[Parsed]) -> Option<Config> {
        let root = Root::shape();
        for file in files {
            hide_literals(&file.root, &root, self.diagnostics);
        }
        self.check_version(files.first());
        let sections = self.gather(files);
        let mut effective = Effective::default();
        let server = sections.server.unwrap_or_else(absent);
        let server: Option<Definition<Server>> = self.define("server", "", server, &mut effective);
        // One that can't be decoded is no reason not to look at what refers to others.
        let server = server.or_else(|| self.define("server", "", absent(), &mut Effective::default()));
        let empty = BTreeMap::new();
        let named = |kind| sections.named.get(&kind).unwrap_or(&empty);
        let plans = self.plans(named(Kind::Plan), named(Kind::Template), &mut effective);
        let mut config = Config {
            projects: self.define_all(Kind::Project, named(Kind::Project), &mut effective),
            repositories: self.define_all(Kind::Repository, named(Kind::Repository), &mut effective),
            plans,
            drills: self.define_all(Kind::Drill, named(Kind::Drill), &mut effective),
            targets: self.define_all(Kind::Target, named(Kind::Target), &mut effective),
            routes: self.define_list("route", sections.routes, &mut effective),
            digest: sections.digest.and_then(|entry| self.define("digest", "", entry, &mut effective)),
            pauses: self.define_list("pause", sections.pauses, &mut effective),
            server: server?,
            effective,
            sources: Sources::default(),
        };
        let names =
            lint::Names { sections: &sections.named, named: &self.named, is_partial: self.is_partial };
        lint::run(&config, &names, self.facts, self.diagnostics);
        // Behind the rules for plans that people write.
        config.plans.extend(state_plan::of(&config.server).map(|plan| (plan.name.clone(), plan)));
        Some(config)
    }

    fn check_version(&mut self, first: Option<&Parsed>) {
        let Some(first) = first else { return };
        let help = format!("the first line of the first file is `version = {VERSION}`");
        match first.root.table().and_then(|table| table.get("version")) {
            None => {
                let at = Origin::new(first.file, 0..0);
                self.diagnostics
                    .add(Diagnostic::new(Code::Version, "the version is missing").at(at).help(help));
            }
            Some(Node { value: Value::Integer(VERSION), .. }) => {}
            Some(other) => {
                let message = format!("this program reads version {VERSION} only");
                self.diagnostics.add(Diagnostic::new(Code::Version, message).at(other.origin).help(help));
            }
        }
    }

    /// Sorts what files say by what it is, and tells of names that are there twice.
    fn gather(&mut self, files: &[Parsed]) -> Sections {
        let mut sections = Sections::default();
        for file in files {
            let mut context = self.context("a file", Origin::DEFAULT);
            if TableReader::open(&file.root, Root::TABLE, &mut context).is_none() {
                continue;
            }
            let Some(table) = file.root.table() else { continue };
            for (key, entry) in &table.entries {
                match key.as_str() {
                    "server" => self.keep_one("`server`", &mut sections.server, entry),
                    "digest" => self.keep_one("`digest`", &mut sections.digest, entry),
                    "route" => sections.routes.extend(self.items(entry, key)),
                    "pause" => sections.pauses.extend(self.items(entry, key)),
                    _ => {
                        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.key() == key) {
                            self.keep_named(kind, sections.named.entry(kind).or_default(), entry);
                        }
                    }
                }
            }
        }
        sections
    }

    fn keep_one(&mut self, what: &str, kept: &mut Option<Entry>, entry: &Entry) {
        match kept {
            None => *kept = Some(entry.clone()),
            Some(first) => self.twice(what, first.key, entry.key),
        }
    }

    fn keep_named(&mut self, kind: Kind, kept: &mut BTreeMap<String, Entry>, entry: &Entry) {
        let Some(table) = entry.node.table() else {
            let shape = Root::TABLE.shape_of(kind.key());
            let mut context = self.context("a file", Origin::DEFAULT);
            shape.iter().for_each(|shape| context.wrong_kind(&entry.node, shape));
            return;
        };
        for (name, entry) in &table.entries {
            if !is_name(name) {
                let message = format!("`{}` is no name of a {kind}", shortened(name));
                self.diagnostics.add(Diagnostic::new(Code::Name, message).at(entry.key).help(
                    "a name has letters, digits, `-`, `_` and `.`, and begins with a letter or a digit",
                ));
            }
            match kept.get(name) {
                None => {
                    kept.insert(name.clone(), entry.clone());
                }
                Some(first) => self.twice(&format!("{kind} `{}`", shortened(name)), first.key, entry.key),
            }
        }
    }

    fn twice(&mut self, what: &str, first: Origin, second: Origin) {
        let diagnostic = Diagnostic::new(Code::Twice, format!("{what} is defined twice"));
        self.diagnostics.add(diagnostic.labelled(second, "again here").related(first, "first here"));
    }

    fn items(&mut self, entry: &Entry, key: &str) -> Vec<Node> {
        if let Some(list) = entry.node.list() {
            return list.to_vec();
        }
        let diagnostic =
            Diagnostic::new(Code::WrongKind, format!("`{key}` is a list, because there may be several"));
        self.diagnostics.add(diagnostic.at(entry.key).help(format!("write `[[{key}]]`")));
        Vec::new()
    }

    fn context(&mut self, subject: &str, top: Origin) -> Context<'_> {
        let (diagnostics, facts, named) = (&mut *self.diagnostics, self.facts, &mut self.named);
        Context { diagnostics, facts, is_template: false, subject: subject.to_owned(), top, named }
    }

    fn define_all<T: Decode>(
        &mut self,
        kind: Kind,
        entries: &BTreeMap<String, Entry>,
        effective: &mut Effective,
    ) -> Named<T> {
        let defined = entries.iter().filter_map(|(name, entry)| {
            let definition = self.define(kind.key(), name, entry.clone(), effective)?;
            Some((name.clone(), definition))
        });
        defined.collect()
    }

    fn define_list<T: Decode>(
        &mut self,
        section: &str,
        nodes: Vec<Node>,
        effective: &mut Effective,
    ) -> Vec<Definition<T>> {
        let numbered = nodes.into_iter().zip(1_usize..);
        let defined = numbered.filter_map(|(node, number)| {
            let entry = Entry { key: node.origin, node };
            self.define(section, &number.to_string(), entry, effective)
        });
        defined.collect()
    }

    /// Substitutes, fills in defaults and decodes.
    fn define<T: Decode>(
        &mut self,
        section: &str,
        name: &str,
        entry: Entry,
        effective: &mut Effective,
    ) -> Option<Definition<T>> {
        let (shape, Entry { key, mut node }) = (T::shape(), entry);
        settle(&mut node, Some(&shape));
        let mut substitution = Substitution {
            facts: self.facts,
            diagnostics: self.diagnostics,
            text_bytes_max: self.limits.text_bytes,
        };
        substitution.all(&mut node, Some(&shape));
        fill(&mut node, &shape);
        if node.table().is_some() {
            // What a definition lacks is told at its name.
            node.origin = key;
        }
        let subject =
            if name.is_empty() { section.to_owned() } else { format!("{section} `{}`", shortened(name)) };
        let mut context = self.context(&subject, key);
        let value = T::decode(&node, &mut context)?;
        let hash = hash(&node);
        effective.insert(section, name, node, shape);
        Some(Definition { name: name.to_owned(), origin: key, hash, value })
    }

    fn plans(
        &mut self,
        plans: &BTreeMap<String, Entry>,
        templates: &BTreeMap<String, Entry>,
        effective: &mut Effective,
    ) -> Named<Plan> {
        // Templates first: what is wrong in one is told where it stands, whether or not a plan inherits it.
        for (name, entry) in templates {
            let what = format!("template `{}`", shortened(name));
            self.resolve(templates, &Heir { what: what.clone(), key: entry.key, node: &entry.node });
            let mut node = entry.node.clone();
            settle(&mut node, Some(&Plan::shape()));
            Plan::decode(&node, &mut Context { is_template: true, ..self.context(&what, entry.key) });
        }
        let defined = plans.iter().filter_map(|(name, entry)| {
            let what = format!("plan `{}`", shortened(name));
            self.check_inheritance(&entry.node);
            let node = self.resolve(templates, &Heir { what, key: entry.key, node: &entry.node })?;
            let entry = Entry { key: entry.key, node };
            Some((name.clone(), self.define("plan", name, entry, effective)?))
        });
        defined.collect()
    }

    /// What a plan says of its templates is gone once they are resolved, so it is decoded before.
    fn check_inheritance(&mut self, node: &Node) {
        let of = |key| node.table().and_then(|table| table.get(key));
        let mut context = self.context("a plan", Origin::DEFAULT);
        of("inherits").map(|node| Vec::<Name>::decode(node, &mut context));
        of("unset").map(|node| Vec::<String>::decode(node, &mut context));
    }

    fn resolve(&mut self, templates: &BTreeMap<String, Entry>, heir: &Heir<'_>) -> Option<Node> {
        let mut inheritance = Inheritance {
            templates,
            shape: Plan::TABLE,
            levels_max: self.limits.templates_deep,
            is_partial: self.is_partial,
            diagnostics: self.diagnostics,
        };
        inheritance.resolve(heir)
    }
}

fn absent() -> Entry {
    Entry { key: Origin::DEFAULT, node: Node::of_default(Value::Table(Table::default())) }
}
