//! The database that a restore makes: created under a name of its own, and renamed when it is whole. What it replaces is
//! dropped only then.

use tokio_postgres::Row;

use super::facts::{Facts, Right};
use super::names::{literal, quoted, with_suffix};
use super::session::{Login, Purpose, Session};
use crate::error::{Result, SourceError};

/// What the name of a database that isn't whole ends with.
const UNFINISHED: &str = ".keepfast-restore";
/// What the name of a database that was replaced ends with until it is dropped.
const REPLACED: &str = ".keepfast-replaced";
/// Since this version, a database's sessions can be ended with it.
const WITH_FORCE: u32 = 130_000;
/// Since this version, a database has a provider of its rules of languages.
const WITH_PROVIDER: u32 = 150_000;

/// What is there under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Absent,
    /// A database without anything of users.
    Empty,
    /// A database with something in it.
    Occupied,
}

/// Whether a database has anything that users made.
const HAS_SOMETHING: &str = "SELECT EXISTS (
        SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND (n.nspname <> 'public' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = n.oid AND d.deptype = 'e')
            OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('e', 'i')))
            OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e'))
            OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = t.oid AND d.deptype IN ('e', 'i')))))
    OR EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)";

/// Connects to a database of the server that isn't this one.
pub fn administrator(login: &Login<'_>, not: &str) -> Result<Session> {
    let mut first = None;
    for name in ["postgres", "template1"].into_iter().filter(|name| *name != not) {
        match Session::connect(login, name, Purpose::Writing) {
            Ok(session) => return Ok(session),
            Err(SourceError::Cancelled) => return Err(SourceError::Cancelled),
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    Err(first.unwrap_or(SourceError::Cancelled))
}

/// Looks at what is there.
pub fn state(administrator: &Session, login: &Login<'_>, name: &str) -> Result<State> {
    if !exists(administrator, name)? {
        return Ok(State::Absent);
    }
    let session = Session::connect(login, name, Purpose::Reading)?;
    let has_something: bool = session.value("what it has", HAS_SOMETHING, &[])?;
    Ok(if has_something { State::Occupied } else { State::Empty })
}

fn exists(administrator: &Session, name: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)";
    administrator.value("its databases", sql, &[&name])
}

/// A database that is being restored. Dropped before it is finished, it is removed.
pub struct Unfinished<'a> {
    login: &'a Login<'a>,
    administrator: &'a Session,
    name: &'a str,
    own: String,
    is_finished: bool,
}

impl<'a> Unfinished<'a> {
    /// Creates it as the one was that was dumped. If this machine doesn't have its language, then either that is an error,
    /// or it is created without one. Returns what a person should know.
    pub fn create(
        login: &'a Login<'a>,
        administrator: &'a Session,
        name: &'a str,
        facts: &Facts,
        may_lack_locale: bool,
    ) -> Result<(Self, Option<String>)> {
        let own = with_suffix(name, UNFINISHED);
        let sql = "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = $1";
        let sessions: i64 = administrator.value("its sessions", sql, &[&own])?;
        if sessions > 0 {
            let why = format!("another restore fills it for {name} at this moment");
            return Err(SourceError::Unsupported { object: format!("the database {own}"), why });
        }
        // What a restore has left that was killed.
        administrator
            .execute("what is left of a restore", &format!("DROP DATABASE IF EXISTS {}", quoted(&own)))?;
        let plain = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING {}",
            quoted(&own),
            literal(&facts.encoding)
        );
        let whole = format!("{plain} {}", locale(facts, administrator.version()));
        let mut told = None;
        if let Err((_, why)) = administrator.attempt(&whole)? {
            let what = format!("a database like {name}");
            if !may_lack_locale {
                return Err(administrator.error(&what, why));
            }
            administrator.execute(&what, &format!("{plain} LC_COLLATE 'C' LC_CTYPE 'C'"))?;
            told = Some(format!("{name} was restored without its language ({}): {why}", facts.collate));
        }
        Ok((Self { login, administrator, name, own, is_finished: false }, told))
    }

    /// Its name for the time being.
    pub fn name(&self) -> &str {
        &self.own
    }

    /// Gives it its name. What has that name is put aside first, and dropped at the end. Returns what a person should know.
    pub fn finish(mut self) -> Result<Option<String>> {
        let (own, name) = (quoted(&self.own), quoted(self.name));
        let what = format!("the name of {}", self.name);
        if !exists(self.administrator, self.name)? {
            self.administrator.execute(&what, &format!("ALTER DATABASE {own} RENAME TO {name}"))?;
            self.is_finished = true;
            return Ok(None);
        }
        let aside = quoted(&with_suffix(self.name, REPLACED));
        self.drop_database(&aside)?;
        // No one may come back between the end of the sessions and the new name.
        let closed = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
        self.administrator.execute(&what, &closed)?;
        let put_aside = self.end_sessions(self.name).and_then(|()| {
            self.administrator.execute(&what, &format!("ALTER DATABASE {name} RENAME TO {aside}"))
        });
        let opened = |place: &str| format!("ALTER DATABASE {place} ALLOW_CONNECTIONS true");
        if let Err(error) = put_aside {
            self.administrator.execute(&what, &opened(&name))?;
            return Err(error);
        }
        if let Err(error) =
            self.administrator.execute(&what, &format!("ALTER DATABASE {own} RENAME TO {name}"))
        {
            self.administrator.execute(&what, &format!("ALTER DATABASE {aside} RENAME TO {name}"))?;
            self.administrator.execute(&what, &opened(&name))?;
            return Err(error);
        }
        self.is_finished = true;
        // The restore is done; what is left of the old one only takes room.
        Ok(self
            .drop_database(&aside)
            .err()
            .map(|error| format!("the old database {aside} is still there: {error}")))
    }

    fn end_sessions(&self, name: &str) -> Result<()> {
        let sql =
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = $1";
        self.administrator.rows("the end of its sessions", sql, &[&name]).map(drop)
    }

    fn drop_database(&self, name: &str) -> Result<()> {
        let force = if self.administrator.version() >= WITH_FORCE { " WITH (FORCE)" } else { "" };
        self.administrator
            .execute("a database to be dropped", &format!("DROP DATABASE IF EXISTS {name}{force}"))
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        // The run may be cancelled, so another connection does it; if the server is gone, the next restore does.
        let login = Login { ends: keepfast_process::child::Ends::default(), ..self.login.clone() };
        if let Ok(session) = administrator(&login, &self.own) {
            let force = if session.version() >= WITH_FORCE { " WITH (FORCE)" } else { "" };
            drop(session.attempt(&format!("DROP DATABASE IF EXISTS {}{force}", quoted(&self.own))));
        }
    }
}

