//! What the rules need to know of Rust sources: which paths a file names, which macros it calls, and which
//! module imports from which.

use std::collections::{BTreeMap, BTreeSet};

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Lit, LitStr, Macro, Meta, UseTree, Visibility};

/// A module's path in its crate; empty for the root.
pub type Module = Vec<String>;

/// Whether what is compiled for tests only is read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tests {
    /// It is read.
    Read,
    /// It is left out.
    LeftOut,
}

/// A path that is imported.
pub struct Import {
    /// The path; its last part is `*` for a glob.
    pub path: Module,
    /// The name that it has in the file.
    pub name: String,
    /// Whether the file exports it again.
    pub public: bool,
}

/// What a file names.
pub struct Names {
    /// Paths of `use`.
    pub imports: Vec<Import>,
    /// Other paths of two or more parts.
    pub paths: Vec<Module>,
    /// Texts in quotation marks, but for documentation.
    pub texts: Vec<String>,
    /// Macros that are called.
    pub macros: Vec<String>,
    /// Identifiers outside of imports; of a path the first part alone.
    words: BTreeSet<String>,
    tests: Tests,
    /// In how many inline modules the reader is: `super` inside of one means the file itself.
    inline: usize,
}

impl Names {
    /// Those of a source. Panics if it isn't Rust.
    pub fn of(text: &str, tests: Tests) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let mut names = Self {
            imports: Vec::new(),
            paths: Vec::new(),
            texts: Vec::new(),
            macros: Vec::new(),
            words: BTreeSet::new(),
            tests,
            inline: 0,
        };
        names.visit_file(&file);
        names
    }

    fn is_left_out(&self, attributes: &[Attribute]) -> bool {
        let is_test = |attribute: &Attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
        };
        self.tests == Tests::LeftOut && attributes.iter().any(is_test)
    }

    fn add_path(&mut self, path: Module) {
        self.words.extend(path.first().cloned());
        if path.len() > 1 {
            self.paths.push(outside(path, self.inline));
        }
    }

    fn add_imports(&mut self, tree: &UseTree, prefix: &[String], public: bool) {
        let with = |part: String| [prefix, &[part]].concat();
        let (path, name) = match tree {
            UseTree::Path(path) => {
                return self.add_imports(&path.tree, &with(path.ident.to_string()), public);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.add_imports(tree, prefix, public));
            }
            // `use a::{self}` imports `a`.
            UseTree::Name(name) if name.ident == "self" => (prefix.to_vec(), prefix.last().cloned()),
            UseTree::Rename(rename) if rename.ident == "self" => {
                (prefix.to_vec(), Some(rename.rename.to_string()))
            }
            UseTree::Name(name) => (with(name.ident.to_string()), Some(name.ident.to_string())),
            UseTree::Rename(rename) => (with(rename.ident.to_string()), Some(rename.rename.to_string())),
            UseTree::Glob(_) => (with("*".to_owned()), Some("*".to_owned())),
        };
        let path = outside(path, self.inline);
        self.imports.push(Import { path, name: name.unwrap_or_default(), public });
    }

    /// The arguments of a macro aren't parsed: in them, identifiers with `::` between them are paths.
    fn add_tokens(&mut self, mut at: Cursor<'_>) {
        while !at.eof() {
            if let Some((inside, _, _, rest)) = at.any_group() {
                self.add_tokens(inside);
                at = rest;
            } else if let Some((first, rest)) = at.ident() {
                let mut path = vec![first.to_string()];
                at = rest;
                while let Some((next, rest)) = next_of_path(at) {
                    path.push(next);
                    at = rest;
                }
                if at.punct().is_some_and(|(sign, _)| sign.as_char() == '!') {
                    self.macros.extend(path.last().cloned());
                }
                self.add_path(path);
            } else if let Some((literal, rest)) = at.literal() {
                if let Lit::Str(text) = Lit::new(literal) {
                    self.texts.push(text.value());
                }
                at = rest;
            } else if let Some((_, rest)) = at.token_tree() {
                at = rest;
            }
        }
    }
}

