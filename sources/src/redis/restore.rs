//! The way back: keys and values are taken out of the dump and given to a server that runs, each as the server wrote it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::address::Address;
use crate::check::Check;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Manifest;
use crate::restore::{Existing, RestoreOptions, RestorePlan, RestoreReport};

use super::connection::Connection;
use super::rdb::reader::{Entry, Keys, Part};
use super::rdb::{seal, stored};
use super::resp::{self, Reply};
use super::server::{Info, is_valkey, release};

/// How long a server may take to answer a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Requests that are sent before their replies are read.
const BATCH_REQUESTS: usize = 512;
/// Bytes of them, after which no more are added.
const BATCH_BYTES: usize = 1 << 20;

/// What would happen.
pub fn plan(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestorePlan> {
    let way = Way::of(manifest, to, options)?;
    let mut connection = Connection::open(to, CONNECT_MAX, context)?;
    let info = Info::of(&mut connection)?;
    let occupied = way.occupied(&info, &connection)?;
    let mut steps = Vec::new();
    for database in manifest.databases.iter().filter(|database| way.takes_name(&database.name)) {
        let keys = database.tables.iter().filter_map(|table| table.rows).sum::<u64>();
        let target =
            database.name.parse().map_or_else(|_| database.name.clone(), |n| way.target(n).to_string());
        steps.push(format!(
            "{keys} keys of database {} are written into database {target} of {to}",
            database.name
        ));
    }
    if manifest.databases.is_empty() {
        steps.push(format!("the keys of the dump, which weren't counted, are written into {to}"));
    }
    let mut warnings = way.warnings(manifest, &info, options);
    let replaces: Vec<String> = occupied
        .iter()
        .map(|(number, keys)| {
            format!("those of the {keys} keys in database {number} of {to} that are in the dump too")
        })
        .collect();
    if !occupied.is_empty() && options.existing == Existing::Replace {
        warnings.push(STAYS.to_owned());
    }
    Ok(RestorePlan { steps, warnings, replaces, bytes: stored::length(files)? })
}

/// What a restore does not do.
const STAYS: &str = "keys that aren't in the dump stay as they are: for the state of the dump and nothing else, \
                     empty the database before (FLUSHDB)";

/// Restores.
pub fn restore(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    let way = Way::of(manifest, to, options)?;
    let mut connection = Connection::open(to, CONNECT_MAX, context)?;
    let info = Info::of(&mut connection)?;
    let occupied = way.occupied(&info, &connection)?;
    if let Some((number, _)) = occupied.first()
        && options.existing == Existing::Refuse
    {
        return Err(SourceError::Occupied { object: format!("database {number} of {to}") });
    }
    // Nothing is written before all of the dump was read and is right.
    let whole = stored::read(files, &mut |_| Ok(()), context)?;
    let counted = whole.keys.map_err(|why| stored::wrong(&why))?;
    let now_ms = now_ms(&mut connection)?;
    let mut writer = Writer {
        connection,
        version: whole.sealed.version,
        replaces: options.existing == Existing::Replace,
        source: manifest.server.clone(),
        selected: None,
        batch: Vec::new(),
        keys: Vec::new(),
        written: BTreeMap::new(),
    };
    let mut expired: BTreeMap<u64, u64> = BTreeMap::new();
    let mut warnings = way.warnings(manifest, &info, options);
    stored::parts(
        files,
        &mut |part| match part {
            Part::Entry(entry) if way.takes(entry.database) => {
                let target = way.target(entry.database);
                if entry.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
                    *expired.entry(target).or_default() += 1;
                    return Ok(());
                }
                writer.write(target, &entry)
            }
            Part::Function(code) if way.is_all() => {
                writer.flush()?;
                warnings.extend(writer.function(&code)?);
                Ok(())
            }
            Part::Aux { .. } | Part::Entry(_) | Part::Function(_) => Ok(()),
        },
        context,
    )?;
    writer.flush()?;
    let mut report =
        RestoreReport { databases: 0, tables: 0, rows: 0, bytes: whole.bytes, checks: Vec::new(), warnings };
    for (source, keys) in counted.iter().filter(|(number, _)| way.takes(**number)) {
        let target = way.target(*source);
        let written = writer.written.get(&target).copied().unwrap_or_default();
        let expired = expired.get(&target).copied().unwrap_or_default();
        report.databases += 1;
        report.tables += 1;
        report.rows += written.all;
        report.checks.push(Check::equal(
            format!("keys of database {source} that were written or have expired"),
            keys.all,
            written.all + expired,
        ));
        let others = occupied.iter().find(|(number, _)| *number == target).map(|(_, keys)| *keys);
        report.checks.push(writer.compared(target, written, others)?);
    }
    report.checks.extend(against_manifest(manifest, &counted, &way));
    if !occupied.is_empty() {
        report.warnings.push(STAYS.to_owned());
    }
    Ok(report)
}

