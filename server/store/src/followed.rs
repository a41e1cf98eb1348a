//! Which definitions the servers of a state follow. Of several servers, all have to follow those that were applied
//! last: a server compares its own with them, and leaves slots alone while they differ.
//!
//! What was applied last is told by a number, not by a clock: servers' clocks differ.

use serde_json::json;

use crate::Store;
use crate::db::{NewEvent, Row, Tx, values};
use crate::error::Result;
use crate::types::{ConfigHash, EventKind, HostId, ServerId, Subject, SubjectKind, UtcTime};

/// A server, and what it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// The server.
    pub server: ServerId,
    /// Its host.
    pub host: HostId,
    /// The hash of its definitions, as far as servers have to agree about them.
    pub config: ConfigHash,
}

/// When definitions that differ from those that were applied last are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// If this server has not followed them before: someone has changed them. One that only starts again, with
    /// definitions that were replaced meanwhile, doesn't bring them back.
    IfNew,
    /// Always: a person wants it, or no other server can be.
    Anyway,
}

/// The definitions that were applied last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Their hash.
    pub config: ConfigHash,
    /// The server that has applied them.
    pub server: ServerId,
    /// Its host.
    pub host: HostId,
    /// When it did.
    pub at: UtcTime,
}

/// How a server's definitions stand to those that were applied last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agreement {
    /// They are the same.
    Same,
    /// They are others than these.
    Differs(Applied),
}

/// One row of the table.
struct Followed {
    follower: Follower,
    /// The number of the application, if this server's definitions are of its own applying.
    applied: Option<i64>,
    at: UtcTime,
}

const TAKING_TURNS: i64 = 0x6b66_666f_6c6c_6f77;
const ALL: &str = "SELECT server, host, config, applied, at FROM followed_config";

impl Followed {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            follower: Follower {
                server: row.name("server")?,
                host: row.name("host")?,
                config: row.name("config")?,
            },
            applied: row.optional_integer("applied")?,
            at: row.time("at")?,
        })
    }

    fn into_applied(self) -> Applied {
        let Follower { server, host, config } = self.follower;
        Applied { config, server, host, at: self.at }
    }
}

fn newest(all: Vec<Followed>) -> Option<Followed> {
    all.into_iter().filter(|followed| followed.applied.is_some()).max_by_key(|followed| followed.applied)
}

impl Store {
    /// The definitions that were applied last; nothing if no server ever was.
    pub async fn applied(&self) -> Result<Option<Applied>> {
        let rows = self.db.rows("reading which definitions are followed", ALL, Vec::new()).await?;
        let all: Result<Vec<Followed>> = rows.iter().map(Followed::from_row).collect();
        Ok(newest(all?).map(Followed::into_applied))
    }

    /// A server follows definitions from now on. Says whether they are those that were applied last, which they are as
    /// well if they are applied by this. Of servers that do this at the same time, one is the last.
    pub async fn follow(&self, now: UtcTime, follower: &Follower, apply: Apply) -> Result<Agreement> {
        let mut tx = self.begin("storing which definitions are followed").await?;
        tx.take_turns(TAKING_TURNS).await?;
        let rows = tx.rows(ALL, Vec::new()).await?;
        let all: Vec<Followed> = rows.iter().map(Followed::from_row).collect::<Result<_>>()?;
        let own = all.iter().find(|followed| followed.follower.server == follower.server);
        let is_new = match own {
            Some(own) => own.follower.config != follower.config,
            // Also if it lost its name: a container that starts again with what another server follows or followed.
            None => all.iter().all(|other| other.follower.config != follower.config),
        };
        // Its own application stays the one that counts until another one comes.
        let own_number = own.filter(|own| own.follower.config == follower.config).and_then(|own| own.applied);
        let agreement = match newest(all) {
            Some(newest) if newest.follower.config == follower.config => {
                follow(&mut tx, now, follower, own_number).await?;
                Agreement::Same
            }
            Some(newest) if !is_new && apply == Apply::IfNew => {
                follow(&mut tx, now, follower, own_number).await?;
                Agreement::Differs(newest.into_applied())
            }
            newest => {
                let number = tx.unused_number().await?;
                follow(&mut tx, now, follower, Some(number)).await?;
                // The first ones replace none.
                if let Some(before) = newest {
                    let subject = Subject::of(SubjectKind::Host, follower.host.as_str());
                    let document = json!({
                        "server": follower.server,
                        "host": follower.host,
                        "config": follower.config,
                        "before": before.follower.config,
                    });
                    tx.event(NewEvent { at: now, kind: EventKind::CONFIG_APPLIED, subject, document });
                }
                Agreement::Same
            }
        };
        tx.commit().await?;
        Ok(agreement)
    }
}

async fn follow(tx: &mut Tx, now: UtcTime, follower: &Follower, number: Option<i64>) -> Result<()> {
    let Follower { server, host, config } = follower;
    let sql = "INSERT INTO followed_config (server, host, config, applied, at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (server) DO UPDATE SET host = excluded.host, config = excluded.config, \
               applied = excluded.applied, at = excluded.at \
               WHERE followed_config.config <> excluded.config \
               OR followed_config.applied IS DISTINCT FROM excluded.applied";
    tx.execute(sql, values![server.as_str(), host.as_str(), config.as_str(), number, now]).await?;
    Ok(())
}
