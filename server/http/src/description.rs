//! The description of the API, made from its handlers.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::resource;
use crate::state::Shared;

/// What all paths begin with.
pub const BASE: &str = "/api/v1";
/// The names of the ways to show who one is.
const COOKIE: &str = "session";
const BEARER: &str = "token";
/// Documents that are a page of a list and more.
const LISTS: &[&str] = &["FoundLines"];
/// Operations that start something, and take a key by which a repeated request starts it once.
const IDEMPOTENT: &[&str] = &["start_run", "retry_run", "start_restore"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "keepfast",
        version = "1",
        description = "The API of a keepfast server. See docs/api.md.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    components(schemas(keepfast_api::error::ErrorAnswer)),
    tags(
        (name = "server", description = "How the server is"),
        (name = "session", description = "Who is signed in"),
        (name = "overview", description = "All plans at a glance"),
        (name = "analytics", description = "Figures over time, and what is unusual"),
        (name = "plans", description = "What is backed up, and how it stands to its promise"),
        (name = "runs", description = "Backups, checks, prunes, drills and restores"),
        (name = "drills", description = "Restores on trial, and what they have proven"),
        (name = "events", description = "What happens, as it happens"),
        (name = "snapshots", description = "What was backed up, and what is in it"),
        (name = "restores", description = "What goes back to files, and where to"),
        (name = "repositories", description = "What is stored"),
        (name = "storage", description = "What is taken, when it is full, and what it costs"),
        (name = "notifications", description = "Who hears of what, and has heard"),
        (name = "config", description = "Definitions, and where each value comes from"),
        (name = "projects", description = "Plans and repositories that belong together, and who may do what with them"),
        (name = "approvals", description = "What waits for a second person"),
        (name = "access", description = "Users, tokens, sessions, the audit"),
        (name = "problems", description = "What is wrong, and patterns of errors"),
    )
)]
struct Description;

/// All handlers, with the paths at which they are, in two parts: for anyone, and for callers who are signed in.
pub(crate) fn routers() -> (OpenApiRouter<Shared>, OpenApiRouter<Shared>) {
    let nest = |router| OpenApiRouter::new().nest(BASE, router);
    (nest(resource::open()), nest(resource::closed()))
}

/// The description as a document.
#[must_use]
pub fn document() -> Value {
    let (open, closed) = routers();
    let mut api = Description::openapi();
    let open_paths: BTreeSet<String> = open.get_openapi().paths.paths.keys().cloned().collect();
    let is_open = |path: &str, method: &str| match open.get_openapi().paths.paths.get(path) {
        Some(item) => serde_json::to_value(item).is_ok_and(|item| item.get(method).is_some()),
        None => false,
    };
    api.merge(open.get_openapi().clone());
    api.merge(closed.into_openapi());
    // A description of names and texts is always valid JSON.
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    let taken = schemas_of_requests(&document);
    each_operation(&mut document, |path, method, operation| {
        let is_open = open_paths.contains(path) && is_open(path, method);
        complete(operation, method, is_open);
    });
    require_all_fields(&mut document, &taken);
    refuse_other_fields(&mut document, &taken);
    document["components"]["securitySchemes"] = json!({
        COOKIE: { "type": "apiKey", "in": "cookie", "name": crate::guard::cookie::SECURE },
        BEARER: { "type": "http", "scheme": "bearer" },
    });
    document
}

fn each_operation(document: &mut Value, mut change: impl FnMut(&str, &str, &mut Map<String, Value>)) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                change(path, method, operation);
            }
        }
    }
}

