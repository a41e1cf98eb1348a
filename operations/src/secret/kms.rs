//! Secrets that AWS KMS decrypts: one signed `Decrypt`. Credentials and region come from where those of a bucket come
//! from.

use std::time::SystemTime;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::tls;
use aws_types::service_config::ServiceConfigKey;
use data_encoding::BASE64;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde::Serialize;
use zeroize::Zeroizing;

use super::http::{Answer, Request, add, address, ask};
use super::json::{Found, find};
use super::source::KmsReference;
use super::waiting::{Patience, broken};
use crate::error::{FetchError, with_causes};

/// KMS takes no larger ciphertext.
const CIPHERTEXT_BYTES_MAX: usize = 6144;
const ACTION: &str = "TrentService.Decrypt";
const BODY_TYPE: &str = "application/x-amz-json-1.1";
/// The region for servers that have none.
const REGION_OF_OTHERS: &str = "us-east-1";
/// The name of an error is no longer than this.
const CODE_CHARS_MAX: usize = 64;

/// What is sent.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt<'r> {
    ciphertext_blob: &'r str,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    encryption_context: &'r std::collections::BTreeMap<String, String>,
}

/// Lets KMS decrypt the ciphertext. `now` is what the request is signed for.
pub fn fetch(
    reference: &KmsReference,
    now: SystemTime,
    patience: Patience<'_>,
) -> Result<Zeroizing<Vec<u8>>, FetchError> {
    let ciphertext: String = reference.ciphertext.split_whitespace().collect();
    let length = BASE64.decode(ciphertext.as_bytes()).map_or(0, |bytes| bytes.len());
    if !(1..=CIPHERTEXT_BYTES_MAX).contains(&length) {
        return Err(FetchError::Ciphertext { bytes_max: CIPHERTEXT_BYTES_MAX });
    }
    let body = Decrypt { ciphertext_blob: &ciphertext, encryption_context: &reference.context };
    let body = serde_json::to_vec(&body).map_err(broken)?;
    let answer = patience.wait_for(async || ask(signed(reference, body, now).await?).await)?;
    read(&answer)
}

/// The request, with what proves whose it is.
async fn signed(reference: &KmsReference, body: Vec<u8>, now: SystemTime) -> Result<Request, FetchError> {
    let settings = settings(reference).await;
    let region = settings.region().map(AsRef::as_ref).filter(|region| is_region(region));
    let region = region.ok_or(FetchError::Region)?;
    let url = url(reference, &settings, region)?;
    let credentials = credentials(&settings).await?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(BODY_TYPE));
    headers.insert(HeaderName::from_static("x-amz-target"), HeaderValue::from_static(ACTION));

    let not_signed = |why: String| FetchError::NotSigned { why };
    let identity = credentials.into();
    let signing = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("kms")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| not_signed(with_causes(&error)))?;
    let shown = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let signable = SignableRequest::new("POST", url.as_str(), shown, SignableBody::Bytes(&body))
        .map_err(|error| not_signed(with_causes(&error)))?;
    let (signature, _) =
        sign(signable, &signing.into()).map_err(|error| not_signed(with_causes(&error)))?.into_parts();
    for (name, value) in signature.headers() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(broken)?;
        add(&mut headers, name, value, "signature")?;
    }
    Ok(Request { method: Method::POST, url, headers, body })
}

/// What the environment, a profile or the machine says, where the reference doesn't.
async fn settings(reference: &KmsReference) -> SdkConfig {
    let region = RegionProviderChain::first_try(reference.region.clone().map(Region::new));
    // Machines outside AWS have no metadata service, and a request to it takes seconds to fail.
    let region = match &reference.endpoint {
        Some(_) => region
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::new(REGION_OF_OTHERS)),
        None => region.or_default_provider(),
    };
    let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
    let client = aws_smithy_http_client::Builder::new().tls_provider(provider).build_https();
    aws_config::defaults(BehaviorVersion::latest()).region(region).http_client(client).load().await
}

async fn credentials(settings: &SdkConfig) -> Result<Credentials, FetchError> {
    let none = |why: String| FetchError::NoAwsCredentials { why };
    let provider = settings.credentials_provider();
    let provider = provider.ok_or_else(|| none("nothing gives them".to_owned()))?;
    provider.provide_credentials().await.map_err(|error| none(with_causes(&error)))
}

/// Where KMS is: where the reference says, else where the environment or a profile says, else where AWS has it.
fn url(reference: &KmsReference, settings: &SdkConfig, region: &str) -> Result<Url, FetchError> {
    let key = ServiceConfigKey::builder().service_id("KMS").env("AWS_ENDPOINT_URL").profile("endpoint_url");
    let of_service = || settings.service_config()?.load_config(key.build().ok()?);
    let said = reference.endpoint.clone().or_else(of_service);
    let said = said.or_else(|| settings.endpoint_url().map(str::to_owned));
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    address(&said.unwrap_or_else(|| format!("https://kms.{region}.{domain}/")), "address of KMS")
}

