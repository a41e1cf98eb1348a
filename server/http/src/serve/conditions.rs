//! Under which conditions the server listens, and how callers reach it.

use std::io;
use std::net::SocketAddr;

use keepfast_config::model::server::Server;
use keepfast_config::values::address::Listen;

/// Why the server doesn't listen.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Others than programs of this machine would reach it, and could read what is sent.
    #[error(
        "the API isn't served at {address}: beyond this machine it needs `tls` in [server], or a proxy that speaks TLS \
         and `behind_proxy = true`"
    )]
    Plain {
        /// The address.
        address: String,
    },
    /// Others than programs of this machine would reach it before there is anyone who may.
    #[error(
        "the API isn't served at {address}: it has no users yet. Add one with `keepfast user add NAME --role admin`; \
         it begins within seconds then"
    )]
    NoUsers {
        /// The address.
        address: String,
    },
    /// It can't be listened at.
    #[error("the API can't be served at {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The certificate or its key can't be used.
    #[error("the API isn't served: the certificate can't be used: {0}")]
    Certificate(String),
    /// The state can't be read.
    #[error("the API isn't served: {0}")]
    State(String),
}

/// Where the server listens, and what stands between it and callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// Where it listens, as text.
    pub address: String,
    /// Whether only programs of this machine reach it.
    pub is_local: bool,
    /// Whether it encrypts itself.
    pub has_tls: bool,
    /// Whether a proxy in front of it does.
    pub behind_proxy: bool,
    /// The address by which people reach it.
    pub public_url: Option<String>,
}

impl Conditions {
    /// Those that the definition of a server says.
    #[must_use]
    pub fn of(server: &Server) -> Self {
        Self {
            address: match &server.listen.value {
                Listen::Socket(address) => address.to_string(),
                Listen::Unix(path) => path.display().to_string(),
            },
            is_local: server.listen.value.is_local(),
            has_tls: server.tls.is_some(),
            behind_proxy: server.behind_proxy,
            public_url: server.public_url.as_ref().map(|url| url.0.trim_end_matches('/').to_owned()),
        }
    }

    /// Refuses to listen where that would be dangerous.
    ///
    /// # Errors
    /// It would be.
    pub fn check(&self, has_users: bool) -> Result<(), Refusal> {
        let address = || self.address.clone();
        match () {
            () if self.is_local => Ok(()),
            () if !self.has_tls && !self.behind_proxy => Err(Refusal::Plain { address: address() }),
            () if !has_users => Err(Refusal::NoUsers { address: address() }),
            () => Ok(()),
        }
    }

    /// Whether the way between a browser and the server is encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.has_tls
            || self.behind_proxy
            || self.public_url.as_ref().is_some_and(|url| url.starts_with("https:"))
    }

    /// The address to open.
    #[must_use]
    pub fn url(&self, bound: Option<SocketAddr>) -> String {
        match (&self.public_url, bound) {
            (Some(url), _) => url.clone(),
            (None, Some(address)) if self.has_tls => format!("https://{address}"),
            (None, Some(address)) => format!("http://{address}"),
            (None, None) => self.address.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Conditions, Refusal};

    #[test]
    fn beyond_this_machine_it_takes_encryption_and_a_user() {
        let conditions = |is_local, has_tls, behind_proxy| Conditions {
            address: "0.0.0.0:8400".to_owned(),
            is_local,
            has_tls,
            behind_proxy,
            public_url: None,
        };
        assert!(conditions(true, false, false).check(false).is_ok());
        assert!(matches!(conditions(false, false, false).check(true), Err(Refusal::Plain { .. })));
        assert!(matches!(conditions(false, true, false).check(false), Err(Refusal::NoUsers { .. })));
        assert!(matches!(conditions(false, false, true).check(false), Err(Refusal::NoUsers { .. })));
        assert!(conditions(false, true, false).check(true).is_ok());
        assert!(conditions(false, false, true).check(true).is_ok());
    }
}
