//! Reads of Rust what the house rules need: words, paths, and which module imports which.

use std::collections::{BTreeMap, BTreeSet};

/// A module's path in its crate; none for the root.
pub type Module = Vec<String>;

/// The words of a source: identifiers, `::` and single signs; no comments and literals.
pub fn words(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"//") {
            at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        } else if rest.starts_with(b"/*") {
            at += 2 + text[at + 2..].find("*/").map_or(rest.len(), |end| end + 2);
        } else if let Some(length) = raw_string(rest).or_else(|| quoted(rest)) {
            at += length;
        } else if rest[0].is_ascii_whitespace() {
            at += 1;
        } else if is_word(rest[0]) {
            let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
            out.push(text[at..at + length].to_owned());
            at += length;
        } else {
            let length = if rest.starts_with(b"::") { 2 } else { 1 };
            out.push(text[at..at + length].to_owned());
            at += length;
        }
    }
    out
}

/// The length of the raw string that `bytes` begin with.
fn raw_string(bytes: &[u8]) -> Option<usize> {
    let prefix = if bytes.starts_with(b"br") || bytes.starts_with(b"cr") { 2 } else { 1 };
    if bytes.get(prefix - 1) != Some(&b'r') {
        return None;
    }
    let hashes = bytes[prefix..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(prefix + hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    let body = prefix + hashes + 1;
    let found = bytes[body..].windows(end.len()).position(|window| window == end.as_slice());
    Some(found.map_or(bytes.len(), |found| body + found + end.len()))
}

/// The length of the string or character that `bytes` begin with.
fn quoted(bytes: &[u8]) -> Option<usize> {
    let prefix = usize::from(matches!(bytes, [b'b' | b'c', b'"' | b'\'', ..]));
    let sign = *bytes.get(prefix)?;
    // A lifetime is a quote, a letter, and then no second quote.
    let character = sign == b'\'' && (bytes.get(prefix + 1) == Some(&b'\\') || closes(&bytes[prefix + 1..]));
    if sign != b'"' && !character {
        return None;
    }
    let mut at = prefix + 1;
    while at < bytes.len() && bytes[at] != sign {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    Some(at + 1)
}

/// Whether a quote follows the first character.
fn closes(bytes: &[u8]) -> bool {
    let first =
        String::from_utf8_lossy(&bytes[..bytes.len().min(4)]).chars().next().map_or(1, char::len_utf8);
    bytes.get(first) == Some(&b'\'')
}

/// The words without items that are for tests only.
pub fn without_tests(words: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut out = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if words[at..].iter().take(MARK.len()).eq(MARK.iter()) {
            let mut depth = 0;
            at += MARK.len();
            while at < words.len() {
                match words[at].as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 && matches!(words[at - 1].as_str(), ";" | "}") {
                    break;
                }
            }
        } else {
            out.push(words[at].clone());
            at += 1;
        }
    }
    out
}

/// What a file names: imports, other paths, and each word that isn't in an import.
#[derive(Default)]
pub struct Names {
    /// Paths of `use`, the name that each gets, and whether it is handed on by `pub`.
    pub imports: Vec<(Module, String, bool)>,
    /// Other paths.
    pub paths: Vec<Module>,
    /// Words that aren't in an import.
    pub words: BTreeSet<String>,
}

pub fn names(words: &[String]) -> Names {
    let mut names = Names::default();
    // How deep in braces each inline module began: `super` inside means the file itself.
    let mut inline: Vec<usize> = Vec::new();
    let (mut depth, mut at) = (0, 0);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    while at < words.len() {
        match word(at) {
            "{" => {
                if at >= 2 && word(at - 2) == "mod" {
                    inline.push(depth);
                }
                depth += 1;
            }
            "}" => {
                depth = depth.saturating_sub(1);
                inline.pop_if(|began| *began == depth);
            }
            "use" => {
                let public = at > 0 && matches!(word(at - 1), "pub" | ")");
                let mut found = Vec::new();
                at += 1;
                import(words, &mut at, &mut Vec::new(), &mut found);
                names
                    .imports
                    .extend(found.into_iter().map(|(path, name)| (raised(path, inline.len()), name, public)));
                continue;
            }
            first if word(at + 1) == "::" && (at == 0 || word(at - 1) != "::") => {
                let mut path = vec![first.to_owned()];
                while word(at + 1) == "::"
                    && word(at + 2).starts_with(|c: char| c.is_alphabetic() || c == '_')
                {
                    path.push(word(at + 2).to_owned());
                    at += 2;
                }
                names.words.insert(path[0].clone());
                names.paths.push(raised(path, inline.len()));
            }
            other => {
                names.words.insert(other.to_owned());
            }
        }
        at += 1;
    }
    names
}

/// A path as it would read outside of so many inline modules.
fn raised(path: Module, inline: usize) -> Module {
    let levels = path.iter().take_while(|part| *part == "super").count().min(inline);
    if levels == 0 { path } else { [vec!["self".to_owned()], path[levels..].to_vec()].concat() }
}

/// Reads one branch of a `use` and stops behind its last word.
fn import(words: &[String], at: &mut usize, prefix: &mut Module, found: &mut Vec<(Module, String)>) {
    let start = prefix.len();
    let mut name = None;
    while let Some(word) = words.get(*at) {
        match word.as_str() {
            "," | "}" | ";" => break,
            "::" => {}
            "as" => {
                *at += 1;
                name = words.get(*at).cloned();
            }
            "{" => {
                while words.get(*at).is_some_and(|word| word != "}" && word != ";") {
                    *at += 1;
                    import(words, at, prefix, found);
                }
                *at += 1;
                prefix.truncate(start);
                return;
            }
            "self" if !prefix.is_empty() => {}
            part => prefix.push(part.to_owned()),
        }
        *at += 1;
    }
    if let Some(last) = prefix.last().filter(|_| prefix.len() > start || start > 0) {
        found.push((prefix.clone(), name.unwrap_or_else(|| last.clone())));
    }
    prefix.truncate(start);
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
            modules.entry(module).or_default().push(names(&without_tests(&words(text))));
        }
    }
    let mut edges = BTreeMap::new();
    for (module, files) in &modules {
        let mut targets: BTreeSet<Module> = BTreeSet::new();
        for names in files {
            for (path, name, public) in &names.imports {
                // What is only handed on isn't used here; whoever imports it is led to its home.
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

/// The module that a path leads to, through what others hand on; `None` outside of the crate.
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
            let handed_on = imports.find(|(_, name, public)| *public && name == next && hops > 0);
            let home = handed_on.and_then(|(path, ..)| resolve(modules, &at, path, hops - 1));
            return Some(home.unwrap_or(at));
        }
        rest = &rest[1..];
    }
    Some(at)
}
