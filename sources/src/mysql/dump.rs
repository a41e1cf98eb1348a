//! A logical dump: one run of the makers' program over all databases, which is one state of them all, cut into files while
//! it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use keepfast_process::child::CancellableReader;
use keepfast_process::tool::{Feed, Tool};

use super::catalog::{Catalog, TableKind};
use super::client::{Client, quoted};
use super::grants::Of;
use super::lacks::{self, Lack, What, is_of_server, is_of_tables, is_table_chosen, is_without_rows};
use super::layout::{Layout, Part};
use super::physical;
use super::program::{Program, Purpose};
use super::split::{Heading, Splitter};
use super::users;
use crate::address::{Address, Engine};
use crate::context::{Context, Progress};
use crate::dump::{Content, DumpOptions, OnMissing};
use crate::error::{Result, SourceError};
use crate::manifest::{Database, Form, Manifest, Missing, Table};
use crate::sink::{NewFile, Sink};

/// The first and last files are a few settings. What is looked for is in their first bytes.
const KEPT_BYTES_MAX: usize = 64 << 10;
/// After how many bytes of a table it is told how far the dump is.
const TOLD_AFTER_BYTES: u64 = 8 << 20;
/// Arguments of the program that would make another kind of output of it.
const NOT_PASSED: &[&str] =
    &["--tab", "-T", "--result-file", "-r", "--xml", "-X", "--compact", "--skip-comments"];

