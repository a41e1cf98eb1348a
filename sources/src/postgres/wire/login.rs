//! Getting in: which socket, encryption, and who the user is.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use keepfast_process::Cancel;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message as Raw;
use postgres_protocol::message::frontend;
use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use super::connection::{Connection, Message, Stream};
use super::socket::Socket;
use crate::address::{Address, Place, Tls};
use crate::error::{Result, SourceError};
use crate::tls;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Commands of replication alone. `pg_hba.conf` has its own lines for it.
    Replication,
    /// Queries.
    Queries,
}

/// Connects, and gets in as the address says. Later waits have no limit but the end of the run.
pub(crate) fn connect(to: &Address, mode: Mode, patience: Duration, cancel: &Cancel) -> Result<Connection> {
    let server = to.to_string();
    let failed = |why: String| {
        if cancel.is_cancelled() {
            return SourceError::Cancelled;
        }
        SourceError::Connect { server: server.clone(), why }
    };
    let stream = stream(to, patience, cancel).map_err(|error| failed(error.to_string()))?;
    let mut connection = Connection::new(stream, server.clone(), cancel);
    log_in(&mut connection, to, mode).map_err(|error| match error {
        SourceError::Server { why, .. } => failed(why),
        other => other,
    })?;
    connection.stream.set_patience(None);
    Ok(connection)
}

fn stream(to: &Address, patience: Duration, cancel: &Cancel) -> io::Result<Stream> {
    let (host, port) = match &to.place {
        Place::Socket { path, port } => {
            let socket = Socket::unix(&path.join(format!(".s.PGSQL.{port}")), patience, cancel)?;
            return Ok(Stream::Plain(socket));
        }
        Place::Server { host, port } => (host, port.get()),
        Place::File(_) => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a file isn't a server"));
        }
    };
    let mut socket = Socket::tcp(host, port, patience, cancel)?;
    if to.tls == Tls::Off {
        return Ok(Stream::Plain(socket));
    }
    let mut question = BytesMut::new();
    frontend::ssl_request(&mut question);
    io::Write::write_all(&mut socket, &question)?;
    // One byte and no more: what came behind it before encryption begins would be another's.
    let mut answer = [0];
    socket.read_exact(&mut answer)?;
    match (&answer, to.tls) {
        (b"S", _) => {
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let config = Arc::new(tls::config(to)?);
            let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
            while connection.is_handshaking() {
                connection.complete_io(&mut socket)?;
            }
            Ok(Stream::Encrypted(StreamOwned::new(connection, socket)))
        }
        (b"N", Tls::Verify) => Err(io::Error::other("the server doesn't encrypt, and `tls` is `verify`")),
        (b"N", _) => Ok(Stream::Plain(socket)),
        _ => Err(io::Error::other("it doesn't speak as PostgreSQL does")),
    }
}

fn log_in(connection: &mut Connection, to: &Address, mode: Mode) -> Result<()> {
    const WHAT: &str = "connecting";
    let user = to.user.as_deref().unwrap_or("postgres");
    let mut parameters = vec![("user", user), ("application_name", "keepfast"), ("client_encoding", "UTF8")];
    match mode {
        Mode::Replication => parameters.push(("replication", "true")),
        Mode::Queries => parameters.push(("database", to.database.as_deref().unwrap_or("postgres"))),
    }
    connection.send(WHAT, |buffer| frontend::startup_message(parameters, buffer))?;
    loop {
        let Message::Other(message) = connection.receive(WHAT)? else {
            return Err(connection.refused(WHAT, "the server sends data before it has let the user in"));
        };
        match message {
            Raw::AuthenticationOk | Raw::BackendKeyData(_) => {}
            Raw::ReadyForQuery(_) => return Ok(()),
            Raw::AuthenticationCleartextPassword => {
                if !connection.stream.is_encrypted() && matches!(to.place, Place::Server { .. }) {
                    let why = "the server wants the password in clear text over a connection that isn't encrypted: \
                               set `password_encryption` to `scram-sha-256` there, or `tls` to `verify` here";
                    return Err(connection.refused(WHAT, why));
                }
                let password = password(connection, to)?;
                connection.send(WHAT, |buffer| frontend::password_message(password.as_bytes(), buffer))?;
            }
            Raw::AuthenticationMd5Password(body) => {
                let hash = md5_hash(user.as_bytes(), password(connection, to)?.as_bytes(), body.salt());
                connection.send(WHAT, |buffer| frontend::password_message(hash.as_bytes(), buffer))?;
            }
            Raw::AuthenticationSasl(body) => {
                let offered: Vec<String> = body
                    .mechanisms()
                    .map(|name| Ok(name.to_owned()))
                    .collect()
                    .map_err(|error| connection.broken(WHAT, &error))?;
                if !offered.iter().any(|name| name == SCRAM_SHA_256) {
                    let why = format!(
                        "the server knows only {}, and this program SCRAM-SHA-256",
                        offered.join(", ")
                    );
                    return Err(connection.refused(WHAT, why));
                }
                let password = password(connection, to)?.to_owned();
                scram(connection, WHAT, &zeroize::Zeroizing::new(password))?;
            }
            Raw::AuthenticationGss | Raw::AuthenticationSspi | Raw::AuthenticationKerberosV5 => {
                return Err(
                    connection.refused(WHAT, "the server wants Kerberos, which this program doesn't know")
                );
            }
            _ => return Err(connection.refused(WHAT, "the server answers what no server should")),
        }
    }
}

fn password<'a>(connection: &Connection, to: &'a Address) -> Result<&'a str> {
    let password = to.password.as_ref().map(crate::address::Password::reveal);
    password.ok_or_else(|| connection.refused("connecting", "the server wants a password, and none is given"))
}

/// Proves that both sides know the password, without sending it.
fn scram(connection: &mut Connection, what: &str, password: &str) -> Result<()> {
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    connection
        .send(what, |buffer| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), buffer))?;
    let strange = "the server answers what no server should";
    let Message::Other(Raw::AuthenticationSaslContinue(body)) = connection.receive(what)? else {
        return Err(connection.refused(what, strange));
    };
    scram.update(body.data()).map_err(|error| connection.broken(what, &error))?;
    connection.send(what, |buffer| frontend::sasl_response(scram.message(), buffer))?;
    let Message::Other(Raw::AuthenticationSaslFinal(body)) = connection.receive(what)? else {
        return Err(connection.refused(what, strange));
    };
    scram.finish(body.data()).map_err(|error| connection.broken(what, &error))
}
