//! The session object, which announces a writing run.

use serde_cbor::Value;

use crate::FormatError;
use crate::cbor::{self, Fields};
use crate::ids::{RepositoryId, SessionId};
use crate::keys::Identity;
use crate::signed::{self, Envelope, SignedKind};

/// What a writing run says about itself when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, which is also part of the names of its packs, index segments and snapshot.
    pub id: SessionId,
    /// The number of the config that it uses.
    pub config_n: u32,
    /// The program's name and version, for people.
    pub program: String,
    /// When it began, in seconds since 1970 by the machine's clock. A collector uses it as a hint for how
    /// long to wait; no rule of safety depends on it.
    pub begun_unix_s: Option<i64>,
    /// Whether it moves chunks for a garbage collection and so commits no snapshot. A hint: no other run
    /// has to let it finish first.
    pub is_collector: bool,
}

impl Session {
    /// The stored bytes: encoded and signed by the writer.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, writer: &Identity) -> Vec<u8> {
        let fields = Fields::new()
            .bytes(1, &self.id.to_bytes())
            .uint(2, self.config_n.into())
            .text(3, &self.program)
            .maybe(self.begun_unix_s, |fields, begun| fields.with(-1, Value::Integer(begun.into())))
            .maybe(self.is_collector.then_some(true), |fields, yes| fields.with(-2, Value::Bool(yes)));
        signed::seal_fields(SignedKind::Session, repository, writer, fields)
    }

    /// Reads a session object and checks that `writer` signed it.
    pub fn open(bytes: &[u8], repository: RepositoryId, writer: &[u8; 32]) -> Result<Self, FormatError> {
        let envelope = Envelope::decode(bytes)?;
        let mut fields = envelope.fields(SignedKind::Session, repository, writer)?;
        let session = Self {
            id: SessionId::from_bytes(&fields.fixed(1)?),
            config_n: fields.u32(2)?,
            program: fields.text(3)?,
            begun_unix_s: fields.optional(-1).as_ref().and_then(cbor::as_int),
            is_collector: fields.optional(-2) == Some(Value::Bool(true)),
        };
        fields.finish()?;
        if session.id.writer != envelope.signer() {
            return Err(SignedKind::Session.not_authentic());
        }
        Ok(session)
    }
}
