//! Entries of the audit on their way into the database: each has the hash of the one before it, so that none can be
//! changed, inserted or removed unnoticed.

use serde_json::{Map, Value as Document, json};

use super::{Tx, optional_json, values};
use crate::error::{Result, StoreError};
use crate::types::{AuditAction, AuditHash, Label, UtcTime};

/// What the hashes are made for: no hash that was made for something else is one of the audit.
const CONTEXT: &str = "keepfast 2026-11-29 audit entry";
/// Bytes of a document of the audit, at most. A longer one isn't recorded, only how long it was.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// How deep documents of the audit are looked into; what is deeper isn't recorded.
const DEPTH_MAX: usize = 16;
/// The name of the newest entry in the table of anchors.
pub const HEAD: &str = "head";
/// What fields with a secret have in their names.
const SECRETS: [&str; 8] =
    ["password", "secret", "token", "passphrase", "recovery_code", "private_key", "cookie", "authorization"];

/// What is to be recorded of a change, a login, or something that was refused.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditNote {
    /// When, by the clock of the process that records it. Only the sequence gives the order.
    pub at: UtcTime,
    /// Who: `user ann`, `token deploy of ann`, `local user root (0)`.
    pub who: Label,
    /// From where: an address, or `local`.
    pub origin: Label,
    /// What was done, for example `user.disable`.
    pub action: AuditAction,
    /// With what, for example `user:ann` or `plan:www`.
    pub object: Label,
    /// How it was. Values of fields with names like those of secrets aren't recorded.
    pub before: Option<Document>,
    /// How it is.
    pub after: Option<Document>,
}

/// What an entry's hash covers.
#[derive(Debug, Clone, Copy)]
pub struct Hashed<'a> {
    pub sequence: i64,
    pub at: i64,
    pub who: &'a str,
    pub origin: &'a str,
    pub action: &'a str,
    pub object: &'a str,
    pub before: Option<&'a str>,
    pub after: Option<&'a str>,
    pub previous: &'a str,
}

impl Hashed<'_> {
    /// BLAKE3 over the fields: numbers as eight bytes in little-endian order, each text behind its length as such a
    /// number, and a byte before each optional text that says whether it is there. So no two entries are one string of
    /// bytes.
    pub fn hash(&self) -> AuditHash {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        let text = |text: &str, hasher: &mut blake3::Hasher| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        hasher.update(&self.sequence.to_le_bytes());
        hasher.update(&self.at.to_le_bytes());
        for field in [self.who, self.origin, self.action, self.object] {
            text(field, &mut hasher);
        }
        for field in [self.before, self.after] {
            hasher.update(&[u8::from(field.is_some())]);
            text(field.unwrap_or_default(), &mut hasher);
        }
        text(self.previous, &mut hasher);
        AuditHash::of(&hasher.finalize())
    }
}

/// Writes notes with the next numbers of the sequence.
///
/// The first statement locks the row of the newest entry until the transaction ends. So of two servers, one waits, and
/// then goes on from what the other has written: the chain never forks.
pub async fn append(tx: &mut Tx, notes: Vec<AuditNote>) -> Result<()> {
    for note in notes {
        let sql = "INSERT INTO audit_anchor (name, sequence, hash) VALUES ($1, 1, $2) \
                   ON CONFLICT (name) DO UPDATE SET sequence = audit_anchor.sequence + 1 \
                   RETURNING sequence, hash";
        let row = tx.row(sql, values![HEAD, AuditHash::START.as_str()]).await?;
        let row = row.ok_or_else(|| StoreError::stored("audit_anchor", "the newest entry isn't known"))?;
        let (sequence, previous) = (row.integer("sequence")?, row.string("hash")?);
        let AuditNote { at, who, origin, action, object, before, after } = note;
        let recorded =
            |document: Option<Document>| document.map(|document| bounded(without_secrets(document, 0)));
        let text = |document: Option<Document>| match optional_json(recorded(document).as_ref()) {
            super::Value::Text(text) => text,
            super::Value::Integer(_) => None,
        };
        let (before, after) = (text(before), text(after));
        let hashed = Hashed {
            sequence,
            at: at.as_micros(),
            who: who.as_str(),
            origin: origin.as_str(),
            action: action.as_str(),
            object: object.as_str(),
            before: before.as_deref(),
            after: after.as_deref(),
            previous: &previous,
        };
        let hash = hashed.hash();
        let sql = "INSERT INTO audit (sequence, at, who, origin, action, object, before, after, previous, hash) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let row = values![
            sequence,
            at,
            who.as_str(),
            origin.as_str(),
            action.as_str(),
            object.as_str(),
            before.as_deref(),
            after.as_deref(),
            previous.as_str(),
            hash.as_str()
        ];
        tx.execute(sql, row).await?;
        let sql = "UPDATE audit_anchor SET hash = $2 WHERE name = $1";
        tx.execute(sql, values![HEAD, hash.as_str()]).await?;
    }
    Ok(())
}