/// What the manifest says, and what the dump has.
fn against_manifest(manifest: &Manifest, counted: &BTreeMap<u64, Keys>, way: &Way) -> Vec<Check> {
    let named = manifest.databases.iter().filter(|database| way.takes_name(&database.name));
    let check = named.filter_map(|database| {
        let expected = database.tables.iter().find_map(|table| table.rows)?;
        let found = database.name.parse().ok().and_then(|number: u64| counted.get(&number));
        Some(Check::equal(
            format!("keys of database {} in the dump", database.name),
            expected,
            found.map_or(0, |keys| keys.all),
        ))
    });
    check.collect()
}

/// Which database goes where.
struct Way {
    /// The only one that is taken.
    source: Option<u64>,
    /// Where it goes.
    target: Option<u64>,
}

impl Way {
    fn of(manifest: &Manifest, to: &Address, options: &RestoreOptions) -> Result<Self> {
        let unsupported =
            |why: &str| SourceError::Unsupported { object: to.to_string(), why: why.to_owned() };
        if !options.tables.is_empty() || !options.schemas.is_empty() {
            return Err(unsupported(
                "of a dump of Redis, a whole database can be restored, and not some of its keys",
            ));
        }
        if options.until.is_some() {
            return Err(unsupported("a dump of Redis is one moment: there is no log up to another"));
        }
        let number = |name: &Option<String>| {
            let number = name.as_ref().map(|name| name.parse::<u64>());
            number.transpose().map_err(|_| unsupported("databases of Redis are numbers, such as 0"))
        };
        let (mut source, target) = (number(&options.database)?, number(&to.database)?);
        if let Some(number) = source {
            let is_there = manifest.databases.iter().any(|database| database.name == number.to_string());
            if !is_there && !manifest.databases.is_empty() {
                let object = format!("database {number}");
                return Err(SourceError::Missing { object, why: "it isn't in the dump".to_owned() });
            }
        } else if target.is_some() {
            let [only] = manifest.databases.as_slice() else {
                return Err(unsupported("the dump has several databases: say which of them goes there"));
            };
            source = only.name.parse().ok();
        }
        Ok(Self { source, target })
    }

    fn is_all(&self) -> bool {
        self.source.is_none()
    }

    fn takes(&self, number: u64) -> bool {
        self.source.is_none_or(|source| source == number)
    }

    fn takes_name(&self, name: &str) -> bool {
        name.parse().is_ok_and(|number| self.takes(number))
    }

    fn target(&self, number: u64) -> u64 {
        self.target.unwrap_or(number)
    }

    /// The databases that would be written to and have keys.
    fn occupied(&self, info: &Info, connection: &Connection) -> Result<Vec<(u64, u64)>> {
        info.supported(connection.server())?;
        let is_target = |number: u64| match (self.target, self.source) {
            (Some(target), _) => target == number,
            (None, source) => source.is_none_or(|source| source == number),
        };
        Ok(info.databases().into_iter().filter(|(number, keys)| is_target(*number) && *keys > 0).collect())
    }

    fn warnings(&self, manifest: &Manifest, info: &Info, options: &RestoreOptions) -> Vec<String> {
        let mut warnings = Vec::new();
        let (from, to) = (manifest.server.clone(), info.version());
        if is_valkey(&from) != is_valkey(&to) {
            warnings.push(format!(
                "the dump is of {}, and the server is {}: one may not read what the other writes",
                named(&from),
                named(&to)
            ));
        } else if release(&to) < release(&from) {
            warnings.push(format!(
                "the dump is of {}, and the server is {}: an older server may not read what a newer one writes",
                named(&from),
                named(&to)
            ));
        }
        if !self.is_all() {
            warnings.push(
                "functions belong to the whole server, and aren't restored with one database".to_owned(),
            );
        }
        if options.globals {
            warnings.push(
                "users of Redis aren't in its dumps: they are in its configuration or ACL file".to_owned(),
            );
        }
        warnings
    }
}

