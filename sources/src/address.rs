//! Which database of which server is meant: `postgres://ann@db.example.org:5432/shop`, as a value.

use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use crate::engine::Engine;
use crate::error::{AddressError, Result};

/// A password. It isn't shown, and is wiped from memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// A password that was read.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Its text, for a connection.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Where a server or a database file is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the network.
    Server {
        /// A name or an address.
        host: String,
        /// The port.
        port: NonZeroU16,
    },
    /// A socket in the file system: for PostgreSQL the folder in which it is.
    Socket {
        /// The path.
        path: PathBuf,
        /// With PostgreSQL, the port is a part of the socket's name.
        port: NonZeroU16,
    },
    /// A file of SQLite.
    File(PathBuf),
}

/// Whether a connection is encrypted. A socket and a file never are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// It never is.
    Off,
    /// If the server can; its certificate isn't checked, so this helps against those who only listen.
    #[default]
    Prefer,
    /// Always, and the server's certificate must be right.
    Verify,
}

/// How to reach a database, or all databases of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Which kind.
    pub engine: Engine,
    /// Where it is.
    pub place: Place,
    /// Who connects.
    #[serde(default)]
    pub user: Option<String>,
    /// The database; none means all, or the one that the engine takes without a name.
    #[serde(default)]
    pub database: Option<String>,
    /// The user's password. It is never written.
    #[serde(skip)]
    pub password: Option<Password>,
    /// Whether the connection is encrypted.
    #[serde(default)]
    pub tls: Tls,
    /// Certificates in PEM, of authorities to trust in addition to the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl Address {
    /// Reads `ENGINE://[USER@]HOST[:PORT][/DATABASE][?socket=PATH&tls=off|prefer|verify&ca_file=PATH]`, or
    /// `sqlite:///PATH`. Percent signs stand as in any address. A password in it is refused: others on the machine could
    /// read it.
    pub fn parse(text: &str) -> Result<Self> {
        parse::address(text).map_err(|why| AddressError { text: parse::without_password(text), why }.into())
    }

    /// What is reached within this machine: without a password, and without encryption.
    #[must_use]
    pub fn local(engine: Engine, place: Place, user: Option<&str>) -> Self {
        Self {
            engine,
            place,
            user: user.map(str::to_owned),
            database: None,
            password: None,
            tls: Tls::Off,
            ca_file: None,
        }
    }

    /// A file of SQLite.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self::local(Engine::Sqlite, Place::File(path), None)
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        Self { database: Some(name.to_owned()), ..self.clone() }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.engine.name())?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match &self.place {
            Place::Server { host, port } if host.contains(':') => write!(f, "[{host}]:{port}")?,
            Place::Server { host, port } => write!(f, "{host}:{port}")?,
            Place::Socket { path, .. } => write!(f, "{}", path.display())?,
            Place::File(path) => write!(f, "{}", path.display())?,
        }
        self.database.as_ref().map_or(Ok(()), |name| write!(f, "/{name}"))
    }
}

/// Reading addresses.
mod parse {
    use std::collections::BTreeMap;
    use std::num::NonZeroU16;
    use std::path::PathBuf;

    use super::{Address, Engine, Place, Tls};

    /// The text as messages may show it.
    pub fn without_password(text: &str) -> String {
        match (text.split_once("://"), text.rsplit_once('@')) {
            (Some((engine, rest)), Some((before, behind))) if rest.contains('@') => {
                let user = before.split_once("://").map_or("", |(_, user)| user);
                let user = user.split(':').next().unwrap_or("");
                format!("{engine}://{user}@{behind}")
            }
            _ => text.to_owned(),
        }
    }