fn bounded(document: Document) -> Document {
    let bytes = document.to_string().len();
    if bytes <= DOCUMENT_BYTES_MAX { document } else { json!({ "too_long_to_record_bytes": bytes }) }
}

/// A second line of defence: what is recorded should have no secret in the first place.
fn without_secrets(document: Document, depth: usize) -> Document {
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        SECRETS.iter().any(|secret| name.contains(secret))
    };
    match document {
        Document::Object(_) | Document::Array(_) if depth >= DEPTH_MAX => {
            Document::from("(too deep to record)")
        }
        Document::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| match value {
                Document::String(_) if is_secret(&name) => (name, Document::from("(not recorded)")),
                value => (name, without_secrets(value, depth + 1)),
            });
            Document::Object(fields.collect::<Map<_, _>>())
        }
        Document::Array(values) => {
            values.into_iter().map(|value| without_secrets(value, depth + 1)).collect::<Vec<_>>().into()
        }
        // A database of PostgreSQL can't hold it.
        Document::String(text) if text.contains('\0') => text.replace('\0', "\u{fffd}").into(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Hashed, bounded, without_secrets};

    const ENTRY: Hashed<'static> = Hashed {
        sequence: 1,
        at: 2,
        who: "ann",
        origin: "local",
        action: "user.add",
        object: "user:bob",
        before: None,
        after: Some("{}"),
        previous: "",
    };

    /// The encoding is what audits that exist were hashed with: it never changes.
    #[test]
    fn the_hash_of_an_entry_never_changes() {
        assert_eq!(ENTRY.hash().as_str(), "9103bc50a478b815ee58a7077648ea15d0e425804ac8e12221dc79bd9869e27e");
    }

    #[test]
    fn each_field_is_part_of_the_hash() {
        let others = [
            Hashed { sequence: 2, ..ENTRY },
            Hashed { at: 3, ..ENTRY },
            Hashed { who: "annl", origin: "ocal", ..ENTRY },
            Hashed { origin: "", ..ENTRY },
            Hashed { action: "user.remove", ..ENTRY },
            Hashed { object: "user:ann", ..ENTRY },
            Hashed { before: Some(""), ..ENTRY },
            Hashed { after: None, ..ENTRY },
            Hashed { before: ENTRY.after, after: ENTRY.before, ..ENTRY },
            Hashed { previous: "0", ..ENTRY },
        ];
        for other in others {
            assert_ne!(other.hash(), ENTRY.hash(), "{other:?}");
        }
    }

    #[test]
    fn secrets_are_not_recorded_and_nothing_is_too_long() {
        let document = json!({
            "name": "ann",
            "Password": "hunter2",
            "nested": [{ "client_secret": "x", "tokens": ["kept: no text of its own"] }],
            "two_factor": true,
        });
        let expected = json!({
            "name": "ann",
            "Password": "(not recorded)",
            "nested": [{ "client_secret": "(not recorded)", "tokens": ["kept: no text of its own"] }],
            "two_factor": true,
        });
        assert_eq!(without_secrets(document, 0), expected);
        assert_eq!(bounded(json!("x".repeat(70_000))), json!({ "too_long_to_record_bytes": 70_002 }));
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert!(without_secrets(deep, 0).to_string().len() < 100);
    }
}