/// The options of CREATE DATABASE for its language.
fn locale(facts: &Facts, version: u32) -> String {
    let mut text = format!("LC_COLLATE {} LC_CTYPE {}", literal(&facts.collate), literal(&facts.ctype));
    if version < WITH_PROVIDER {
        return text;
    }
    let name = facts.locale.as_deref().map(literal);
    text.push_str(match facts.provider.as_str() {
        "i" => " LOCALE_PROVIDER icu",
        "b" => " LOCALE_PROVIDER builtin",
        _ => " LOCALE_PROVIDER libc",
    });
    match (facts.provider.as_str(), name) {
        ("i", Some(name)) => text.push_str(&format!(" ICU_LOCALE {name}")),
        ("b", Some(name)) => text.push_str(&format!(" BUILTIN_LOCALE {name}")),
        _ => {}
    }
    if let Some(rules) = &facts.icu_rules {
        text.push_str(&format!(" ICU_RULES {}", literal(rules)));
    }
    text
}

/// Gives a database that was created what its own settings and rights were. Returns what the server refused.
pub fn adorn(session: &Session, name: &str, facts: &Facts) -> Result<Vec<String>> {
    let place = quoted(name);
    let mut statements = Vec::new();
    if let Some(comment) = &facts.comment {
        statements.push(("its comment", format!("COMMENT ON DATABASE {place} IS {}", literal(comment))));
    }
    if facts.connections_max >= 0 {
        let limit = format!("ALTER DATABASE {place} CONNECTION LIMIT {}", facts.connections_max);
        statements.push(("its limit of connections", limit));
    }
    for setting in &facts.settings {
        let of = match &setting.role {
            Some(role) => format!("ALTER ROLE {} IN DATABASE {place}", quoted(role)),
            None => format!("ALTER DATABASE {place}"),
        };
        // Taken from the session it is read as a value, whatever its kind of list or quotes is.
        let (variable, value) = (literal(&setting.name), literal(&setting.value));
        let sql = format!(
            "BEGIN; SELECT pg_catalog.set_config({variable}, {value}, true); {of} SET {} FROM CURRENT; COMMIT",
            setting.name.split('.').map(quoted).collect::<Vec<_>>().join(".")
        );
        statements.push(("a setting", sql));
    }
    if let Some(rights) = &facts.rights {
        statements.push(("its rights", format!("REVOKE ALL ON DATABASE {place} FROM PUBLIC")));
        statements.extend(rights.iter().map(|right| ("a right", grant(&place, right))));
    }
    let roles: Vec<String> = {
        let rows: Vec<Row> =
            session.rows("its roles", "SELECT rolname::text FROM pg_catalog.pg_roles", &[])?;
        rows.iter().map(|row| session.column("its roles", row, 0)).collect::<Result<_>>()?
    };
    // Last, as the new owner may forbid the rest.
    if roles.contains(&facts.owner) {
        statements.push(("its owner", format!("ALTER DATABASE {place} OWNER TO {}", quoted(&facts.owner))));
    }
    let mut refused = Vec::new();
    for (what, sql) in statements {
        if let Err((_, why)) = session.attempt(&sql)? {
            refused.push(format!("the database {name} lacks {what}: {why}"));
            session.execute("a transaction", "ROLLBACK")?;
        }
    }
    Ok(refused)
}

fn grant(place: &str, right: &Right) -> String {
    let to = right.role.as_deref().map_or_else(|| "PUBLIC".to_owned(), quoted);
    let more = if right.may_grant { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {} ON DATABASE {place} TO {to}{more}", right.right)
}
