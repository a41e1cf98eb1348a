//! Encrypted connections: whom they trust, for our own connections and for those of PostgreSQL's programs.

use std::sync::Arc;

use data_encoding::BASE64;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{Address, Tls};
use crate::error::{Result, SourceError};

/// What encrypts connections to this server.
pub fn connector(address: &Address) -> Result<MakeRustlsConnect> {
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
    for certificate in trusted(address)? {
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

/// The system's certificates, and those of the address.
fn trusted(address: &Address) -> Result<Vec<CertificateDer<'static>>> {
    let mut certificates = rustls_native_certs::load_native_certs().certs;
    if let Some(path) = &address.ca_file {
        let failed = |why: rustls_pki_types::pem::Error| SourceError::Connect {
            server: address.to_string(),
            why: format!("the certificates in {} can't be read: {why}", path.display()),
        };
        for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
            certificates.push(certificate.map_err(failed)?);
        }
    }
    Ok(certificates)
}

/// Takes each certificate, but the server must have its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
