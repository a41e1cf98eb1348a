//! The generic request: JSON of a shape that stays. `docs/notifications.md` describes it.

use serde_json::{Map, Value, json};

use super::View;

/// The shape's version. A field may be added to it; none is removed, and none changes its meaning.
pub const VERSION: u32 = 1;

/// The body of a generic request.
#[must_use]
pub fn generic(view: &View) -> Value {
    let items = view.items.iter().map(|item| {
        let mut value = json!({
            "tone": item.tone,
            "subject": item.subject,
            "kind": item.kind,
            "title": item.title,
            "summary": item.summary,
            "facts": item.facts.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
            "advice": item.advice,
            "link": item.link,
        });
        if let Some(log) = &item.log {
            value["log_tail"] = log.as_str().into();
        }
        value
    });
    let items: Vec<Value> = items.collect();
    let fields = [
        ("version", json!(VERSION)),
        ("id", json!(view.id)),
        ("thread", json!(view.thread)),
        ("at", json!(view.at)),
        ("server", json!(view.server)),
        ("title", json!(view.title)),
        ("tone", json!(view.tone)),
        ("items", Value::Array(items)),
        ("left_out", json!(view.left_out)),
        ("remark", json!(view.remark)),
        ("link", json!(view.link)),
    ];
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}
