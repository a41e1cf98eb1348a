//! The project's own rules, kept by test: short files that say what they are for, imports that point
//! down the ladder only and never in a circle, libraries that never print or ask the system, plain words.
//!
//! Each rule is a function from sources to findings; a test shows that the project has no
//! finding, and another that the rule finds what it should.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use layers::{FLOORS, LADDER};
use paths::{Module, Names, Tests, imports_by_module, module_of};
use prose::{is_checked, unplain_words};

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/prose.rs"]
mod prose;

const LINES_PER_FILE: usize = 600;

/// The only file of the engine that may name `rayon`: all threads of a run come from its own pool.
const POOL: &str = "engine/src/run/pool.rs";

/// Crates that know no terminal, environment or clock, and what they must not call therefore.
const SILENT: &[&str] = &[
    "api",
    "server/access",
    "server/oidc",
    "server/notify",
    "server/observe",
    "process",
    "sources",
    "drills",
    "repo-format",
    "backend",
    "engine",
    "operations",
    "server/config",
    "server/schedule",
    "server/store",
    "server/ui",
    "model",
];
/// Crates whose messages any front end shows.
const SPEECHLESS: &[&str] =
    &["process", "repo-format", "backend", "engine", "sources", "drills", "operations"];
const LOUD_MACROS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];
const LOUD_PATHS: &[&[&str]] = &[&["std", "env"], &["SystemTime", "now"], &["Instant", "now"]];
/// Modules in which such a path is what they are for: the facts of this machine, and references to secrets.
const ASKS_THE_SYSTEM: &[(&str, &[&str])] = &[
    ("operations/src/host.rs", &["SystemTime", "now"]),
    ("operations/src/host.rs", &["Instant", "now"]),
    ("operations/src/secret.rs", &["std", "env"]),
];

/// A file of the project, its path relative to the workspace.
#[derive(Clone)]
struct Source {
    path: String,
    text: String,
}

/// Folders with what tools make and fetch.
const NOT_OURS: &[&str] = &["target", "node_modules", "dist"];

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above")
}

fn read_all(folder: &Path, ending: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if !NOT_OURS.contains(&name.as_str()) && !name.starts_with('.') {
                read_all(&path, ending, found);
            }
        } else if name.ends_with(ending) {
            let text = fs::read_to_string(&path).expect("a source is UTF-8");
            let path = path.strip_prefix(workspace()).expect("below the workspace").display().to_string();
            found.push(Source { path, text });
        }
    }
}

fn project(ending: &str) -> Vec<Source> {
    let mut found = Vec::new();
    read_all(workspace(), ending, &mut found);
    assert!(!found.is_empty(), "no {ending} in {}", workspace().display());
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Paths and texts.
fn texts(sources: &[Source]) -> impl Iterator<Item = (&str, &str)> {
    sources.iter().map(|source| (source.path.as_str(), source.text.as_str()))
}

fn tests_only(path: &str) -> bool {
    path.contains("/tests/")
}

// ---- the rules ----

fn too_long(sources: &[Source]) -> Vec<String> {
    let lines = |source: &Source| (source.text.lines().count(), source.path.clone());
    let long = sources.iter().map(lines).filter(|(lines, _)| *lines > LINES_PER_FILE);
    long.map(|(lines, path)| format!("{path} has {lines} lines: look for the second noun in it")).collect()
}

fn without_purpose(sources: &[Source]) -> Vec<String> {
    let silent = sources.iter().filter(|source| !source.text.starts_with("//! "));
    silent.map(|source| format!("{} doesn't begin with //! and what it is for", source.path)).collect()
}

fn glob_imports(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let mut check = |names: Names, in_tests: bool| {
            for path in names.imports.iter().map(|import| &import.path) {
                // The `super` of an inline module reads as `self`.
                let own_file = path.len() == 2 && (path[0] == "self" || path[0] == "super");
                if path.last().is_some_and(|last| last == "*") && !(in_tests && own_file) {
                    found.push(format!("{} imports {}: list what it uses", source.path, path.join("::")));
                }
            }
        };
        check(Names::of(&source.text, Tests::LeftOut), tests_only(&source.path));
        check(Names::of(&source.text, Tests::Read), true);
    }
    found.sort();
    found.dedup();
    found
}

