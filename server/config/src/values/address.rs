//! Addresses: of sockets, of pages, of repositories; paths.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use crate::decode::{Flaw, FromText};
use crate::files::Facts;
use crate::schema::TextShape;

/// Where a server listens: an address and a port, or a socket in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address of this machine.
    Socket(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Listen {
    /// Whether only programs of this machine reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Socket(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromText for Listen {
    const TEXT: TextShape = TextShape {
        what: "an address and a port, or a socket",
        examples: &["127.0.0.1:8400", "[::1]:8400", "unix:/run/keepfast/http.sock"],
    };

    fn read(text: &str, facts: &dyn Facts) -> Result<Self, Flaw> {
        if let Some(path) = text.strip_prefix("unix:") {
            return AbsolutePath::read(path, facts).map(|path| Self::Unix(path.0));
        }
        let numbers = text.strip_prefix("localhost").map(|rest| format!("127.0.0.1{rest}"));
        let address = numbers.as_deref().unwrap_or(text).parse().map(Self::Socket);
        address.map_err(|_| Flaw::new("an address is in numbers, with a port behind it"))
    }
}

/// The address of a page or an interface: `https://backup.example.org`. Nothing in it is secret: it has no user and no
/// password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(pub String);

impl Url {
    /// Whether what is sent there can be read on the way.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.starts_with("http:")
    }
}

impl FromText for Url {
    const TEXT: TextShape = TextShape { what: "an address", examples: &["https://backup.example.org"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or_else(|| Flaw::new("it begins with `https://` or `http://`"))?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            return Err(Flaw::new("it has a password in it").help(
                "leave user and password out; a key that takes a secret takes a reference to all of it",
            ));
        }
        let name = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            Some((address, port)) => address.parse::<std::net::Ipv6Addr>().ok().map(|_| port),
            None => {
                let end = host.find(':').unwrap_or(host.len());
                let is_part = |sign: char| sign.is_alphanumeric() || matches!(sign, '-' | '.' | '_');
                (end > 0 && host[..end].chars().all(is_part)).then(|| &host[end..])
            }
        };
        let port = name.ok_or_else(|| Flaw::new("it has no host"))?;
        let is_port =
            port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        if !is_port || text.chars().any(|sign| sign.is_whitespace() || sign.is_control()) {
            return Err(Flaw::default());
        }
        Ok(Self(text.to_owned()))
    }
}

/// Where a repository is: `/srv/backup`, `file:///srv/backup`, `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a directory.
    Directory(PathBuf),
    /// In a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// What all names begin with: empty, or without a slash at either end.
        prefix: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl FromText for Place {
    const TEXT: TextShape =
        TextShape { what: "the place of a repository", examples: &["s3://bucket/prefix", "/srv/backup"] };

    fn read(text: &str, facts: &dyn Facts) -> Result<Self, Flaw> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let is_part = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '.' | '_');
            if bucket.is_empty() || !bucket.chars().all(is_part) {
                return Err(Flaw::new("it has no name of a bucket"));
            }
            let prefix = prefix.trim_matches('/').to_owned();
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix });
        }
        let path = match text.split_once("://") {
            Some(("file", path)) => path,
            Some(_) => return Err(Flaw::new("places begin with `/`, `file://` or `s3://`")),
            None => text,
        };
        AbsolutePath::read(path, facts).map(|path| Self::Directory(path.0))
    }
}

/// A path from the root down, without `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbsolutePath(pub PathBuf);

