//! Commands that undo what hooks have done: stored before the hook runs, carried out after it whatever
//! happens, after a crash at the next start.

use serde_json::{Value as Document, json};

use crate::Store;
use crate::db::{NewEvent, Row, json as column, values};
use crate::error::Result;
use crate::runs::{Held, check_held};
use crate::types::{EventKind, Executor, HostId, RunId, Subject, SubjectKind, Text, UndoId, UtcTime};

/// A command that undoes what a hook has done.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    /// Identifies it.
    pub id: UndoId,
    /// The run whose hook it undoes.
    pub run: RunId,
    /// The host on which the hook ran: no other can undo it.
    pub host: HostId,
    /// The command; a document of the caller's, without secrets.
    pub command: Document,
    /// When it was stored.
    pub stored: UtcTime,
    /// The process that carries it out, or did.
    pub taken_by: Option<Executor>,
    /// When it was carried out.
    pub done: Option<UtcTime>,
    /// What came of it: `None` for success.
    pub failure: Option<Text>,
}

/// The columns of [`Undo::from_row`].
macro_rules! undo_columns {
    () => {
        "id, run, host, command, stored, server, boot, done, outcome"
    };
}

impl Undo {
    fn from_row(row: &Row) -> Result<Self> {
        let taken_by = match (row.optional_name("server")?, row.optional_name("boot")?) {
            (Some(server), Some(boot)) => Some(Executor { server, boot }),
            _ => None,
        };
        Ok(Self {
            id: row.name("id")?,
            run: row.name("run")?,
            host: row.name("host")?,
            command: row.json("command")?,
            stored: row.time("stored")?,
            taken_by,
            done: row.optional_time("done")?,
            failure: row.optional_text("outcome")?,
        })
    }
}

impl Store {
    /// Stores a command before its hook runs. An error if the run isn't held any more: then the hook must not
    /// run.
    pub async fn store_undo(
        &self,
        now: UtcTime,
        held: &Held,
        id: &UndoId,
        host: &HostId,
        command: &Document,
    ) -> Result<()> {
        let mut tx = self.begin("storing an undo command").await?;
        check_held(&mut tx, held).await?;
        tx.execute(
            "INSERT INTO undo (id, run, host, command, stored) VALUES ($1, $2, $3, $4, $5)",
            values![id.as_str(), held.run.id.as_str(), host.as_str(), column(command), now],
        )
        .await?;
        tx.commit().await
    }

    /// Commands of a host that haven't been carried out and whose runs have ended, the oldest first; undo those of a run from the last to the first.
    pub async fn left_undos(&self, host: &HostId) -> Result<Vec<Undo>> {
        let rows = self.db.rows("reading undo commands", LEFT, values![host.as_str()]).await?;
        rows.iter().map(Undo::from_row).collect()
    }

    /// The commands of a run, in the order in which they were stored; undo them from the last to the first.
    pub async fn undos_of(&self, run: &RunId) -> Result<Vec<Undo>> {
        let sql = concat!("SELECT ", undo_columns!(), " FROM undo WHERE run = $1 ORDER BY stored, id");
        let rows = self.db.rows("reading a run's undo commands", sql, values![run.as_str()]).await?;
        rows.iter().map(Undo::from_row).collect()
    }

    /// Takes a command to carry it out; `None` if it is done, or another process is at it. A process that has
    /// died while it was at it is followed by the next life of its server only, which knows that it died.
    pub async fn take_undo(&self, now: UtcTime, id: &UndoId, executor: &Executor) -> Result<Option<Undo>> {
        let mut tx = self.begin("taking an undo command").await?;
        let sql = concat!(
            "UPDATE undo SET server = $2, boot = $3, taken = $4 WHERE id = $1 AND done IS NULL \
             AND (server IS NULL OR (server = $2 AND boot <> $3)) RETURNING ",
            undo_columns!()
        );
        let values = values![id.as_str(), executor.server.as_str(), executor.boot.as_str(), now];
        let row = tx.row(sql, values).await?;
        tx.commit().await?;
        row.as_ref().map(Undo::from_row).transpose()
    }

    /// Ends all commands that haven't been carried out, and returns them in the order in which they were stored. For a state
    /// that was restored, before anything uses it: what the hooks did was done on a machine that is gone.
    pub async fn give_up_undos(&self, now: UtcTime, why: &Text) -> Result<Vec<Undo>> {
        let mut tx = self.begin("giving undo commands up").await?;
        let sql = concat!("SELECT ", undo_columns!(), " FROM undo WHERE done IS NULL ORDER BY stored, id");
        let open: Vec<Undo> =
            tx.rows(sql, Vec::new()).await?.iter().map(Undo::from_row).collect::<Result<_>>()?;
        tx.execute("UPDATE undo SET done = $1, outcome = $2 WHERE done IS NULL", values![now, why.as_str()])
            .await?;
        tx.commit().await?;
        Ok(open)
    }

    /// A command was carried out by the process that has taken it. False if it hasn't, or has said so before.
    pub async fn undo_done(
        &self,
        now: UtcTime,
        id: &UndoId,
        executor: &Executor,
        failure: Option<&Text>,
    ) -> Result<bool> {
        let mut tx = self.begin("storing that an undo command is done").await?;
        let sql = concat!(
            "UPDATE undo SET done = $4, outcome = $5 \
             WHERE id = $1 AND server = $2 AND boot = $3 AND done IS NULL RETURNING ",
            undo_columns!()
        );
        let (server, boot) = (executor.server.as_str(), executor.boot.as_str());
        let row = tx.row(sql, values![id.as_str(), server, boot, now, failure.map(Text::as_str)]).await?;
        let Some(row) = row else { return Ok(false) };
        let undo = Undo::from_row(&row)?;
        let document = json!({"undo": undo.id, "run": undo.run, "host": undo.host, "failure": failure});
        let subject = Subject::of(SubjectKind::Host, undo.host.as_str());
        tx.event(NewEvent { at: now, kind: EventKind::UNDO_DONE, subject, document });
        tx.commit().await?;
        Ok(true)
    }
}

const LEFT: &str = concat!(
    "SELECT ",
    undo_columns!(),
    " FROM undo WHERE host = $1 AND done IS NULL AND NOT EXISTS (SELECT 1 FROM run WHERE run.id = undo.run \
     AND run.state <> 'ended') ORDER BY stored"
);
