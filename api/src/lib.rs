//! What goes over the wire: the documents that a server answers and takes, as its handlers, the command line and the
//! OpenAPI file share them. Data alone; nothing here is asynchronous or knows where a document comes from.
//!
//! The same rules hold everywhere:
//! - An instant is RFC 3339 in UTC, a length is in seconds (`_s`), a size is in bytes.
//! - A document that a server answers has all its fields; what there is nothing to say about is null.
//! - A list is `{"items": […], "next": …}`: `next` is what `after` takes for the next page, and null on the last one.

pub mod access;
pub mod analytics;
pub mod approval;
pub mod config;
pub mod drill;
pub mod error;
pub mod event;
pub mod health;
pub mod list;
pub mod log;
pub mod managed;
pub mod notification;
pub mod overview;
pub mod path;
pub mod plan;
pub mod problem;
pub mod project;
pub mod repository;
pub mod restore;
pub mod run;
pub mod session;
pub mod snapshot;
pub mod storage;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    /// The description has one list of documents, by their names alone: of two with one name, one would be described as the
    /// other.
    #[test]
    fn no_two_documents_have_one_name() {
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("the sources") {
            let file = entry.expect("a source").path();
            for line in fs::read_to_string(&file).expect("a source").lines() {
                let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "));
                let Some(rest) = rest else { continue };
                let name = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                places.entry(name.to_owned()).or_default().push(file.display().to_string());
            }
        }
        assert!(places.len() > 50, "{places:?}");
        places.retain(|_, files| files.len() > 1);
        assert!(places.is_empty(), "{places:#?}");
    }
}
