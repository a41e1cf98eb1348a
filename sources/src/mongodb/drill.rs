//! A server of its own that a dump is restored into, and what is asked of it.

use std::fs;
use std::io::Write;
use std::num::NonZeroU16;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use keepfast_process::tool::{Tool, find};
use mongodb::bson::{Bson, Document, doc};
use serde_json::json;

use crate::address::{Address, Engine, Place};
use crate::boot::{Boot, BootOptions, Booted};
use crate::check::Check;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Manifest;
use crate::restore::RestoreOptions;
use crate::served::{Served, give, make, socket_in};
use crate::watch::Watch;

use super::found::{Chosen, Kind, collections, databases};
use super::link::Link;
use super::restore::{release, restore};

/// Files in the server's folder.
const SOCKET: &str = "mongod.sock";
const CONFIGURATION: &str = "mongod.conf";
const LOG: &str = "mongod.log";
const DATA: &str = "data";
/// How long one tries to connect to a server that starts.
const TRY_MAX: Duration = Duration::from_secs(1);
/// How often one tries.
const LOOK: Duration = Duration::from_millis(50);
/// How long a server may take to answer a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Starts a server with nothing in it, and restores the dump into it.
pub fn boot(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    let watch = Watch::start();
    let manifest = Manifest::read(files)?;
    let Some(program) = find("mongod", &context.programs) else {
        return Ok(Boot::NotHere("mongod isn't installed".to_owned()));
    };
    let socket = socket_in(&options.folder, SOCKET)?;
    configure(&socket, options)?;
    let tool = Tool::new(&program, &context.secrets).arg("-f").arg(CONFIGURATION);
    let server = Served::start(tool.account(options.account).folder(&options.folder), context)?;
    let address = address(&socket);
    let link = loop {
        match Link::open(&address, TRY_MAX, context) {
            Ok(link) => break link,
            Err(SourceError::Cancelled) => return Err(SourceError::Cancelled),
            Err(_) => {}
        }
        // One that has nothing and doesn't start says nothing about the dump.
        if let Some(said) = server.ended(&options.folder.join(LOG)) {
            return Ok(Boot::NotHere(format!("{} doesn't start: {said}", program.display())));
        }
        if context.cancel.wait(LOOK) {
            return Err(SourceError::Cancelled);
        }
    };
    let version = link.command("admin", doc! { "buildInfo": 1 })?;
    let version = version.get_str("version").unwrap_or("unknown").to_owned();
    if release(&version) < release(&options.version) {
        return Ok(Boot::NotHere(format!(
            "the dump is of version {}, and {version} is installed, which is older",
            options.version
        )));
    }
    let restored = restore(&manifest, files, &address, &RestoreOptions::default(), context)?;
    let answered_after = watch.passed();
    let checks = restored.checks;
    Ok(Boot::Running(Booted { address, version, server: Box::new(server), answered_after, checks }))
}

/// A server that no one reaches but by its socket.
fn configure(socket: &Path, options: &BootOptions) -> Result<()> {
    let path = options.folder.join(CONFIGURATION);
    let data = options.folder.join(DATA);
    let failed = |path: &Path, source| SourceError::File { path: path.to_owned(), source };
    fs::DirBuilder::new().mode(0o700).create(&data).map_err(|source| failed(&data, source))?;
    give(&data, options.account)?;
    // The server takes three quarters of a gigabyte beside its cache.
    let cache = options.memory.map_or(1, |bytes| bytes >> 31);
    let cache = if cache == 0 { json!(0.25) } else { json!(cache) };
    let settings = json!({
        "storage": { "dbPath": DATA, "wiredTiger": { "engineConfig": { "cacheSizeGB": cache } } },
        "net": { "bindIp": socket, "unixDomainSocket": { "enabled": true, "filePermissions": 448 } },
        "systemLog": { "destination": "file", "path": LOG },
        "setParameter": { "diagnosticDataCollectionEnabled": false },
    });
    // JSON is YAML, too.
    let mut file = make(&path, options.account)?;
    file.write_all(settings.to_string().as_bytes()).map_err(|source| failed(&path, source))
}

fn address(socket: &Path) -> Address {
    let place = Place::Socket {
        path: socket.to_owned(),
        port: const { NonZeroU16::new(27017).expect("isn't zero") },
    };
    Address::local(Engine::Mongodb, place, None)
}

/// Lets the server look through each collection and its indexes.
pub fn examine(server: &Address, context: &Context<'_>) -> Result<Vec<Check>> {
    let link = Link::open(server, CONNECT_MAX, context)?;
    let mut checks = Vec::new();
    for database in databases(&link, server, &Chosen::new(&[])?)? {
        for collection in collections(&link, &database)? {
            if collection.kind == Kind::View {
                continue;
            }
            let answer = link.command(&database, doc! { "validate": collection.stored_in() })?;
            let fault =
                (!answer.get_bool("valid").unwrap_or(false)).then(|| match answer.get_array("errors") {
                    Ok(errors) if !errors.is_empty() => {
                        errors.iter().map(Bson::to_string).collect::<Vec<String>>().join("; ")
                    }
                    _ => "it isn't valid".to_owned(),
                });
            checks.push(Check::sound(format!("validate {}", collection.path()), fault));
        }
    }
    Ok(checks)
}

/// The value that a command answers: `n`, or the first value of the first document, or all of it.
pub fn ask(server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>> {
    let wrong = |why: String| SourceError::Server {
        server: server.to_string(),
        what: query.to_owned(),
        why: format!("it isn't a command in JSON: {why}"),
    };
    let json: serde_json::Value = serde_json::from_str(query).map_err(|error| wrong(error.to_string()))?;
    let command = match Bson::try_from(json) {
        Ok(Bson::Document(command)) => command,
        Ok(_) => return Err(wrong("it isn't an object".to_owned())),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let link = Link::open(server, CONNECT_MAX, context)?;
    let answer = link.command(server.database.as_deref().unwrap_or("admin"), command)?;
    Ok(value_of(&answer))
}

fn value_of(answer: &Document) -> Option<String> {
    if let Some(number) = answer.get("n") {
        return text(number);
    }
    let Ok(cursor) = answer.get_document("cursor") else {
        return text(&Bson::Document(answer.clone()));
    };
    let first = cursor.get_array("firstBatch").ok()?.first()?.as_document()?;
    let named = first.iter().find(|(name, _)| *name != "_id").or_else(|| first.iter().next());
    named.and_then(|(_, value)| text(value))
}

fn text(value: &Bson) -> Option<String> {
    match value {
        Bson::Null => None,
        Bson::String(text) => Some(text.clone()),
        other => Some(match other.clone().into_relaxed_extjson() {
            serde_json::Value::String(text) => text,
            json => json.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Bson, doc};

    use super::value_of;

    #[test]
    fn the_one_value_of_an_answer_is_found() {
        assert_eq!(value_of(&doc! { "n": 3, "ok": 1.0 }).as_deref(), Some("3"));
        let batch = |first: Vec<Bson>| doc! { "cursor": { "firstBatch": first, "id": 0_i64 }, "ok": 1.0 };
        let total = Bson::Document(doc! { "_id": Bson::Null, "total": 2.5 });
        assert_eq!(value_of(&batch(vec![total])).as_deref(), Some("2.5"));
        assert_eq!(value_of(&batch(vec![Bson::Document(doc! { "_id": "a" })])).as_deref(), Some("a"));
        assert_eq!(value_of(&batch(Vec::new())), None);
        assert_eq!(value_of(&doc! { "ok": 1 }).as_deref(), Some("{\"ok\":1}"));
    }
}