impl FromText for AbsolutePath {
    const TEXT: TextShape = TextShape { what: "a path from the root down", examples: &["/srv/www"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let path = Path::new(text);
        let goes_up = path.components().any(|part| part == Component::ParentDir);
        if text.contains('\0') || goes_up {
            return Err(Flaw::new("it has `..` or a NUL in it"));
        }
        if !path.is_absolute() {
            return Err(Flaw::new(
                "it doesn't begin with `/`: a server has no folder that it would begin in",
            ));
        }
        // One spelling for one path, so that paths can be compared.
        Ok(Self(path.components().collect()))
    }
}

/// The name or the number of a host, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host(pub String);

impl FromText for Host {
    const TEXT: TextShape = TextShape { what: "the name of a host", examples: &["db.example.org", "::1"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let is_part = |sign: char| sign.is_alphanumeric() || matches!(sign, '-' | '.' | '_');
        let is_name = !text.is_empty() && text.chars().all(is_part);
        if is_name || text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        Err(Flaw::new("it has something else in it").help("port, user and password have keys of their own"))
    }
}

/// The address of a store, with or without `https://`, without user and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(pub String);

impl FromText for Endpoint {
    const TEXT: TextShape =
        TextShape { what: "the address of a store", examples: &["https://s3.example.org", "minio:9000"] };

    fn read(text: &str, facts: &dyn Facts) -> Result<Self, Flaw> {
        let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        Url::read(&whole, facts).map(|_| Self(text.to_owned()))
    }
}

from_text!(Listen, Url, Place, AbsolutePath, Host, Endpoint);

#[cfg(test)]
mod tests {
    use super::{AbsolutePath, Endpoint, FromText, Host, Listen, PathBuf, Place, Url};
    use crate::testing::NoFacts;

    #[test]
    fn addresses_know_whether_they_are_local() {
        let is_local = |text| Listen::read(text, &NoFacts).map(|listen| listen.is_local());
        for local in ["127.0.0.1:8400", "[::1]:1", "unix:/run/x", "localhost:80"] {
            assert_eq!(is_local(local), Ok(true), "{local}");
        }
        assert_eq!(is_local("0.0.0.0:8400"), Ok(false));
        for wrong in ["", "8400", "127.0.0.1", "host:80", "unix:x", "127.0.0.1:99999"] {
            assert!(is_local(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_of_pages_have_a_host_and_no_password() {
        for right in
            ["https://example.org", "http://10.0.0.1:80/x?y=z", "https://[::1]:80/", "https://bücher.example"]
        {
            assert!(Url::read(right, &NoFacts).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "example.org",
            "ftp://x",
            "https://",
            "https://:80",
            "https://a b",
            "https://x:99999",
            "https://[x]/",
        ] {
            assert!(Url::read(wrong, &NoFacts).is_err(), "{wrong}");
        }
        let flaw = Url::read("https://me:pw@example.org", &NoFacts).expect_err("a password");
        assert!(!format!("{flaw:?}").contains("pw@"));
    }

    #[test]
    fn hosts_and_endpoints_have_no_password() {
        for right in ["mx", "db.example.org", "10.0.0.1", "::1"] {
            assert!(Host::read(right, &NoFacts).is_ok(), "{right}");
        }
        for wrong in ["", "mx:25", "smtp://mx", "me:pw@mx", "[::1]"] {
            assert!(Host::read(wrong, &NoFacts).is_err(), "{wrong}");
        }
        assert!(Endpoint::read("minio:9000", &NoFacts).is_ok());
        assert!(Endpoint::read("http://minio:9000", &NoFacts).is_ok());
        assert!(Endpoint::read("me:pw@minio:9000", &NoFacts).is_err());
    }

    #[test]
    fn places_are_directories_or_buckets() {
        let place = |text| Place::read(text, &NoFacts);
        assert_eq!(place("/srv//b/"), Ok(Place::Directory(PathBuf::from("/srv/b"))));
        assert_eq!(place("file:///srv/b"), Ok(Place::Directory(PathBuf::from("/srv/b"))));
        let s3 = place("s3://b/p/q/").expect("a bucket");
        assert_eq!(s3.to_string(), "s3://b/p/q");
        for wrong in ["", "srv", "s3://", "s3:///p", "sftp://x", "/a/../b"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert!(AbsolutePath::read("/a\0", &NoFacts).is_err());
    }
}
