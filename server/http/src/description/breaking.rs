//! What of a new description breaks clients of an old one: something that they ask for or read is gone or is another kind
//! of thing, or something is asked of them that they don't send.

use std::collections::BTreeSet;

use serde_json::Value;

/// Which way a document goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From clients to the server.
    Sent,
    /// From the server to clients.
    Answered,
}

/// Both descriptions, to look names up in.
struct Both<'d> {
    old: &'d Value,
    new: &'d Value,
    found: Vec<String>,
    seen: BTreeSet<(String, bool)>,
}

/// All that breaks clients, a line each.
pub fn breaking(old: &Value, new: &Value) -> Vec<String> {
    let mut both = Both { old, new, found: Vec::new(), seen: BTreeSet::new() };
    for (path, item) in fields(&old["paths"]) {
        for (method, operation) in fields(item) {
            let place = format!("{method} {path}");
            match new["paths"][path].get(method) {
                None => both.found.push(format!("{place} is gone")),
                Some(now) => both.operation(&place, operation, now),
            }
        }
    }
    both.found
}

impl Both<'_> {
    fn operation(&mut self, place: &str, old: &Value, new: &Value) {
        let parameters = |of: &Value| of["parameters"].as_array().cloned().unwrap_or_default();
        let (before, now) = (parameters(old), parameters(new));
        let same = |one: &Value, other: &Value| one["name"] == other["name"] && one["in"] == other["in"];
        for parameter in &before {
            let name = &parameter["name"];
            match now.iter().find(|other| same(parameter, other)) {
                None => self.found.push(format!("{place}: the parameter {name} is gone")),
                Some(other) => {
                    let place = format!("{place}: the parameter {name}");
                    self.schema(&place, &parameter["schema"], &other["schema"], Way::Sent);
                }
            }
        }
        for parameter in now.iter().filter(|parameter| parameter["required"] == true) {
            let was = before.iter().find(|other| same(parameter, other));
            if was.is_none_or(|was| was["required"] != true) {
                self.found.push(format!("{place}: the parameter {} is required", parameter["name"]));
            }
        }
        let body = |of: &Value| of["requestBody"]["content"]["application/json"]["schema"].clone();
        match (body(old), body(new)) {
            (Value::Null, Value::Null) => {}
            (Value::Null, _) => self.found.push(format!("{place}: a body is asked for")),
            (_, Value::Null) => self.found.push(format!("{place}: the body is gone")),
            (old, new) => self.schema(&format!("{place}: the body"), &old, &new, Way::Sent),
        }
        for (status, answer) in fields(&old["responses"]) {
            let Some(now) = new["responses"].get(status) else {
                self.found.push(format!("{place}: the answer {status} is gone"));
                continue;
            };
            for (kind, content) in fields(&answer["content"]) {
                match now["content"].get(kind) {
                    None => self.found.push(format!("{place}: the answer as {kind} is gone")),
                    Some(now) => {
                        let place = format!("{place}: the answer {status}");
                        self.schema(&place, &content["schema"], &now["schema"], Way::Answered);
                    }
                }
            }
        }
    }

    fn schema(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        let name = old["$ref"].as_str().unwrap_or_default().to_owned();
        if !name.is_empty() && !self.seen.insert((name, way == Way::Sent)) {
            return;
        }
        let (old, new) = (resolved(self.old, old).clone(), resolved(self.new, new).clone());
        if old["type"] != new["type"] {
            self.found.push(format!("{place} is {} and was {}", new["type"], old["type"]));
        }
        self.words(place, &old, &new, way);
        for (field, before) in fields(&old["properties"]) {
            match new["properties"].get(field) {
                None => self.found.push(format!("{place}: the field {field} is gone")),
                Some(now) => self.schema(&format!("{place}: {field}"), before, now, way),
            }
        }
        let required = |of: &Value| -> BTreeSet<String> {
            let names = of["required"].as_array().into_iter().flatten();
            names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let (before, now) = (required(&old), required(&new));
        match way {
            Way::Sent => {
                for field in now.difference(&before) {
                    self.found.push(format!("{place}: the field {field} is required"));
                }
            }
            Way::Answered => {
                for field in before.difference(&now) {
                    self.found.push(format!("{place}: the field {field} may be missing"));
                }
            }
        }
        if !old["items"].is_null() {
            self.schema(&format!("{place}: a row"), &old["items"], &new["items"], way);
        }
        for key in ["allOf", "oneOf", "anyOf"] {
            let parts = |of: &Value| of[key].as_array().cloned().unwrap_or_default();
            let (before, now) = (parts(&old), parts(&new));
            if now.len() < before.len() || (way == Way::Answered && now.len() != before.len()) {
                self.found.push(format!("{place} has other forms"));
            }
            for (before, now) in before.iter().zip(&now) {
                self.schema(place, before, now, way);
            }
        }
    }

    /// A word that clients send must still be taken. New words in answers are what clients have to expect.
    fn words(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        let words = |of: &Value| of["enum"].as_array().cloned().unwrap_or_default();
        let (before, now) = (words(old), words(new));
        if way == Way::Sent && !now.is_empty() {
            for word in before.iter().filter(|word| !now.contains(word)) {
                self.found.push(format!("{place}: the word {word} is gone"));
            }
        }
    }
}