fn circles(krate: &str, sources: &[Source]) -> Vec<String> {
    let edges = imports_by_module(krate, texts(sources));
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for start in edges.keys() {
        if seen.contains(start) {
            continue;
        }
        if let Some(circle) = shortest_way_back(&edges, start) {
            let names: Vec<String> =
                circle.iter().map(|module| format!("{krate}::{}", module.join("::"))).collect();
            found.push(format!("imports go in a circle: {}", names.join(" -> ")));
            seen.extend(circle);
        }
    }
    found
}

fn shortest_way_back(edges: &BTreeMap<Module, BTreeSet<Module>>, start: &Module) -> Option<Vec<Module>> {
    let mut queue = VecDeque::from([vec![start.clone()]]);
    let mut visited = BTreeSet::new();
    while let Some(way) = queue.pop_front() {
        for next in edges.get(way.last()?).into_iter().flatten() {
            let longer = [way.clone(), vec![next.clone()]].concat();
            if next == start {
                return Some(longer);
            }
            if visited.insert(next.clone()) {
                queue.push_back(longer);
            }
        }
    }
    None
}

fn wrong_floor(sources: &[Source]) -> Vec<String> {
    let floor = |module: &Module| {
        let top = module.first()?;
        FLOORS.iter().position(|names| names.contains(&top.as_str()))
    };
    let mut found = Vec::new();
    for (module, targets) in imports_by_module("engine", texts(sources)) {
        let Some(top) = module.first() else { continue };
        let Some(here) = floor(&module) else {
            found.push(format!("engine::{top} stands on no floor: name it in FLOORS"));
            continue;
        };
        for target in targets.iter().filter(|target| target.first() != Some(top)) {
            let there = floor(target).unwrap_or(0);
            if there > here || (there == here && here + 1 == FLOORS.len()) {
                found.push(format!("engine::{} imports engine::{}", module.join("::"), target.join("::")));
            }
        }
    }
    found
}

fn wrong_dependencies(manifests: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for manifest in manifests {
        let Some((folder, "Cargo.toml")) = manifest.path.rsplit_once('/') else { continue };
        let Some((_, allowed)) = LADDER.iter().find(|(name, _)| *name == folder) else {
            found.push(format!("{folder} is on no step of the ladder: name it in LADDER"));
            continue;
        };
        let mut section = "";
        for line in manifest.text.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']);
            }
            // Both `[dependencies]` with a line for each, and `[dependencies.NAME]`.
            let (kind, name) = match section.split_once("dependencies") {
                Some((kind, "")) => (kind, line),
                Some((kind, name)) => (kind, name.trim_start_matches('.')),
                None => continue,
            };
            let name = name.split(['.', '=', ' ']).next().unwrap_or_default().trim_matches('"');
            let for_tests = kind.ends_with("dev-") && name == "keepfast-testkit";
            if name.starts_with("keepfast") && !allowed.contains(&name) && !for_tests {
                found.push(format!("{folder} depends on {name}"));
            }
        }
    }
    found.dedup();
    found
}

fn loud_libraries(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        if !module_of(&source.path).is_some_and(|(krate, _)| SILENT.contains(&krate.as_str())) {
            continue;
        }
        let names = Names::of(&source.text, Tests::LeftOut);
        for name in names.macros.iter().filter(|name| LOUD_MACROS.contains(&name.as_str())) {
            found.push(format!("{} calls {name}!", source.path));
        }
        let imports = names.imports.iter().map(|import| &import.path);
        let is_allowed = |loud: &[&str]| ASKS_THE_SYSTEM.contains(&(source.path.as_str(), loud));
        for path in imports.chain(&names.paths) {
            let loud = LOUD_PATHS.iter().filter(|loud| !is_allowed(loud));
            if loud.into_iter().any(|loud| path.windows(loud.len()).any(|window| window == *loud)) {
                found.push(format!("{} uses {}: take it as an argument", source.path, path.join("::")));
            }
        }
    }
    found
}

