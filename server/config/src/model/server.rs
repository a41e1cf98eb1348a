//! The server itself.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::decode::{Context, Decode, Located};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::code::Code;
use crate::model::project::Role;
use crate::model::reference::Reference;
use crate::model::repository::Repository;
use crate::model::retention::Retention;
use crate::model::schedule::Schedule;
use crate::model::secret::{AddressOrSecret, SecretReference};
use crate::model::source::Database;
use crate::schema::Shape;
use crate::tree::Node;
use crate::values::address::{AbsolutePath, Listen, Url};
use crate::values::time::{Length, ZoneName};

table! {
    /// The server itself.
    pub struct Server {
        /// Where the dashboard and the API listen.
        listen: Located<Listen> = "'127.0.0.1:8400'",
        /// The address by which people reach it, for links in messages.
        public_url: Option<Url>,
        /// Certificate and key, where the server speaks TLS itself.
        tls: Option<ServerTls>,
        /// Whether a proxy in front of it speaks TLS and lets nothing past.
        behind_proxy: bool = "false",
        /// The time zone of all plans that don't have their own.
        timezone: ZoneName = "'UTC'",
        /// Where the server keeps its state.
        state: State = "{ sqlite = '/var/lib/keepfast/state.db' }",
        /// Where it keeps what isn't in the database: logs of runs, locks, its socket. Else the folder of the SQLite
        /// file, or `/var/lib/keepfast` with PostgreSQL. Servers that share a database need one each.
        folder: Option<AbsolutePath>,
        /// Where definitions may be.
        definitions: Definitions = "'files'",
        /// What needs a second person if it is asked for through the API: one asks, another one who has the right agrees
        /// within 24 hours, and then it is done.
        two_persons: Vec<TwoPersons>,
        /// How long history is kept.
        history: History = "{}",
        /// An outside address that hears from the server, and so notices its death.
        heartbeat: Option<Heartbeat>,
        /// Sign-in with an account of elsewhere.
        oidc: Option<Oidc>,
        /// Metrics for Prometheus.
        metrics: Option<Metrics>,
        /// How many runs may be at once.
        limits: ServerLimits = "{}",
        /// Backups of the state and of these files, from which a lost server can be rebuilt. They are made as those of a plan
        /// named `_state`. `false` says that there shall be none.
        backup: Option<BackupOfState>,
    }
}

table! {
    /// Certificate and key of a server.
    pub struct ServerTls {
        /// The certificate and those above it, in PEM.
        certificate: AbsolutePath,
        /// Its key.
        key: SecretReference,
    }
}

table! {
    /// Where the server keeps its state: runs, events, users. No definitions are in it.
    pub struct State {
        /// A file of SQLite, on a local file system.
        sqlite: Option<AbsolutePath>,
        /// A database of PostgreSQL, which several servers can share.
        postgres: Option<Database>,
    }
    one_of("sqlite", "postgres");
}

choice! {
    /// Where definitions may be.
    pub enum Definitions {
        /// In files that people write. The dashboard shows them and changes nothing.
        Files = "files",
        /// There, and in `managed.d`, which the dashboard writes. It never writes another file.
        FilesAndManaged = "files+managed",
    }
}

choice! {
    /// What needs a second person.
    pub enum TwoPersons {
        /// To forget snapshots, to end their protection, and to change by which label a plan knows them.
        Forget = "forget",
        /// To prune a repository by hand.
        Prune = "prune",
        /// To write and remove managed files of definitions, and so to change what retention keeps.
        Definitions = "definitions",
    }
}

/// Whether the state is backed up.
#[derive(Debug, Clone, PartialEq)]
pub enum BackupOfState {
    /// It isn't.
    Off,
    /// It is.
    Into(Box<StateBackup>),
}

table! {
    /// When the state and the configuration are backed up, and where to.
    pub struct StateBackup {
        /// The repository that takes them.
        repository: Reference<Repository>,
        /// When.
        schedule: Schedule = "{ cron = '15 5 * * *' }",
        /// What is kept of them.
        retention: Located<Retention> = "{ daily = 14, weekly = 8, at_least = 3 }",
    }
}

impl Decode for BackupOfState {
    fn shape() -> Shape {
        Shape::AnyOf(vec![bool::shape(), StateBackup::shape()])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        if node.table().is_some() {
            return StateBackup::decode(node, context).map(|backup| Self::Into(Box::new(backup)));
        }
        match bool::decode(node, context)? {
            false => Some(Self::Off),
            true => {
                let message = "this says not which repository takes the backups";
                let help = "write `backup = { repository = \"…\" }`";
                context.tell(Diagnostic::new(Code::Value, message).at(node.origin).help(help));
                None
            }
        }
    }
}

table! {
    /// How long history is kept.
    pub struct History {
        /// Runs: what they did and how they ended.
        runs: Length = "'400d'",
        /// The logs of runs.
        logs: Length = "'90d'",
        /// Who did what.
        audit: Length = "'7y'",
    }
}

table! {
    /// An outside address that hears from the server.
    pub struct Heartbeat {
        /// The address.
        url: AddressOrSecret,
        /// How often.
        every: Length = "'5m'",
    }
}

table! {
    /// Sign-in by OpenID Connect.
    pub struct Oidc {
        /// Who knows the users.
        issuer: Url,
        /// The name by which it knows this server.
        client_id: String,
        /// And the server's password there.
        client_secret: SecretReference,
        /// What else is asked for.
        scopes: Vec<String>,
        /// Where the groups of a user are in what the issuer says.
        groups_claim: String = "'groups'",
        /// Roles by group; `*` is for all others.
        roles: BTreeMap<String, Role>,
    }
}

table! {
    /// Metrics for Prometheus.
    pub struct Metrics {
        /// Where they are served.
        listen: Located<Listen> = "'127.0.0.1:8401'",
        /// What a reader has to show; nothing where only this machine reaches it.
        token: Option<SecretReference>,
    }
}

table! {
    /// How many runs may be at once.
    pub struct ServerLimits {
        /// In all.
        runs: NonZeroU32 = "8",
        /// Into one repository.
        per_repository: NonZeroU32 = "4",
        /// On one host.
        per_host: NonZeroU32 = "1",
    }
}
