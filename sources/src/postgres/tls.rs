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
    config(address).map(MakeRustlsConnect::new)
}

/// How connections to this server are encrypted.
pub fn config(address: &Address) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let failed = |why: Error| SourceError::Connect { server: address.to_string(), why: why.to_string() };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
    Ok(if address.tls == Tls::Verify {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted(address)?);
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        let any = Arc::new(AnyCertificate(provider));
        builder.dangerous().with_custom_certificate_verifier(any).with_no_client_auth()
    })
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
