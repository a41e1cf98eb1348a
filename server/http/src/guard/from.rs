//! From where a request comes.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::request::Parts;
use keepfast_server::access::Surroundings;

use crate::answer::{Failure, Result};

/// From where a request comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// The address; that of this machine over a socket in the file system.
    pub address: IpAddr,
    /// What the program calls itself.
    pub agent: String,
}

impl Default for From {
    fn default() -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST), agent: String::new() }
    }
}

impl From {
    /// That of a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// As signing in takes it.
    #[must_use]
    pub fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { address: self.address, agent: &self.agent }
    }
}

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self::of(&parts.extensions))
    }
}