/// Dumps.
pub(crate) fn dump(
    from: &Address,
    options: &DumpOptions,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<Manifest> {
    if options.physical {
        return physical::dump(from, options, sink, context);
    }
    let client = Client::new(from, context, options.connect_timeout)?;
    let before = Catalog::read(&client, &options.selection)?;
    if before.databases.is_empty() {
        return Err(SourceError::Missing {
            object: from.to_string(),
            why: format!("{} sees no database that is asked for", before.account),
        });
    }
    refuse_arguments(options)?;
    let lacks = lacks::of(&client, &before, options)?;
    if let (OnMissing::Fail, Some(first)) = (options.on_missing, lacks.first()) {
        return Err(SourceError::Missing { object: first.what.to_string(), why: first.why.clone() });
    }
    let program = Program::find(Purpose::Dump, before.engine(), context)?;
    let mut manifest = Manifest::new(before.engine(), Form::Logical, before.version());
    manifest.server_id = before.server_id();
    manifest.moment = Some(before.now.clone());
    manifest.tools.insert(program.name.to_owned(), program.version.clone());
    if is_of_server(from, &options.selection) && !lacks.iter().any(|lack| lack.what == What::Users) {
        users::dump(&client, &before, &program, sink)?;
    }
    let tool = tool(&client, &program, &before, options, &lacks)?;
    let taken = take(&client, &program, tool, &before, options, sink)?;
    manifest.position = taken.position;
    if !manifest.position.is_empty() {
        let is_all = is_of_server(from, &options.selection) && options.selection.content == Content::All;
        let databases = if is_all && lacks.is_empty() { "all" } else { "some" };
        manifest.position.insert("databases".to_owned(), databases.to_owned());
    }
    manifest.order = taken.order;
    manifest.databases = taken.databases;
    let lacking = |lack: Lack| Missing { object: lack.what.to_string(), why: lack.why };
    manifest.missing = lacks.into_iter().map(lacking).collect();
    nothing_was_passed_over(&client, &before, options, &manifest)?;
    Ok(manifest)
}

fn refuse_arguments(options: &DumpOptions) -> Result<()> {
    let is_refused = |argument: &&String| {
        NOT_PASSED.iter().any(|name| *argument == name || argument.starts_with(&format!("{name}=")))
    };
    options.arguments.iter().find(is_refused).map_or(Ok(()), |argument| {
        Err(SourceError::Unsupported {
            object: argument.clone(),
            why: "what the program prints with it can't be read back as tables".to_owned(),
        })
    })
}

/// The program and its arguments.
fn tool(
    client: &Client<'_>,
    program: &Program,
    catalog: &Catalog,
    options: &DumpOptions,
    lacks: &[Lack],
) -> Result<Tool> {
    let selection = &options.selection;
    let lack = |what: fn(&What) -> bool| lacks.iter().any(|lack| what(&lack.what));
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |argument: &str| arguments.push(argument.to_owned());
    for argument in [
        "--single-transaction",
        "--quick",
        "--skip-dump-date",
        "--hex-blob",
        "--default-character-set=utf8mb4",
        "--max-allowed-packet=1073741824",
        "--no-tablespaces",
    ] {
        add(argument);
    }
    let has_programs = selection.content != Content::Data && !is_of_tables(selection);
    add(if has_programs { "--routines" } else { "--skip-routines" });
    let has_events = has_programs && !lack(|what| matches!(what, What::Events(_)));
    add(if has_events { "--events" } else { "--skip-events" });
    add(if selection.content == Content::Data { "--skip-triggers" } else { "--triggers" });
    match selection.content {
        Content::All => {}
        Content::Schema => add("--no-data"),
        Content::Data => add("--no-create-info"),
    }
    if selection.content == Content::Data {
        add("--no-create-db");
    }
    if catalog.engine() == Engine::Mysql && program.has("--set-gtid-purged") {
        add("--set-gtid-purged=OFF");
    }
    if program.has("--column-statistics") {
        add("--skip-column-statistics");
    }
    if catalog.has_log() && may_see_position(catalog) {
        add(if program.has("--source-data") { "--source-data=2" } else { "--master-data=2" });
        if catalog.engine() == Engine::Mariadb && program.has("--gtid") {
            add("--gtid");
        }
    }
    let is_versioned = catalog.tables().any(|(_, table)| table.kind == TableKind::Versioned);
    if is_versioned && program.has("--dump-history") {
        add("--dump-history");
    }
    for (database, table) in catalog.tables() {
        let (database, table) = (database.name.clone(), table.name.clone());
        let is_chosen = is_table_chosen(selection, &database, &table);
        let is_without_rows = is_without_rows(selection, &database, &table);
        let name = format!("{database}.{table}");
        let lacks_it = lacks.iter().any(|lack| lack.what == What::Table(database.clone(), table.clone()));
        if !is_chosen || lacks_it || is_without_rows && selection.content == Content::Data {
            arguments.push(format!("--ignore-table={name}"));
        } else if is_without_rows && program.has("--ignore-table-data") {
            arguments.push(format!("--ignore-table-data={name}"));
        } else if is_without_rows {
            return Err(SourceError::Unsupported {
                object: name,
                why: format!("{} {} can't leave out rows alone", program.name, program.version),
            });
        }
    }
    let tool = client.tool(program)?.args(arguments).args(&options.arguments).arg("--databases").arg("--");
    Ok(tool.args(catalog.databases.iter().map(|database| &database.name)))
}

/// MariaDB says the position of a snapshot to everyone. MySQL stops writers for a moment to learn it, which takes rights.
fn may_see_position(catalog: &Catalog) -> bool {
    catalog.engine() == Engine::Mariadb
        || catalog.grants.has("RELOAD", Of::Server) && catalog.grants.has("REPLICATION CLIENT", Of::Server)
}

/// What came of the program.
#[derive(Default)]
struct Taken {
    order: Vec<String>,
    databases: Vec<Database>,
    position: BTreeMap<String, String>,
}

fn take(
    client: &Client<'_>,
    program: &Program,
    tool: Tool,
    catalog: &Catalog,
    options: &DumpOptions,
    sink: &dyn Sink,
) -> Result<Taken> {
    let context = client.context;
    let file = |source| SourceError::File { path: program.path.clone(), source };
    let started = tool.start(Feed::Nothing, &context.cancel).map_err(file)?.started;
    let is_only_rows = options.selection.content == Content::Data;
    let counting = Told { input: started.output, context, done: 0, told: 0, total: catalog.bytes() };
    let mut splitter = Splitter::new(counting, is_only_rows);
    let mut layout = Layout::default();
    let mut taken = Taken::default();
    let mut kept = Kept::default();
    loop {
        let heading = splitter.next_part().map_err(|error| interrupted(context, file(error)))?;
        let Some(heading) = heading else { break };
        let part = layout.part(&heading);
        let is_kept = matches!(heading, Heading::Head | Heading::Tail);
        (context.progress)(Progress {
            phase: "tables",
            object: &part.path,
            done: splitter.input().done,
            total: Some(catalog.bytes()),
        });
        let bytes = {
            let mut content = Copied { input: &mut splitter, kept: is_kept.then_some(&mut kept) };
            let failed = |source| SourceError::Transfer { object: part.path.clone(), source };
            sink.file(&NewFile::new(&part.path), &mut content)
                .map_err(|error| interrupted(context, failed(error)))?
        };
        taken.add(part, &heading, bytes, splitter.rows(), is_only_rows);
    }
    let ended = started.running.wait().map_err(file)?.ok_or(SourceError::Cancelled)?;
    if !ended.status.success() {
        return Err(SourceError::Program {
            program: program.name.to_owned(),
            status: ended.status.to_string(),
            messages: ended.stderr.unwrap_or_default(),
        });
    }
    kept.is_whole(program)?;
    taken.position = kept.position();
    Ok(taken)
}

fn interrupted(context: &Context<'_>, error: SourceError) -> SourceError {
    if context.cancel.is_cancelled() { SourceError::Cancelled } else { error }
}

impl Taken {
    fn add(&mut self, part: Part, heading: &Heading, bytes: u64, rows: u64, is_only_rows: bool) {
        self.order.push(part.path.clone());
        let Some(database) = part.database else { return };
        let folder = Layout::folder(&database);
        if self.databases.iter().all(|known| known.name != database) {
            let folder = Some(folder);
            self.databases.push(Database { name: database.clone(), folder, tables: Vec::new() });
        }
        let Some(database) = self.databases.iter_mut().find(|known| known.name == database) else { return };
        let (name, rows) = match heading {
            Heading::Table(Some(name)) => (name, Some(rows)),
            Heading::Sequence(name) | Heading::View(name) => (name, None),
            _ => return,
        };
        let (file, bytes) = (Some(part.path), Some(bytes));
        // The table isn't made by the file.
        let load = is_only_rows.then(|| format!("INSERT INTO {}", quoted(name)));
        database.tables.push(Table { schema: None, name: name.clone(), file, load, rows, bytes });
    }
}

/// What was there before and is there after a dump, and isn't in it: the program has said nothing of it.
fn nothing_was_passed_over(
    client: &Client<'_>,
    before: &Catalog,
    options: &DumpOptions,
    manifest: &Manifest,
) -> Result<()> {
    let after = Catalog::read(client, &options.selection)?;
    let all = |catalog: &Catalog| -> BTreeSet<(String, String)> {
        let has_views = options.selection.content != Content::Data;
        let tables = catalog.tables().filter(|(database, table)| {
            let is_chosen = is_table_chosen(&options.selection, &database.name, &table.name);
            let rows_alone = is_without_rows(&options.selection, &database.name, &table.name);
            is_chosen
                && (has_views || matches!(table.kind, TableKind::Table | TableKind::Versioned) && !rows_alone)
        });
        tables.map(|(database, table)| (database.name.clone(), table.name.clone())).collect()
    };
    let of_dump = |database: &Database| {
        let name = database.name.clone();
        database.tables.iter().map(move |table| (name.clone(), table.name.clone())).collect::<Vec<_>>()
    };
    let dumped: BTreeSet<_> = manifest.databases.iter().flat_map(of_dump).collect();
    let missing: BTreeSet<&str> = manifest.missing.iter().map(|missing| missing.object.as_str()).collect();
    let is_missing = |name: &&(String, String)| {
        let (database, table) = name;
        let is_odd = table.contains('\n') || database.contains('\n');
        let is_told = missing.contains(What::Table(database.clone(), table.clone()).to_string().as_str());
        !dumped.contains(name) && !is_odd && !is_told
    };
    let (before, after) = (all(before), all(&after));
    match before.intersection(&after).find(is_missing) {
        Some((database, table)) => Err(SourceError::Missing {
            object: format!("table {}.{}", quoted(database), quoted(table)),
            why: "the program that dumps has passed over it".to_owned(),
        }),
        None => Ok(()),
    }
}

/// Says how far it is while a large table comes.
pub(super) struct Told<'a> {
    input: CancellableReader,
    context: &'a Context<'a>,
    done: u64,
    told: u64,
    total: u64,
}

