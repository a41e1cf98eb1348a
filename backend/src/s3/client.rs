//! Makes the SDK's client. The SDK's own repeats and checks are off: this module's know more about the store.

use std::io;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::bounded::BoundedAnswers;
use super::options::S3Options;
use crate::BackendErrorKind;
use crate::error::Failed;

/// The region for stores without regions.
const REGION_OF_OTHERS: &str = "us-east-1";

/// Makes a client from the options. Keys and region come from the usual sources if the options lack them.
pub(super) async fn client(options: &S3Options) -> Result<Client, Failed> {
    let http = http_client(options)?;
    let region = RegionProviderChain::first_try(options.region.clone().map(Region::new));
    // Machines outside AWS have no metadata service, and a request to it takes seconds to fail.
    let region = match &options.endpoint {
        Some(_) => region
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::new(REGION_OF_OTHERS)),
        None => region.or_default_provider(),
    };
    let timeouts = TimeoutConfig::builder().connect_timeout(options.connect_timeout).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &options.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(keys) = &options.credentials {
        let keys = Credentials::new(
            &keys.access_key,
            &keys.secret_key,
            keys.session_token.clone(),
            None,
            "keepfast",
        );
        loader = loader.credentials_provider(SharedCredentialsProvider::new(keys));
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(Failed::new(
            BackendErrorKind::Region,
            "no region for S3 is known: neither a setting nor AWS_REGION says it",
        ));
    }
    let path_style = options.path_style.unwrap_or(options.endpoint.is_some());
    let mut config =
        aws_sdk_s3::config::Builder::from(&shared).force_path_style(path_style).interceptor(BoundedAnswers);
    // Otherwise an address for S3 in the profile would override the given one.
    if let Some(endpoint) = &options.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}

fn http_client(options: &S3Options) -> Result<SharedHttpClient, Failed> {
    // The store may close a connection that has been idle for long at the moment when a request uses it.
    let idle = Duration::from_secs(20);
    let builder = aws_smithy_http_client::Builder::new().pool_idle_timeout(idle);
    let mut trust = TrustStore::default();
    if let Some(pem) = &options.ca_pem {
        check_certificates(pem)?;
        trust.add_pem_certificate(pem.clone());
    }
    let context = TlsContext::builder().with_trust_store(trust).build().map_err(io::Error::other)?;
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
    Ok(builder.tls_provider(provider).tls_context(context).build_https())
}

/// Checks certificates: the HTTP client panics if it can't read one.
fn check_certificates(pem: &[u8]) -> Result<(), Failed> {
    let bad = |why: &str| {
        let why = format!("the file with the authorities to trust {why}: it must hold certificates in PEM");
        Failed::new(BackendErrorKind::Certificates, why)
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| bad("can't be read"))?;
        roots.add(certificate).map_err(|_| bad("has a certificate that can't be read"))?;
    }
    if roots.is_empty() { Err(bad("has no certificate")) } else { Ok(()) }
}
