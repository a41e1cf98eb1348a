//! Encrypted connections as PostgreSQL's client and its programs want them.

use std::io;

use data_encoding::BASE64;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::Address;
use crate::error::{Result, SourceError};
use crate::tls;

/// What encrypts connections to this server.
pub fn connector(address: &Address) -> Result<MakeRustlsConnect> {
    tls::config(address).map(MakeRustlsConnect::new).map_err(|why| refused(address, &why))
}

/// The certificates that are trusted, as a file of PEM: a program of PostgreSQL reads one file.
pub fn trusted_pem(address: &Address) -> Result<Vec<u8>> {
    let mut pem = String::new();
    for certificate in tls::trusted(address).map_err(|why| refused(address, &why))? {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = BASE64.encode(&certificate);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    Ok(pem.into_bytes())
}

fn refused(address: &Address, why: &io::Error) -> SourceError {
    SourceError::Connect { server: address.to_string(), why: why.to_string() }
}