impl Read for Told<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(into)?;
        self.done += u64::try_from(count).unwrap_or_default();
        if self.done - self.told > TOLD_AFTER_BYTES {
            self.told = self.done;
            let total = Some(self.total);
            (self.context.progress)(Progress { phase: "rows", object: "", done: self.done, total });
        }
        Ok(count)
    }
}

/// The settings at both ends of a dump, with the position and the last line.
#[derive(Default)]
struct Kept(Vec<u8>);

struct Copied<'a, R> {
    input: &'a mut R,
    kept: Option<&'a mut Kept>,
}

impl<R: Read> Read for Copied<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(into)?;
        if let Some(Kept(kept)) = &mut self.kept {
            let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(&into[..count.min(room)]);
        }
        Ok(count)
    }
}

impl Kept {
    /// A program that ends well and hasn't written its last line hasn't written all.
    fn is_whole(&self, program: &Program) -> Result<()> {
        let text = String::from_utf8_lossy(&self.0);
        let last = text.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
        if last.starts_with("-- Dump completed") {
            return Ok(());
        }
        Err(SourceError::Program {
            program: program.name.to_owned(),
            status: "it ended well".to_owned(),
            messages: "the dump has no end: its last line should be `-- Dump completed`".to_owned(),
        })
    }

    fn position(&self) -> BTreeMap<String, String> {
        let text = String::from_utf8_lossy(&self.0);
        let between = |start: &str, end: char| {
            let (_, rest) = text.split_once(start)?;
            Some(rest.split(end).next()?.to_owned())
        };
        let file = between("MASTER_LOG_FILE='", '\'').or_else(|| between("SOURCE_LOG_FILE='", '\''));
        let at = between("MASTER_LOG_POS=", ';').or_else(|| between("SOURCE_LOG_POS=", ';'));
        let gtid = between("gtid_slave_pos='", '\'').filter(|gtid| !gtid.is_empty());
        let named = [("file", file), ("position", at), ("gtid", gtid)];
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;

    #[test]
    fn positions_are_read_as_programs_write_them() {
        let of = |text: &str| Kept(text.as_bytes().to_vec()).position();
        let maria = of("-- CHANGE MASTER TO MASTER_USE_GTID=slave_pos;\n-- CHANGE MASTER TO \
            MASTER_LOG_FILE='binlog.000001', MASTER_LOG_POS=456;\n-- SET GLOBAL gtid_slave_pos='0-7-22';\n");
        let values: Vec<_> = maria.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(values, [("file", "binlog.000001"), ("gtid", "0-7-22"), ("position", "456")]);
        let mysql = of("-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='b.000009', SOURCE_LOG_POS=4;\n");
        assert_eq!(mysql.get("file").map(String::as_str), Some("b.000009"));
        assert!(of("SET x;").is_empty());
    }
}
