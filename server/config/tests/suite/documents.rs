//! What is made of the table of keys for others.

use std::fs;
use std::path::Path;

use keepfast_config::documents::{completions, documentation, json_schema};
use serde_json::Value as Json;

/// `KEEPFAST_BLESS=1` writes it.
#[test]
fn the_documentation_is_what_the_program_knows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
    if std::env::var_os("KEEPFAST_BLESS").is_some() {
        fs::write(&path, documentation()).expect("a writable folder");
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), documentation());
}

#[test]
fn the_documentation_leads_nowhere_that_is_not_there() {
    let text = documentation();
    let headings: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_lowercase).collect();
    for link in text.split("](#").skip(1) {
        let anchor = link.split(')').next().expect("an end");
        assert!(headings.iter().any(|heading| heading == anchor), "{anchor}");
    }
    assert!(headings.len() > 40, "{headings:?}");
}

/// Each name that a part of the schema refers to is defined in it.
#[test]
fn the_schema_is_whole() {
    let schema = json_schema();
    let mut references = Vec::new();
    collect(&schema, &mut references);
    assert!(references.len() > 40);
    for reference in references {
        let name = reference.strip_prefix("#/$defs/").expect("a reference within the document");
        assert!(schema["$defs"].get(name).is_some(), "{name}");
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["Plan"]["properties"]["overlap"]["default"], "skip");
    assert_eq!(schema["$defs"]["Plan"].get("required"), None, "keys may come from a template");
    assert_eq!(schema["$defs"]["Hook"]["required"], serde_json::json!(["on", "run"]));
}

fn collect(value: &Json, found: &mut Vec<String>) {
    match value {
        Json::Object(object) => {
            found.extend(object.get("$ref").and_then(Json::as_str).map(str::to_owned));
            object.values().for_each(|value| collect(value, found));
        }
        Json::Array(list) => list.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[test]
fn keys_and_words_are_completed() {
    let names = |path: &[&str]| completions(path).into_iter().map(|one| one.name).collect::<Vec<_>>();
    assert!(names(&[]).contains(&"plan"));
    assert!(names(&["plan", "any", "schedule"]).contains(&"cron"));
    assert_eq!(names(&["plan", "any", "overlap"]), ["skip", "queue-one"]);
    assert!(names(&["plan", "any", "hook"]).contains(&"undo"));
    assert!(names(&["repository", "any", "password"]).contains(&"vault"));
    assert_eq!(names(&["plan", "any", "no"]), [""; 0]);
    assert!(completions(&["plan", "any"]).iter().all(|one| !one.about.is_empty()));
}