/// Texts of libraries that name a flag or a command of the program. A server has neither: it shows the same messages.
fn words_of_the_program(sources: &[Source]) -> Vec<String> {
    let names_a_flag = |text: &str| {
        text.match_indices("--").any(|(at, _)| {
            let begins = text[..at]
                .chars()
                .next_back()
                .is_none_or(|before| !before.is_alphanumeric() && before != '-');
            begins && text[at + 2..].starts_with(|after: char| after.is_ascii_alphabetic())
        })
    };
    let mut found = Vec::new();
    for source in sources {
        if !module_of(&source.path).is_some_and(|(krate, _)| SPEECHLESS.contains(&krate.as_str())) {
            continue;
        }
        for text in Names::of(&source.text, Tests::LeftOut).texts {
            if names_a_flag(&text) || text.contains("`keepfast ") {
                found.push(format!(
                    "{} says {text:?}: name the thing, and let the program add the advice",
                    source.path
                ));
            }
        }
    }
    found
}

/// Files of the engine that take threads from `rayon` themselves: its global pool is shared by all runs.
fn threads_of_others(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("engine/src/")) {
        if source.path == POOL {
            continue;
        }
        let names = Names::of(&source.text, Tests::Read);
        let imports = names.imports.iter().map(|import| &import.path);
        for path in imports.chain(&names.paths).filter(|path| path[0] == "rayon") {
            found.push(format!("{} uses {}: use the run's pool", source.path, path.join("::")));
        }
    }
    found
}

/// Folders with what they hold: a golden repository is of no use without a manifest of what is in it.
fn golden_without_manifest(folders: &[(String, Vec<String>)]) -> Vec<String> {
    let has_one = |names: &[String]| names.iter().any(|name| name.to_lowercase().starts_with("manifest"));
    let without = folders.iter().filter(|(_, names)| !has_one(names));
    without.map(|(folder, _)| format!("golden repository {folder} has no manifest")).collect()
}

// ---- the project keeps them ----