fn fields(value: &Value) -> Vec<(&String, &Value)> {
    value.as_object().into_iter().flatten().collect()
}

fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
    name.and_then(|path| document.pointer(path)).unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::breaking;

    fn api() -> Value {
        json!({
            "paths": { "/runs": { "post": {
                "parameters": [{ "name": "after", "in": "query", "schema": { "type": "string" } }],
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/New" } } } },
                "responses": { "202": { "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Run" }
                } } } },
            } } },
            "components": { "schemas": {
                "New": { "type": "object", "required": ["plan"], "properties": {
                    "plan": { "type": "string" }, "kind": { "type": "string", "enum": ["a", "b"] },
                } },
                "Run": { "type": "object", "required": ["run"], "properties": { "run": { "type": "string" } } },
            } },
        })
    }

    #[track_caller]
    fn finds(change: impl FnOnce(&mut Value), expected: &[&str]) {
        let mut new = api();
        change(&mut new);
        let found = breaking(&api(), &new);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn what_is_added_breaks_no_one() {
        finds(|_| {}, &[]);
        finds(|new| new["paths"]["/plans"] = json!({ "get": {} }), &[]);
        finds(
            |new| new["components"]["schemas"]["Run"]["properties"]["more"] = json!({ "type": "string" }),
            &[],
        );
        finds(
            |new| new["components"]["schemas"]["New"]["properties"]["more"] = json!({ "type": "string" }),
            &[],
        );
    }

    #[test]
    fn what_is_gone_or_asked_for_breaks_clients() {
        finds(|new| new["paths"] = json!({}), &["post /runs is gone"]);
        finds(|new| new["paths"]["/runs"]["post"]["parameters"] = json!([]), &["\"after\" is gone"]);
        let schemas = |new: &mut Value, name: &str, change: fn(&mut Value)| {
            change(&mut new["components"]["schemas"][name]);
        };
        finds(|new| schemas(new, "Run", |run| run["properties"] = json!({})), &["the field run is gone"]);
        finds(
            |new| schemas(new, "Run", |run| run["required"] = json!([])),
            &["the field run may be missing"],
        );
        finds(
            |new| schemas(new, "Run", |run| run["properties"]["run"]["type"] = json!("integer")),
            &["is \"integer\" and was \"string\""],
        );
        finds(
            |new| schemas(new, "New", |new| new["required"] = json!(["plan", "kind"])),
            &["the field kind is required"],
        );
        finds(
            |new| schemas(new, "New", |new| new["properties"]["kind"]["enum"] = json!(["a"])),
            &["the word \"b\" is gone"],
        );
    }
}