fn named(version: &str) -> String {
    if is_valkey(version) { version.replacen("valkey", "Valkey", 1) } else { format!("Redis {version}") }
}

/// The time of the server, by which keys expire.
fn now_ms(connection: &mut Connection) -> Result<u64> {
    // Seconds, and the microseconds of the one that has begun.
    let text = connection.text(&["TIME"])?;
    let read = || -> Option<u64> {
        let (seconds, microseconds) = text.split_once('\n')?;
        let milliseconds = microseconds.parse::<u64>().ok()? / 1000;
        seconds.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(milliseconds)
    };
    read().ok_or_else(|| connection.refused("TIME", "it answers what is no time"))
}

/// Writes keys.
struct Writer {
    connection: Connection,
    version: u16,
    replaces: bool,
    source: String,
    selected: Option<u64>,
    batch: Vec<u8>,
    /// The keys of the requests in the batch.
    keys: Vec<Vec<u8>>,
    written: BTreeMap<u64, Keys>,
}

impl Writer {
    fn write(&mut self, database: u64, entry: &Entry) -> Result<()> {
        if self.selected != Some(database) {
            self.flush()?;
            self.connection.ask(&["SELECT", &database.to_string()])?;
            self.selected = Some(database);
        }
        let mut payload = Vec::with_capacity(entry.value.len() + 10);
        payload.extend_from_slice(&entry.value);
        payload.extend_from_slice(&self.version.to_le_bytes());
        payload.extend_from_slice(&seal::checksum(&payload).to_le_bytes());
        let expires = entry.expires_ms.unwrap_or(0).to_string();
        let mut words: Vec<&[u8]> = vec![b"RESTORE", &entry.key, expires.as_bytes(), &payload];
        if entry.expires_ms.is_some() {
            words.push(b"ABSTTL");
        }
        if self.replaces {
            words.push(b"REPLACE");
        }
        self.batch.extend_from_slice(&resp::request(&words));
        self.keys.push(entry.key.clone());
        let keys = self.written.entry(database).or_default();
        keys.all += 1;
        keys.expiring += u64::from(entry.expires_ms.is_some());
        if self.keys.len() >= BATCH_REQUESTS || self.batch.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Sends what is collected, and reads the replies. The first refusal ends the restore.
    fn flush(&mut self) -> Result<()> {
        self.connection.write(&self.batch).map_err(|error| self.connection.broken("RESTORE", error))?;
        self.batch.clear();
        for key in std::mem::take(&mut self.keys) {
            let reply =
                self.connection.receive().map_err(|error| self.connection.broken("RESTORE", error))?;
            if let Reply::Refused(why) = reply {
                let what = format!("RESTORE of key {}", shown(&key));
                let is_format = why.contains("payload version") || why.contains("Bad data format");
                let why = if is_format {
                    format!(
                        "it can't read what {} has written ({why}): a newer server is needed",
                        named(&self.source)
                    )
                } else {
                    why
                };
                return Err(self.connection.refused(&what, &why));
            }
        }
        Ok(())
    }

    /// Loads a library of functions; says why it couldn't be.
    fn function(&mut self, code: &[u8]) -> Result<Option<String>> {
        let mut words: Vec<&[u8]> = vec![b"FUNCTION", b"LOAD"];
        if self.replaces {
            words.push(b"REPLACE");
        }
        words.push(code);
        let reply = self.connection.send(&words).and_then(|()| self.connection.receive());
        match reply.map_err(|error| self.connection.broken("FUNCTION", error))? {
            Reply::Refused(why) => Ok(Some(format!("a library of functions wasn't restored: {why}"))),
            _ => Ok(None),
        }
    }

    /// How many keys there are, and how many there should be.
    fn compared(&mut self, database: u64, written: Keys, others: Option<u64>) -> Result<Check> {
        self.connection.ask(&["SELECT", &database.to_string()])?;
        self.selected = None;
        let found = self.connection.text(&["DBSIZE"])?;
        let number: u64 = found.parse().unwrap_or_default();
        let (least, most) = (written.all - written.expiring, written.all + others.unwrap_or_default());
        let expected = if least == most { most.to_string() } else { format!("{least} to {most}") };
        let name = format!("keys in database {database}");
        Ok(Check { name, expected: Some(expected), found, is_right: (least..=most).contains(&number) })
    }
}

/// A key as a message shows it.
fn shown(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(&key[..key.len().min(100)]);
    format!("{text:?}")
}
