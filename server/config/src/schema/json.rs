//! The JSON Schema (draft 2020-12) of a file, for editors.

use serde_json::{Map, Value as Json, json};

use crate::schema::{Key, Others, Shape, TableShape, tables_below, text};

/// A string that has a substitution in it, which may stand for anything.
const SUBSTITUTION: &str = r"\$\{";
/// A string that is one substitution and nothing else.
const LONE: &str = r"^\$\{[A-Za-z_][A-Za-z0-9_]*(:[^}]*)?\}$";
/// A lone variable that is a reference to a secret.
const SECRET: &str = r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$";

/// The schema of files whose top is this table.
#[must_use]
pub fn schema(root: &'static TableShape) -> Json {
    let tables = tables_below(root);
    let definitions: Map<String, Json> = tables
        .iter()
        .filter(|table| table.name != root.name)
        .map(|table| (table.name.to_owned(), table_schema(table)))
        .collect();
    let mut schema = table_schema(root);
    if let Json::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".to_owned(), json!("Configuration of keepfast"));
        schema.insert("$defs".to_owned(), Json::Object(definitions));
    }
    schema
}

fn table_schema(table: &'static TableShape) -> Json {
    let properties: Map<String, Json> =
        table.keys.iter().map(|key| (key.name.to_owned(), key_schema(key, table))).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("description".to_owned(), json!(text(table.about)));
    schema.insert("properties".to_owned(), Json::Object(properties));
    let required: Vec<&str> = table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    // A required key may come from a template.
    if !required.is_empty() && !table.inherits {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
        .insert("additionalProperties".to_owned(), table.others.as_ref().map_or(json!(false), others_schema));
    let groups: Vec<Json> = table
        .groups
        .iter()
        .map(|group| {
            let has = |key: &str| json!({ "required": [key] });
            let one: Vec<Json> = group.keys.iter().map(|key| has(key)).collect();
            let none = json!({ "not": { "anyOf": one } });
            let may_be_none = (!group.required).then_some(none);
            json!({ "oneOf": one.into_iter().chain(may_be_none).collect::<Vec<_>>() })
        })
        .collect();
    if !groups.is_empty() {
        schema.insert("allOf".to_owned(), Json::Array(groups));
    }
    Json::Object(schema)
}

fn others_schema(others: &Others) -> Json {
    let mut schema = shape_schema(&(others.shape)());
    describe(&mut schema, others.about);
    schema
}

fn key_schema(key: &Key, table: &TableShape) -> Json {
    let mut shape = shape_schema(&(key.shape)());
    // In what inherits, lists can be changed.
    if table.inherits && matches!((key.shape)(), Shape::List { .. }) {
        let list = json!({ "type": "array" });
        let change = json!({
            "type": "object",
            "properties": { "add": list, "remove": list },
            "additionalProperties": false,
        });
        shape = json!({ "anyOf": [shape, change] });
    }
    describe(&mut shape, key.about);
    if let (Some(default), Json::Object(schema)) = (key.default, &mut shape) {
        schema.insert("default".to_owned(), default_json(default));
    }
    shape
}

fn describe(schema: &mut Json, about: &[&str]) {
    if let Json::Object(schema) = schema {
        schema.insert("description".to_owned(), json!(text(about)));
    }
}

fn default_json(default: &'static str) -> Json {
    crate::effective::plain_json(&crate::tree::parse_default(default))
}

fn shape_schema(shape: &Shape) -> Json {
    match shape {
        Shape::Text(text) => json!({ "type": "string", "examples": text.examples }),
        Shape::Integer { least, most } => {
            or_lone(json!({ "type": "integer", "minimum": least, "maximum": most }))
        }
        Shape::Number => or_lone(json!({ "type": "number" })),
        Shape::Boolean => or_lone(json!({ "type": "boolean" })),
        Shape::Choice(words) => {
            let words: Vec<&str> = words.iter().map(|word| word.name).collect();
            json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": SUBSTITUTION }] })
        }
        Shape::List { of, least } => json!({ "type": "array", "items": shape_schema(of), "minItems": least }),
        Shape::Map { of, .. } => json!({ "type": "object", "additionalProperties": shape_schema(of) }),
        Shape::Table(table) => reference(table),
        Shape::Secret(table) => {
            json!({ "anyOf": [reference(table), { "type": "string", "pattern": SECRET }] })
        }
        Shape::AnyOf(shapes) => json!({ "anyOf": shapes.iter().map(shape_schema).collect::<Vec<_>>() }),
    }
}

fn or_lone(schema: Json) -> Json {
    json!({ "anyOf": [schema, { "type": "string", "pattern": LONE }] })
}

fn reference(table: &TableShape) -> Json {
    json!({ "$ref": format!("#/$defs/{}", table.name) })
}
