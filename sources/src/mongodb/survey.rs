//! What a dump of a server would have.

use mongodb::bson::{Bson, Document, doc};

use crate::address::Address;
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::survey::{DatabaseFound, Finding, Survey, Weight};

use super::found::{Chosen, Kind, collections, databases};
use super::link::{GRANT, Link, lacks_rights};

/// Connects, and looks.
pub fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
    let link = Link::open(of, options.connect_timeout, context)?;
    let version = link.command("admin", doc! { "buildInfo": 1 })?;
    let hello = link.command("admin", doc! { "hello": 1 })?;
    let mut findings = Vec::new();
    let mut found = |weight, text: String| findings.push(Finding { weight, text });
    let chosen = Chosen::new(&options.selection.databases)?;
    let is_whole = of.database.is_none() && chosen.is_all() && options.selection.tables.is_empty();
    if !options.selection.schemas.is_empty() {
        found(Weight::Impossible, "MongoDB has no schemas".to_owned());
    }
    if hello.get_str("msg").is_ok_and(|kind| kind == "isdbgrid") {
        let text = "it is a router of a sharded cluster: its collections don't show one moment, and how they are \
                    spread isn't in a dump";
        found(Weight::Incomplete, text.to_owned());
    } else if !hello.contains_key("setName") {
        let text = "it is no member of a replica set and has no oplog, so each collection shows another moment: \
                    a replica set of one member has one";
        found(Weight::Advice, text.to_owned());
    } else if is_whole {
        let log = link.database("local").collection::<Document>("oplog.rs");
        match link.attempt(log.find_one(doc! {}).into_future())? {
            Ok(_) => {}
            Err(error) if lacks_rights(&error) => {
                found(Weight::Incomplete, format!("{}: allow it, by {GRANT}", link.shown(&error)));
            }
            Err(error) => return Err(link.refused("the oplog", &error)),
        }
    } else {
        let text = "a part of a server is dumped without the oplog, so each collection shows another moment";
        found(Weight::Advice, text.to_owned());
    }
    let mut survey = Survey {
        address: of.to_string(),
        server: version.get_str("version").unwrap_or("unknown").to_owned(),
        tools: Vec::new(),
        databases: Vec::new(),
        findings: Vec::new(),
    };
    let names = match databases(&link, of, &chosen) {
        Err(SourceError::Missing { object, why }) => {
            found(Weight::Impossible, format!("{object}: {why}"));
            Vec::new()
        }
        names => names?,
    };
    for name in names {
        let list = match collections(&link, &name) {
            Err(SourceError::Missing { object, why }) => {
                found(Weight::Impossible, format!("{object}: {why}"));
                continue;
            }
            list => list?,
        };
        for collection in list.iter().filter(|collection| collection.kind != Kind::View) {
            let source = link.database(&name).collection::<Document>(&collection.stored_in());
            match link.attempt(source.find_one(doc! {}).projection(doc! { "_id": 1 }).into_future())? {
                Ok(_) => {}
                Err(error) if lacks_rights(&error) => {
                    let text = format!("{}: {}: allow it, by {GRANT}", collection.path(), link.shown(&error));
                    found(Weight::Incomplete, text);
                }
                Err(error) => return Err(link.refused(&collection.path(), &error)),
            }
        }
        let database = link.database(&name);
        let size = link.attempt(database.run_command(doc! { "dbStats": 1 }).into_future())?;
        let bytes = size.ok().and_then(|size| match size.get("dataSize") {
            Some(Bson::Double(bytes)) => format!("{bytes:.0}").parse().ok(),
            Some(Bson::Int32(bytes)) => u64::try_from(*bytes).ok(),
            Some(Bson::Int64(bytes)) => u64::try_from(*bytes).ok(),
            _ => None,
        });
        let tables = u64::try_from(list.len()).unwrap_or_default();
        survey.databases.push(DatabaseFound { name, tables, bytes });
    }
    survey.findings = findings;
    Ok(survey)
}
