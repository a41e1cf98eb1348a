//! Encrypted connections of clients that this program has itself.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};
use rustls_pki_types::pem::PemObject;

use crate::address::{Address, Tls};

/// A connection that is encrypted.
pub type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// Makes a connection an encrypted one. The certificate is checked if the address wants it. The handshake comes with the
/// first bytes.
pub fn encrypted(of: &Address, host: &str, stream: TcpStream) -> Result<Encrypted, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match of.tls {
        Tls::Verify => config.with_root_certificates(authorities(of)?),
        Tls::Prefer | Tls::Off => {
            config.dangerous().with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
        }
    };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host} can't be the name in a certificate"))?;
    let connection = ClientConnection::new(Arc::new(config.with_no_client_auth()), name)
        .map_err(|error| error.to_string())?;
    Ok(StreamOwned::new(connection, stream))
}

/// Those that the system trusts, and those of the address.
fn authorities(of: &Address) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // What the system has of them may be unreadable in part: then the certificate is refused if it needs that part.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &of.ca_file {
        let bad = |why: String| format!("{}: {why}: it must hold certificates in PEM", path.display());
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
        }
    }
    Ok(roots)
}

/// Takes any certificate: it helps against those who only listen.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
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
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a server answers to an encrypted greeting. One that can't be reached at all is an error.
pub fn answers(of: &Address, host: &str, port: u16, timeout: Duration) -> Result<bool, String> {
    let mut addresses = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
    let tried = addresses.try_fold(None, |_, address| match TcpStream::connect_timeout(&address, timeout) {
        Ok(stream) => Err(stream),
        Err(error) => Ok(Some(error.to_string())),
    });
    let stream = match tried {
        Err(stream) => stream,
        Ok(why) => return Err(why.unwrap_or_else(|| format!("{host} has no address"))),
    };
    let waits = stream.set_read_timeout(Some(timeout)).and_then(|()| stream.set_write_timeout(Some(timeout)));
    waits.map_err(|error| error.to_string())?;
    let mut encrypted = encrypted(of, host, stream)?;
    let Encrypted { conn, sock, .. } = &mut encrypted;
    Ok(conn.complete_io(sock).is_ok())
}