    pub fn address(text: &str) -> Result<Address, String> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no `ENGINE://`")?;
        let engine = engine(scheme)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut options = options(query)?;
        if engine == Engine::Sqlite {
            let path = PathBuf::from(decoded(rest)?);
            if !path.is_absolute() {
                return Err("the path of a SQLite file is absolute: `sqlite:///srv/app/data.db`".to_owned());
            }
            refuse_others(&options)?;
            return Ok(Address::file(path));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, server) = match authority.rsplit_once('@') {
            Some((user, server)) => (Some(user), server),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(
                "it has a password, which others could read: give the password by a file or a command"
                    .to_owned(),
            );
        }
        let (host, port) = host_and_port(server)?;
        let port = port.or(engine.usual_port()).ok_or("it has no port")?;
        let place = match options.remove("socket") {
            Some(path) => Place::Socket { path: path.into(), port },
            None => Place::Server { host: if host.is_empty() { "localhost".to_owned() } else { host }, port },
        };
        let tls = match options.remove("tls").as_deref() {
            None | Some("prefer") => Tls::Prefer,
            Some("off") => Tls::Off,
            Some("verify") => Tls::Verify,
            Some(other) => return Err(format!("tls is off, prefer or verify, and not {other}")),
        };
        let ca_file = options.remove("ca_file").map(PathBuf::from);
        refuse_others(&options)?;
        let user = user.map(decoded).transpose()?.filter(|user| !user.is_empty());
        let database = Some(decoded(path)?).filter(|name| !name.is_empty());
        Ok(Address { engine, place, user, database, password: None, tls, ca_file })
    }

    fn engine(scheme: &str) -> Result<Engine, String> {
        match scheme {
            "postgresql" => Ok(Engine::Postgres),
            "valkey" => Ok(Engine::Redis),
            _ => Engine::ALL
                .into_iter()
                .find(|engine| engine.name() == scheme)
                .ok_or_else(|| format!("{scheme} isn't one of {}", Engine::ALL.map(Engine::name).join(", "))),
        }
    }

    fn options(query: &str) -> Result<BTreeMap<String, String>, String> {
        let mut options = BTreeMap::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("{part} has no `=`"))?;
            options.insert(decoded(name)?, decoded(value)?);
        }
        Ok(options)
    }

    fn refuse_others(options: &BTreeMap<String, String>) -> Result<(), String> {
        match options.keys().next() {
            Some(name) => Err(format!("{name} isn't one of socket, tls, ca_file")),
            None => Ok(()),
        }
    }

    fn host_and_port(text: &str) -> Result<(String, Option<NonZeroU16>), String> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']').ok_or("an address in `[` has no `]`")?;
                (host.to_owned(), behind.strip_prefix(':').filter(|port| !port.is_empty()))
            }
            None => match text.rsplit_once(':') {
                Some((host, port)) => (decoded(host)?, Some(port)),
                None => (decoded(text)?, None),
            },
        };
        let port = port.map(|port| port.parse().map_err(|_| format!("{port} isn't a port")));
        Ok((host, port.transpose()?))
    }

    fn decoded(text: &str) -> Result<String, String> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, more)) = rest.split_first() {
            rest = more;
            if *first != b'%' {
                bytes.push(*first);
                continue;
            }
            let digits = rest.get(..2).and_then(|digits| str::from_utf8(digits).ok());
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            bytes.push(byte.ok_or_else(|| format!("{text} has a `%` without two digits"))?);
            rest = rest.get(2..).unwrap_or(&[]);
        }
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(text),
            _ => Err(format!("{text} isn't text")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Engine, Place, Tls};

    fn read(text: &str) -> Address {
        Address::parse(text).expect(text)
    }

    #[test]
    fn addresses_are_read_and_shown_without_secrets() {
        let shop = read("postgres://ann@db.example.org/shop?tls=verify");
        assert_eq!(
            (shop.engine, shop.tls, shop.database.as_deref()),
            (Engine::Postgres, Tls::Verify, Some("shop"))
        );
        assert_eq!(shop.to_string(), "postgres://ann@db.example.org:5432/shop");
        let all = read("mariadb://root@localhost?socket=/run/mysqld/mysqld.sock");
        assert!(matches!(&all.place, Place::Socket { path, .. } if path.ends_with("mysqld.sock")));
        assert_eq!(all.database, None);
        assert_eq!(read("redis://[::1]:7000").to_string(), "redis://[::1]:7000");
        assert_eq!(read("sqlite:///srv/a%20b.db").place, Place::File("/srv/a b.db".into()));
        assert_eq!(read("postgresql:///x").place, read("postgres://localhost/x").place);
    }

    #[test]
    fn what_is_no_address_or_has_a_password_is_refused_and_the_password_not_shown() {
        for (text, why) in [
            ("shop", "ENGINE://"),
            ("oracle://x", "isn't one of postgres"),
            ("sqlite://data.db", "absolute"),
            ("postgres://ann:s3cret@db/shop", "password"),
            ("postgres://ann:s3@cret@db/shop", "password"),
            ("postgres://db:99999/shop", "isn't a port"),
            ("postgres://db/a%2", "two digits"),
            ("postgres://db/a%00b", "isn't text"),
            ("postgres://db/x?sslmode=off", "sslmode isn't one of"),
        ] {
            let error = Address::parse(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("s3"), "{error}");
        }
    }
}