/// Whether it can be a part of a host's name.
fn is_region(region: &str) -> bool {
    let is_part = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-';
    !region.is_empty() && region.chars().all(is_part)
}

fn read(answer: &Answer) -> Result<Zeroizing<Vec<u8>>, FetchError> {
    let server = || answer.server.clone();
    if answer.status.is_redirection() {
        return Err(FetchError::Redirected { server: server() });
    }
    if !answer.status.is_success() {
        return Err(refusal(answer));
    }
    let not_understood = || FetchError::NotUnderstood { server: server(), expected: "that of KMS" };
    let Ok(Found::Text(encoded)) = find(&answer.body, &["Plaintext"]) else { return Err(not_understood()) };
    let length = BASE64.decode_len(encoded.len()).map_err(|_| not_understood())?;
    let mut bytes = Zeroizing::new(vec![0; length]);
    let length = BASE64.decode_mut(encoded.as_bytes(), &mut bytes).map_err(|_| not_understood())?;
    bytes.truncate(length);
    Ok(bytes)
}

/// What an error of KMS means.
fn refusal(answer: &Answer) -> FetchError {
    let (server, status) = (answer.server.clone(), answer.status.as_u16());
    match code_of(answer) {
        Some(code) => match code.as_str() {
            "InvalidCiphertextException" => FetchError::Undecryptable { server, code },
            "NotFoundException"
            | "DisabledException"
            | "KMSInvalidStateException"
            | "InvalidKeyUsageException"
            | "IncorrectKeyException" => FetchError::Key { server, code },
            "AccessDeniedException"
            | "AccessDenied"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidGrantTokenException"
            | "OptInRequired" => FetchError::DeniedByKms { server, code },
            "ThrottlingException"
            | "LimitExceededException"
            | "KeyUnavailableException"
            | "DependencyTimeoutException"
            | "KMSInternalException" => FetchError::Unavailable { server, status, is_sealed: false },
            _ if answer.status.is_server_error() => {
                FetchError::Unavailable { server, status, is_sealed: false }
            }
            _ => FetchError::Refused { server, status, code: Some(code) },
        },
        None if answer.status.is_server_error() || matches!(status, 408 | 429) => {
            FetchError::Unavailable { server, status, is_sealed: false }
        }
        // A gateway in front of KMS may say no in its own words.
        None if matches!(status, 401 | 403) => FetchError::DeniedByKms { server, code: status.to_string() },
        None => FetchError::Refused { server, status, code: None },
    }
}

/// The name of an error: in a header, or in the body, behind the name of a schema.
fn code_of(answer: &Answer) -> Option<String> {
    let of_header = answer.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let of_body = match find(&answer.body, &["__type"]) {
        Ok(Found::Text(code)) => Some(code.to_string()),
        _ => None,
    };
    let code = of_header.map(str::to_owned).or(of_body)?;
    let code = code.split(':').next()?.rsplit('#').next()?;
    let is_name = code.chars().all(|sign| sign.is_ascii_alphanumeric()) && !code.is_empty();
    (is_name && code.len() <= CODE_CHARS_MAX).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::{Answer, HeaderMap, Zeroizing, is_region, read};
    use crate::error::SecretErrorKind;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            server: "kms".to_owned(),
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Zeroizing::new(body.as_bytes().to_owned()),
        }
    }

    #[test]
    fn errors_of_kms_say_what_would_have_to_change() {
        use SecretErrorKind::{Configuration, Credentials, Network};
        for (status, body, kind, said) in [
            (400, r#"{"__type": "com.amazonaws.kms#InvalidCiphertextException"}"#, Configuration, "context"),
            (400, r#"{"__type": "AccessDeniedException", "message": "x"}"#, Credentials, "AccessDenied"),
            (400, r#"{"__type": "ExpiredTokenException:http://x"}"#, Credentials, "ExpiredToken"),
            (400, r#"{"__type": "DisabledException"}"#, Configuration, "can't use the key"),
            (400, r#"{"__type": "ThrottlingException"}"#, Network, "400"),
            (500, r#"{"__type": "KMSInternalException"}"#, Network, "500"),
            (503, "<html>secret</html>", Network, "503"),
            (403, "<html>secret</html>", Credentials, "denies it (403)"),
            (400, r#"{"__type": "a secret in here"}"#, Configuration, "answers with 400"),
            (301, "", Configuration, "refers to another address"),
            (200, "{}", Configuration, "isn't that of KMS"),
            (200, r#"{"Plaintext": "??"}"#, Configuration, "isn't that of KMS"),
        ] {
            let error = read(&answer(status, body)).expect_err(body);
            let message = error.to_string();
            assert!(error.kind() == kind && message.contains(said), "{body}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
        let plain = read(&answer(200, r#"{"Plaintext": "aG9yc2U="}"#));
        assert_eq!(plain.expect("a secret").as_slice(), b"horse");
    }

    #[test]
    fn a_region_is_a_part_of_a_name() {
        assert!(is_region("eu-west-3"));
        assert!(["", "eu/west", "evil.example.org#", "EU"].iter().all(|text| !is_region(text)));
    }
}
