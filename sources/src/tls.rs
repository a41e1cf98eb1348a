//! Encrypted connections: whose certificates are trusted.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::address::{Address, Tls};

/// A connection that is encrypted.
pub(crate) type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// How connections are encrypted. The server's certificate is checked if the address wants it.
pub(crate) fn config(of: &Address) -> io::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    Ok(match of.tls {
        Tls::Verify => {
            let mut roots = RootCertStore::empty();
            // A certificate of the system's that can't be read is one that isn't trusted.
            roots.add_parsable_certificates(trusted(of)?);
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Tls::Prefer | Tls::Off => {
            let anyone = Arc::new(Anyone(provider));
            builder.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth()
        }
    })
}

/// Makes a connection an encrypted one. The handshake comes with the first bytes.
pub(crate) fn encrypted(of: &Address, host: &str, stream: TcpStream) -> io::Result<Encrypted> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| io::Error::other(format!("{host} can't be the name in a certificate")))?;
    let connection = ClientConnection::new(Arc::new(config(of)?), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Whether a server answers to an encrypted greeting. One that can't be reached at all is an error.
pub(crate) fn answers(of: &Address, host: &str, port: u16, timeout: Duration) -> io::Result<bool> {
    let mut failed = io::Error::other(format!("{host} has no address"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                let mut encrypted = encrypted(of, host, stream)?;
                return Ok(encrypted.conn.complete_io(&mut encrypted.sock).is_ok());
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The certificates of authorities that the system trusts, and those of the address.
pub(crate) fn trusted(of: &Address) -> io::Result<Vec<CertificateDer<'static>>> {
    let mut certificates = rustls_native_certs::load_native_certs().certs;
    if let Some(file) = &of.ca_file {
        let unreadable = |why: rustls_pki_types::pem::Error| {
            io::Error::other(format!("the certificates in {} can't be read: {why}", file.display()))
        };
        for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
            certificates.push(certificate.map_err(unreadable)?);
        }
    }
    Ok(certificates)
}

/// Takes any certificate: this keeps out those who only listen.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
