//! What a dump of a server would have, and what keeps it from being made.

use crate::address::Address;
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::survey::{DatabaseFound, Finding, Survey, Weight};

use super::connection::Connection;
use super::dump::is_whole_server;
use super::server::{Info, release};

/// Connects, and looks.
pub fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
    let mut connection = Connection::open(of, options.connect_timeout, context)?;
    let info = match Info::of(&mut connection) {
        Ok(info) => info,
        Err(SourceError::Server { why, .. }) if why.starts_with("NOPERM") => {
            return Ok(without_info(of, &why));
        }
        Err(error) => return Err(error),
    };
    let mut findings = Vec::new();
    if let Err(SourceError::Unsupported { why, .. }) = is_whole_server(of, &options.selection) {
        findings.push(Finding { weight: Weight::Impossible, text: why });
    }
    about_rights(&mut connection, &mut findings)?;
    about_server(&info, &mut findings);
    about_settings(&mut connection, &mut findings)?;
    let databases = info.databases().into_iter().map(|(number, keys)| DatabaseFound {
        name: number.to_string(),
        tables: keys,
        bytes: None,
    });
    Ok(Survey {
        address: of.to_string(),
        server: info.version(),
        tools: Vec::new(),
        databases: databases.collect(),
        findings,
    })
}

fn without_info(of: &Address, why: &str) -> Survey {
    let text = format!("{why}: allow the user what a dump needs, by {}", grant(of.user.as_deref()));
    Survey {
        address: of.to_string(),
        server: "unknown".to_owned(),
        tools: Vec::new(),
        databases: Vec::new(),
        findings: vec![Finding { weight: Weight::Impossible, text }],
    }
}

fn grant(user: Option<&str>) -> String {
    format!("`ACL SETUSER {} +psync +replconf +info +ping`", user.unwrap_or("default"))
}

/// Whether the user may do what a dump does. Since 7.0, a server answers that without doing it.
fn about_rights(connection: &mut Connection, findings: &mut Vec<Finding>) -> Result<()> {
    let user = match connection.text(&["ACL", "WHOAMI"]) {
        Ok(user) => user,
        // Before 6.0 there is one user, who may do everything; or the user may not ask.
        Err(SourceError::Server { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    for command in [["PSYNC", "?", "-1"], ["REPLCONF", "listening-port", "0"]] {
        let words = [&["ACL", "DRYRUN", &user], command.as_slice()].concat();
        match connection.text(&words) {
            Ok(answer) if answer == "OK" => {}
            Ok(answer) => {
                let text = format!("{answer}: allow it, by {}", grant(Some(&user)));
                findings.push(Finding { weight: Weight::Impossible, text });
            }
            Err(SourceError::Server { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn about_server(info: &Info, findings: &mut Vec<Finding>) {
    let mut found = |weight, text: String| findings.push(Finding { weight, text });
    if let Some(why) = info.unsupported() {
        found(Weight::Impossible, why.to_owned());
    }
    if release(&info.version()).is_some_and(|version| version < (2, 8)) {
        found(Weight::Impossible, "servers before 2.8 have no replication in parts".to_owned());
    }
    if info.get("loading") == Some("1") {
        found(Weight::Impossible, "the server is loading its data: try again when it is done".to_owned());
    }
    if info.get("role") == Some("slave") && info.get("master_link_status") != Some("up") {
        found(
            Weight::Impossible,
            "it is a replica that doesn't reach its primary, and gives no data before it does".to_owned(),
        );
    }
    if info.get("maxmemory") == Some("0") {
        let text = "maxmemory isn't set. While a dump is made, the server needs memory for what is changed meanwhile: \
                    set maxmemory so that some of the machine's memory is left";
        found(Weight::Advice, text.to_owned());
    }
    if info.get("rdb_last_bgsave_status") == Some("err") {
        let text = "the server's last picture of its data has failed, often because it had no memory for a second \
                    process: see its log, and vm.overcommit_memory";
        found(Weight::Advice, text.to_owned());
    }
}

/// Settings that change what a dump is. A user who may not see them sees nothing of this.
fn about_settings(connection: &mut Connection, findings: &mut Vec<Finding>) -> Result<()> {
    let mut is_off = |name: &str| match connection.ask(&["CONFIG", "GET", name]) {
        Ok(answer) => Ok(answer.text().is_some_and(|text| text.ends_with("\nno"))),
        Err(SourceError::Server { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    if is_off("rdbchecksum")? {
        let text = "rdbchecksum is off, so that a dump has no checksum by which damage is found: \
                    turn it on in the server's configuration";
        findings.push(Finding { weight: Weight::Advice, text: text.to_owned() });
    }
    if is_off("repl-diskless-sync")? {
        let text = "repl-diskless-sync is off, so that the server writes each dump to its own disk first: \
                    `CONFIG SET repl-diskless-sync yes` saves that";
        findings.push(Finding { weight: Weight::Advice, text: text.to_owned() });
    }
    Ok(())
}