/// What is the same everywhere: errors, who may ask, lists as tables, keys of repeated requests.
fn complete(operation: &mut Map<String, Value>, method: &str, is_open: bool) {
    let error = json!({
        "description": "The request isn't carried out; `code` says why",
        "content": { keepfast_api::error::CONTENT_TYPE: { "schema": { "$ref": "#/components/schemas/ErrorAnswer" } } },
    });
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        responses.insert("4XX".to_owned(), error.clone());
        responses.insert("5XX".to_owned(), error);
        let content = responses.get_mut("200").and_then(|answer| answer.get_mut("content"));
        let is_list = |content: &&mut Map<String, Value>| {
            let schema = content.get("application/json").and_then(|kind| kind["schema"]["$ref"].as_str());
            let name = schema.and_then(|name| name.strip_prefix("#/components/schemas/"));
            name.is_some_and(|name| name.starts_with("List_") || LISTS.contains(&name))
        };
        if let Some(content) = content.and_then(Value::as_object_mut).filter(is_list) {
            content.insert("text/csv".to_owned(), json!({ "schema": { "type": "string" } }));
        }
    }
    if !is_open {
        operation.insert("security".to_owned(), json!([{ COOKIE: [] }, { BEARER: [] }]));
    }
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
    if method == "post" && IDEMPOTENT.contains(&id) {
        let key = json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "A request that is sent again with the same key starts nothing a second time",
            "schema": { "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$" },
        });
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        if let Some(parameters) = parameters.as_array_mut() {
            parameters.push(key);
        }
    }
}

/// The schemas that requests have, and those that these name.
fn schemas_of_requests(document: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for item in document["paths"].as_object().into_iter().flatten().filter_map(|(_, item)| item.as_object()) {
        for operation in item.values() {
            gather(&operation["requestBody"], document, &mut names);
            gather(&operation["parameters"], document, &mut names);
        }
    }
    names
}

fn gather(value: &Value, document: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let named = fields.get("$ref").and_then(Value::as_str);
            if let Some(name) = named.and_then(|path| path.strip_prefix("#/components/schemas/"))
                && names.insert(name.to_owned())
            {
                gather(&document["components"]["schemas"][name], document, names);
            }
            fields.values().for_each(|value| gather(value, document, names));
        }
        Value::Array(values) => values.iter().for_each(|value| gather(value, document, names)),
        _ => {}
    }
}

/// A document that the server answers has all its fields: those without a value are null.
fn require_all_fields(document: &mut Value, taken: &BTreeSet<String>) {
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for (_, schema) in schemas.into_iter().flatten().filter(|(name, _)| !taken.contains(*name)) {
        require_in(schema);
    }
}

/// What a request may say in one of several ways has no fields but those that are named.
fn refuse_other_fields(document: &mut Value, taken: &BTreeSet<String>) {
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for (_, schema) in schemas.into_iter().flatten().filter(|(name, _)| taken.contains(*name)) {
        let ways = schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten();
        for way in ways.filter_map(Value::as_object_mut).filter(|way| way.contains_key("properties")) {
            way.insert("additionalProperties".to_owned(), json!(false));
        }
    }
}

fn require_in(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    let names: Vec<Value> = fields
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(|name| json!(name)).collect())
        .unwrap_or_default();
    if !names.is_empty() {
        fields.insert("required".to_owned(), Value::Array(names));
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        for part in fields.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            require_in(part);
        }
    }
    fields
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
        .for_each(|(_, inner)| require_in(inner));
    if let Some(items) = fields.get_mut("items") {
        require_in(items);
    }
}

#[cfg(test)]
#[path = "description/breaking.rs"]
mod breaking;

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::breaking::breaking;
    use super::document;

    fn recorded(name: &str) -> (PathBuf, String) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        (path, text)
    }

    fn bless(name: &str, variable: &str) -> bool {
        let is_asked = std::env::var_os(variable).is_some();
        if is_asked {
            std::fs::write(recorded(name).0, format!("{:#}\n", document())).expect("it can be written");
        }
        is_asked
    }

    /// The description in the repository is what the handlers say. `KEEPFAST_BLESS=1` writes it.
    #[test]
    fn the_recorded_description_is_that_of_the_handlers() {
        bless("openapi.json", "KEEPFAST_BLESS");
        let (path, text) = recorded("openapi.json");
        let is_same = text == format!("{:#}\n", document());
        assert!(is_same, "{}: read CONTRIBUTING.md, \"When expected output changes\"", path.display());
    }

    /// What clients of the last release rely on is there. A release writes it with `KEEPFAST_BLESS_RELEASE=1`.
    #[test]
    fn nothing_that_clients_rely_on_has_changed() {
        bless("released.json", "KEEPFAST_BLESS_RELEASE");
        let released = serde_json::from_str(&recorded("released.json").1).expect("a document");
        let found = breaking(&released, &document());
        assert!(found.is_empty(), "this breaks clients:\n{}", found.join("\n"));
    }
}