#[track_caller]
fn assert_tidy(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn files_are_short() {
    assert_tidy(&too_long(&project(".rs")));
}

#[test]
fn files_say_what_they_are_for() {
    assert_tidy(&without_purpose(&project(".rs")));
}

#[test]
fn imports_list_what_is_used() {
    assert_tidy(&glob_imports(&project(".rs")));
}

#[test]
fn imports_never_go_in_a_circle() {
    let sources = project(".rs");
    let found: Vec<String> = LADDER.iter().flat_map(|(krate, _)| circles(krate, &sources)).collect();
    assert_tidy(&found);
}

#[test]
fn the_engine_imports_downward_and_its_verbs_stay_apart() {
    assert_tidy(&wrong_floor(&project(".rs")));
}

#[test]
fn crates_depend_downward() {
    assert_tidy(&wrong_dependencies(&project("Cargo.toml")));
}

#[test]
fn libraries_know_no_terminal_environment_or_clock() {
    assert_tidy(&loud_libraries(&project(".rs")));
}

#[test]
fn messages_of_libraries_name_no_flag_and_no_command() {
    assert_tidy(&words_of_the_program(&project(".rs")));
}

#[test]
fn the_engine_takes_threads_from_the_pool_of_its_run() {
    assert_tidy(&threads_of_others(&project(".rs")));
}

#[test]
fn words_are_plain() {
    let sources = [project(".rs"), project(".md")].concat();
    let checked = sources.iter().filter(|source| is_checked(&source.path));
    assert_tidy(&checked.flat_map(|source| unplain_words(&source.path, &source.text)).collect::<Vec<_>>());
}

#[test]
fn golden_repositories_have_manifests() {
    let list = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let golden = workspace().join("engine/tests/golden");
    let folders: Vec<_> = list(&golden).into_iter().filter(|name| golden.join(name).is_dir()).collect();
    let folders: Vec<_> = folders.into_iter().map(|name| (name.clone(), list(&golden.join(name)))).collect();
    assert_tidy(&golden_without_manifest(&folders));
}

// ---- the rules find what they should ----

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn a_long_file_is_found() {
    let file = |lines| source("engine/src/a.rs", &"//! a\n".repeat(lines));
    assert!(too_long(&[file(LINES_PER_FILE)]).is_empty());
    assert_eq!(too_long(&[file(LINES_PER_FILE + 1)]).len(), 1);
}

#[test]
fn a_file_without_a_purpose_is_found() {
    assert!(without_purpose(&[source("a.rs", "//! Why.\n")]).is_empty());
    assert_eq!(without_purpose(&[source("a.rs", "use std::io;\n//! Why.\n")]).len(), 1);
}

#[test]
fn glob_imports_are_found() {
    let count = |path, text| glob_imports(&[source(path, text)]).len();
    assert_eq!(count("engine/src/a.rs", "use crate::*;"), 1);
    assert_eq!(count("engine/src/a.rs", "use super::*;"), 1);
    assert_eq!(count("engine/src/a.rs", "use other::{one, two::*};"), 1);
    assert_eq!(count("engine/tests/a.rs", "use other::prelude::*;"), 1);
    assert_eq!(count("engine/src/a.rs", "#[cfg(test)]\nmod tests { use super::*; }"), 0);
    assert_eq!(count("engine/src/a.rs", "// use crate::*;\nconst A: &str = \"use crate::*;\";"), 0);
}

#[test]
fn circles_are_found() {
    let of = |root: &str, a: &str, b: &str, inside_b: &str| {
        let names = ["lib.rs", "a.rs", "b.rs", "b/inside.rs"].map(|name| format!("engine/src/{name}"));
        let texts = [root, a, b, inside_b];
        circles("engine", &names.iter().zip(texts).map(|(path, text)| source(path, text)).collect::<Vec<_>>())
    };
    let circle = ["imports go in a circle: engine::a -> engine::b -> engine::a"];
    assert!(of("", "use crate::b::B;", "", "").is_empty());
    assert_eq!(of("", "use crate::b::B;", "use super::a::A;", ""), circle);
    assert_eq!(of("", "use crate::b::B;", "fn f() -> crate::a::A {}", ""), circle, "a path in an expression");
    assert_eq!(of("", "use crate::{b::B};", "use crate::{x, a::{A, C}};", ""), circle, "in braces");
    assert_eq!(of("pub use b::B;", "use crate::B;", "use crate::a::A;", ""), circle, "through the root");
    assert_eq!(of("", "use crate::b::inside::I;", "", "use crate::a::A;").len(), 1, "from inside");
    assert!(of("", "use crate::b::B;", "#[cfg(test)] mod tests { use crate::a::A; }", "").is_empty());
    assert!(of("", "use crate::b::B;", "mod inline { use super::a; }", "").is_empty(), "super is the file");
    assert!(of("", "", "use inside::I; struct B;", "use super::B;").is_empty(), "they are one thing");
    let nested = [("a", "use crate::b::B;"), ("b", "use crate::a::A;")];
    let nested = nested.map(|(name, text)| source(&format!("server/schedule/src/{name}.rs"), text));
    assert_eq!(circles("server/schedule", &nested).len(), 1, "a crate in a folder of a folder");
    let nested = [("a", "use crate::b::B;"), ("b", "use crate::a::A;")]
        .map(|(name, text)| source(&format!("server/observe/src/{name}.rs"), text));
    assert_eq!(circles("server/observe", &nested).len(), 1, "in a folder in a folder");
}

#[test]
fn a_step_up_or_sideways_in_the_engine_is_found() {
    let count = |path: &str, text: &str| {
        let others = ["repo/mod.rs", "archive/mod.rs", "restore.rs", "fs/mod.rs", "error.rs"];
        let mut sources: Vec<Source> =
            others.iter().map(|other| source(&format!("engine/src/{other}"), "")).collect();
        sources.retain(|other| other.path != path);
        sources.push(source(path, text));
        wrong_floor(&sources).len()
    };
    assert_eq!(count("engine/src/fs/mod.rs", "use crate::repo::Repository;"), 1);
    assert_eq!(count("engine/src/repo/mod.rs", "fn f() { crate::archive::f() }"), 1);
    assert_eq!(count("engine/src/restore.rs", "use crate::archive::f;"), 1);
    assert_eq!(count("engine/src/restore.rs", "use crate::{error::E, fs::F, repo::R};"), 0);
    assert_eq!(count("engine/src/newcomer.rs", ""), 1, "a module without a floor");
}

#[test]
fn a_dependency_upward_is_found() {
    let count =
        |folder, text: &str| wrong_dependencies(&[source(&format!("{folder}/Cargo.toml"), text)]).len();
    assert_eq!(count("backend", "[dependencies]\nkeepfast-format.workspace = true"), 1);
    assert_eq!(count("engine", "[dev-dependencies]\nkeepfast = { path = \"../cli\" }"), 1);
    assert_eq!(count("engine", "[dependencies.keepfast-testkit]\nworkspace = true"), 1);
    assert_eq!(count("engine", "[target.'cfg(unix)'.dependencies]\nkeepfast-testkit.workspace = true"), 1);
    assert_eq!(count("operations", "[dependencies]\nkeepfast = { path = \"../cli\" }"), 1);
    assert_eq!(
        count("engine", "[dependencies]\nkeepfast-format = {}\n[dev-dependencies]\nkeepfast-testkit = {}"),
        0
    );
    assert_eq!(count("newcomer", ""), 1);
    assert_eq!(count("server/newcomer", ""), 1, "a folder in a folder");
    assert_eq!(count("server/schedule", "[dependencies]\nkeepfast-engine.workspace = true"), 1);
    assert_eq!(count("server/observe", ""), 0, "a folder in a folder");
    assert_eq!(count("server/observe", "[dependencies]\nkeepfast-engine.workspace = true"), 1);
    assert_eq!(count("server/newcomer", ""), 1);
}

#[test]
fn a_loud_library_is_found() {
    let count = |path, text| loud_libraries(&[source(path, text)]).len();
    assert_eq!(count("engine/src/a.rs", "fn f() { println!(\"x\"); }"), 1);
    assert_eq!(count("backend/src/a.rs", "use std::{env, io};"), 1);
    assert_eq!(count("server/store/src/a.rs", "use std::{env, io};"), 1, "a crate in a folder of crates");
    assert_eq!(count("backend/src/a.rs", "fn f() { std::env::var(\"X\"); }"), 1);
    assert_eq!(count("repo-format/src/a.rs", "fn f() { std::time::SystemTime::now(); }"), 1);
    assert_eq!(count("engine/src/a.rs", "fn f() { Instant::now(); }"), 1);
    assert_eq!(count("engine/src/a.rs", "fn f() { std::process::id(); let c = '\"'; } // println!()"), 0);
    assert_eq!(count("cli/src/a.rs", "fn f() { println!(); }"), 0);
    assert_eq!(count("server/schedule/src/a.rs", "fn f() { Instant::now(); }"), 1, "a folder in a folder");
    assert_eq!(count("server/observe/src/a/b.rs", "fn f() { println!(); }"), 1, "a folder in a folder");
    let asks = "fn f() { std::env::var_os(\"X\"); }";
    assert_eq!(count("operations/src/secret.rs", asks), 0, "that is what it is for");
    assert_eq!(count("operations/src/place.rs", asks), 1);
    assert_eq!(count("operations/src/host.rs", asks), 1, "it is for the clock and names");
    assert_eq!(count("operations/src/secret.rs", "fn f() { println!(\"x\"); }"), 1);
}

#[test]
fn paths_in_arguments_of_macros_are_found() {
    let count = |text| loud_libraries(&[source("engine/src/a.rs", text)]).len();
    assert_eq!(count("fn f() { assert!(std::env::args().count() > 0); }"), 1);
    assert_eq!(count("fn f() { vec![{ println!(\"x\"); }]; }"), 1);
    assert_eq!(count("macro_rules! m { () => { std::time::Instant::now() } }"), 1);
    assert_eq!(count("fn f() { assert!(\"std::env\" != \"println!\"); }"), 0);
    assert_eq!(count("#[cfg(test)]\nmod tests { fn f() { println!(); } }"), 0);
    assert_eq!(count("struct A; impl A { #[cfg(test)] fn f() { println!(); } }"), 0);
}

#[test]
fn a_message_with_a_flag_or_a_command_is_found() {
    let count = |path, text: &str| words_of_the_program(&[source(path, text)]).len();
    assert_eq!(count("backend/src/a.rs", "const A: &str = \"use --region, or wait\";"), 1);
    assert_eq!(count("backend/src/a.rs", "fn f() { format!(\"`--region {}`\", 1) }"), 1, "in a macro");
    assert_eq!(
        count("engine/src/a.rs", "#[error(\"run `keepfast check`\")]\nstruct A;"),
        1,
        "in an attribute"
    );
    assert_eq!(
        count("engine/src/a.rs", "/// Run `keepfast check --read-data`.\nstruct A;"),
        0,
        "it is no message"
    );
    assert_eq!(count("engine/src/a.rs", "const A: &str = \"[--9] a--b -- c keepfast\";"), 0);
    assert_eq!(count("cli/src/a.rs", "const A: &str = \"use --region\";"), 0);
    assert_eq!(count("engine/src/a.rs", "#[cfg(test)]\nmod tests { const A: &str = \" --a\"; }"), 0);
}

#[test]
fn a_thread_outside_of_the_pool_is_found() {
    let count = |path, text| threads_of_others(&[source(path, text)]).len();
    assert_eq!(count("engine/src/a.rs", "use rayon::prelude::ParallelIterator;"), 1);
    assert_eq!(count("engine/src/a.rs", "fn f() { rayon::join(g, h); }"), 1);
    assert_eq!(count("engine/src/a.rs", "//! rayon::join\nfn f() { crate::rayon(); }"), 0);
    assert_eq!(count(POOL, "use rayon::ThreadPool;"), 0);
    assert_eq!(count("testkit/src/a.rs", "use rayon::ThreadPool;"), 0);
}

#[test]
fn a_golden_repository_without_a_manifest_is_found() {
    let folder = |names: &[&str]| ("v1".to_owned(), names.iter().map(|name| (*name).to_owned()).collect());
    assert!(golden_without_manifest(&[folder(&["manifest.txt", "repository"])]).is_empty());
    assert_eq!(golden_without_manifest(&[folder(&["repository"])]).len(), 1);
}

/// Cargo gives every crate that it builds together the features that any of them asks for: the program must be
/// built without those that ask for the engine in which tests can plant faults, or it has that engine.
#[test]
fn the_program_is_built_without_the_features_of_tests() {
    let makefile = fs::read_to_string(workspace().join("Makefile")).expect("there is a Makefile");
    let defines = |variable: &str| {
        let line = makefile.lines().find_map(|line| line.strip_prefix(variable)?.trim().strip_prefix(":="));
        line.unwrap_or_else(|| panic!("{variable} isn't defined")).trim().to_owned()
    };
    assert_eq!(defines("PROGRAM"), "--release $(addprefix --package ,$(PRODUCT))");
    assert_eq!(defines("OTHERS"), "--release --workspace $(addprefix --exclude ,$(PRODUCT))");
    let product = defines("PRODUCT");
    assert!(product.split(' ').any(|package| package == "keepfast"), "{product}");
    for manifest in project("Cargo.toml").iter().filter(|manifest| manifest.text.contains("\"flaws\"")) {
        let asks = |package: &&str| manifest.text.contains(&format!("name = \"{package}\"\n"));
        assert_eq!(product.split(' ').find(asks), None, "{} asks for faults", manifest.path);
    }
    for line in makefile.lines().filter(|line| line.contains("cargo ")) {
        let apart = line.contains("$(PROGRAM)") || line.contains("$(OTHERS)");
        let needs = ["build", "nextest", "clippy"].iter().any(|verb| line.contains(&format!("cargo {verb}")));
        assert!(apart || !needs, "{line}");
    }
    let script = fs::read_to_string(workspace().join("scripts/demo.sh")).expect("there is a demo");
    assert!(script.contains("cargo build --release --package keepfast\n"), "the demo builds it alone too");
}
