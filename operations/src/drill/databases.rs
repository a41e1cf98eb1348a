//! Databases of a drill: folders of the snapshot that say of themselves that they are dumps, each started on a server of its
//! own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_drills::database::{DatabaseDrill, DatabaseProof, Engines, prove};
use keepfast_drills::expect::Expectation;
use keepfast_drills::log::Log;
use keepfast_drills::scratch::{Scratch, ScratchError, closed_above};
use keepfast_drills::verdict::Part;
use keepfast_engine::EngineError;
use keepfast_engine::run::RunContext;
use keepfast_format::snapshot::Snapshot;
use keepfast_process::redact::KnownSecrets;
use keepfast_process::tool::Account;
use keepfast_sources::SourceError;
use keepfast_sources::address::Engine;
use keepfast_sources::context::Context;
use keepfast_sources::manifest::Manifest;

use crate::databases::{FromFolder, dump_folders};
use crate::error::{Result, with_causes};
use crate::folder::SnapshotFolder;
use crate::host::SystemHost;
use crate::open::Opened;

/// Dumps that one drill starts, at most.
const DUMPS_MAX: usize = 64;
/// Whom servers run as if this process is root. It owns no database of this machine.
const ACCOUNT: &str = "keepfast-drill";
/// The numbers of the user and the group that every Linux has for what belongs to no one.
const OF_NO_ONE: (u32, u32) = (65534, 65534);

/// Databases that are tested.
pub struct DatabasesDrill<'d> {
    /// The repository.
    pub opened: &'d Opened,
    /// The snapshot.
    pub snapshot: &'d Snapshot,
    /// When it was begun.
    pub moment: Timestamp,
    /// The drill's folder.
    pub scratch: &'d Scratch,
    /// The folder in which servers that run as another user have theirs.
    pub servers: &'d Path,
    /// What starts servers.
    pub engines: &'d dyn Engines,
    /// The version that is wanted; none for that of the dump.
    pub version: Option<&'d str>,
    /// The memory that a server may take, in bytes.
    pub memory: Option<u64>,
    /// The kind of database that queries are meant for; none if they are for all.
    pub asked: Option<Engine>,
    /// What is expected.
    pub expect: &'d [Expectation],
    /// Secrets that messages of programs must not have.
    pub secrets: &'d KnownSecrets,
    /// The drill's log.
    pub log: &'d Arc<Log>,
}

/// What came of all databases.
#[derive(Debug, Default)]
pub struct Proven {
    /// One for each.
    pub parts: Vec<Part>,
    /// Which kinds of databases there are.
    pub engines: Vec<Engine>,
    /// The versions of dumps and of what was started.
    pub versions: BTreeMap<String, String>,
    /// How long it took until all have answered, one after the other; none if none has.
    pub answered_after: Option<Duration>,
}

/// The folders of a snapshot that are dumps: absolute paths.
pub fn find(opened: &Opened, snapshot: &Snapshot, run: &RunContext) -> Result<Vec<String>> {
    let mut folders: Vec<String> =
        dump_folders(opened, snapshot, run)?.into_iter().map(|name| format!("/{name}")).collect();
    folders.truncate(DUMPS_MAX);
    // A file of a manifest's name may be anything. One that can't be read at all is a dump that fails.
    folders.retain(|folder| {
        let folder = SnapshotFolder::new(opened, snapshot, folder.as_bytes(), run);
        !matches!(Manifest::read(&FromFolder(&folder)), Err(SourceError::Dump { .. }))
    });
    Ok(folders)
}

impl DatabasesDrill<'_> {
    /// Starts each of the dumps, and asks it.
    pub fn prove(&self, folders: &[String], run: &RunContext) -> Result<Proven> {
        let mut proven = Proven::default();
        for (number, folder) in folders.iter().enumerate() {
            let name = folder.trim_start_matches('/');
            self.log.line(&format!("database {name}"));
            match self.prove_one(number, name, run) {
                Ok(one) => {
                    let wait: Duration = proven.answered_after.into_iter().chain(one.answered_after).sum();
                    proven.answered_after = one.answered_after.map(|_| wait).or(proven.answered_after);
                    if let Some((engine, version)) = one.dumped {
                        proven.engines.push(engine);
                        proven.versions.insert(format!("dump {name}"), format!("{engine} {version}"));
                    }
                    if let Some(version) = one.booted {
                        proven.versions.insert(format!("server {name}"), version);
                    }
                    one.part.problems().iter().for_each(|problem| self.log.line(problem));
                    proven.parts.push(one.part);
                }
                Err(SourceError::Cancelled) => return Err(EngineError::Interrupted.into()),
                Err(error) => {
                    proven.parts.push(Part::not_tested(format!("database {name}"), error.to_string()))
                }
            }
        }
        Ok(proven)
    }

    /// A folder through which the user of a server can come to its own.
    fn passable(&self) -> Result<Scratch, SourceError> {
        let failed = |error: ScratchError| SourceError::File {
            path: self.servers.to_owned(),
            source: std::io::Error::other(with_causes(&error)),
        };
        let scratch = Scratch::make_passable(self.servers, self.scratch.name_of_servers()).map_err(failed)?;
        match closed_above(scratch.path()) {
            None => Ok(scratch),
            Some(closed) => Err(SourceError::File {
                path: closed.to_owned(),
                source: std::io::Error::other(format!(
                    "the user of the database's server can't go through this folder to {}: allow that (chmod o+x), or \
                     name another folder for the drill",
                    self.servers.display()
                )),
            }),
        }
    }

    fn prove_one(&self, number: usize, name: &str, run: &RunContext) -> Result<DatabaseProof, SourceError> {
        let account = SystemHost.account(ACCOUNT, OF_NO_ONE).map(|(user, group)| Account { user, group });
        // Each dump has one, which is gone before the next.
        let passable = match account {
            Some(_) => Some(self.passable()?),
            None => None,
        };
        let scratch = passable.as_ref().unwrap_or(self.scratch);
        let made = |part: &str| {
            let path = scratch.path().join(format!("{part}-{number}"));
            fs::create_dir(&path)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)))
                .map_err(|source| SourceError::File { path: path.clone(), source })?;
            Ok::<_, SourceError>(path)
        };
        let (work, server) = (made("work")?, made("server")?);
        if let Some(Account { user, group }) = account {
            let failed = |source| SourceError::File { path: server.clone(), source };
            chown(&server, Some(user), Some(group)).map_err(failed)?;
        }
        let Self { opened, snapshot, .. } = *self;
        let folder = SnapshotFolder::new(opened, snapshot, name.as_bytes(), run);
        let context = Context {
            cancel: run.cancel().clone(),
            secrets: self.secrets.clone(),
            programs: Vec::new(),
            scratch: work,
            progress: &|_| {},
        };
        let place = server.clone();
        let drill = DatabaseDrill {
            name,
            folder: server,
            account,
            memory: self.memory,
            version: self.version,
            moment: self.moment,
            asked: self.asked,
            expect: self.expect,
        };
        let proof = prove(self.engines, &FromFolder(&folder), drill, &context);
        // The next one needs the room. What is left goes with the drill's folder.
        let _ = fs::remove_dir_all(&place);
        proof
    }
}