/// The identifier behind `::`, and what follows it.
fn next_of_path(at: Cursor<'_>) -> Option<(String, Cursor<'_>)> {
    let (one, at) = at.punct()?;
    let (two, at) = at.punct()?;
    let (name, at) = at.ident()?;
    (one.as_char() == ':' && two.as_char() == ':').then(|| (name.to_string(), at))
}

/// A path as it would be written outside of this many inline modules.
fn outside(path: Module, inline: usize) -> Module {
    let levels = path.iter().take_while(|part| *part == "super").count().min(inline);
    if levels == 0 { path } else { [vec!["self".to_owned()], path[levels..].to_vec()].concat() }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Const(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        if !self.is_left_out(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        if !self.is_left_out(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.inline += 1;
        visit::visit_item_mod(self, item);
        self.inline -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let public = !matches!(item.vis, Visibility::Inherited);
        self.add_imports(&item.tree, &[], public);
    }

    /// Who may use an item is no import.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.add_tokens(TokenBuffer::new2(list.tokens.clone()).begin());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add_path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        path.segments.iter().for_each(|segment| self.visit_path_arguments(&segment.arguments));
    }

    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.texts.push(text.value());
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.macros.extend(call.path.segments.last().map(|segment| segment.ident.to_string()));
        self.visit_path(&call.path);
        self.add_tokens(TokenBuffer::new2(call.tokens.clone()).begin());
    }

    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.words.insert(ident.to_string());
    }
}

/// The module that a file is: the crate's folder, and the path below its `src`.
pub fn module_of(path: &str) -> Option<(String, Module)> {
    let (krate, rest) = path.split_once("/src/")?;
    let mut parts: Module = rest.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    if matches!(parts.last()?.as_str(), "mod" | "lib" | "main") {
        parts.pop();
    }
    Some((krate.to_owned(), parts))
}

/// The modules of a crate, from its files' paths and texts, and which each one imports from.
pub fn imports_by_module<'s>(
    krate: &str,
    sources: impl IntoIterator<Item = (&'s str, &'s str)>,
) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut modules: BTreeMap<Module, Vec<Names>> = BTreeMap::new();
    for (path, text) in sources {
        if let Some((_, module)) = module_of(path).filter(|(of, _)| of == krate) {
            modules.entry(module).or_default().push(Names::of(text, Tests::LeftOut));
        }
    }
    let mut edges = BTreeMap::new();
    for (module, files) in &modules {
        let mut targets: BTreeSet<Module> = BTreeSet::new();
        for names in files {
            for Import { path, name, public } in &names.imports {
                // What is only exported again isn't used here; a module that imports it is led to its home.
                if !public || names.words.contains(name) {
                    targets.extend(resolve(&modules, module, path, 8));
                }
            }
            targets.extend(names.paths.iter().filter_map(|path| resolve(&modules, module, path, 8)));
        }
        // A module and those inside of it are one thing: what is inside may use what the module
        // itself declares.
        targets.retain(|target| !target.starts_with(module));
        edges.insert(module.clone(), targets);
    }
    edges
}

/// The module that a path leads to, through at most this many modules that export again what they import;
/// `None` outside of the crate.
fn resolve(
    modules: &BTreeMap<Module, Vec<Names>>,
    from: &Module,
    path: &[String],
    hops: u8,
) -> Option<Module> {
    let mut at = from.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => at.clear(),
        "self" => {}
        "super" => {
            at.pop()?;
        }
        first => {
            at.push(first.to_owned());
            modules.contains_key(&at).then_some(())?;
        }
    }
    rest = &rest[1..];
    while let Some(next) = rest.first() {
        let below = [at.clone(), vec![next.clone()]].concat();
        if next == "super" {
            at.pop()?;
        } else if modules.contains_key(&below) {
            at = below;
        } else {
            let mut imports = modules.get(&at).into_iter().flatten().flat_map(|names| &names.imports);
            let exported = imports.find(|import| import.public && import.name == *next && hops > 0);
            let home = exported.and_then(|import| resolve(modules, &at, &import.path, hops - 1));
            return Some(home.unwrap_or(at));
        }
        rest = &rest[1..];
    }
    Some(at)
}
