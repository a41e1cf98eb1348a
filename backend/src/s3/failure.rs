//! Classifies failed requests by what to do next.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::BackendErrorKind as Kind;

/// What a failure means for the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// There is no such object.
    NotFound,
    /// There is an object of this name (412).
    Taken,
    /// Another writer is creating this name at the same time (409): nothing was done.
    Conflict,
    /// The upload in parts doesn't exist: it was completed or aborted.
    UploadGone,
    /// The range begins at or after the object's end.
    BeyondEnd,
    /// Too many requests: nothing was done.
    Throttled,
    /// The body didn't arrive as it was sent: nothing was done.
    Damaged,
    /// The body didn't arrive as it was sent, and the store has stored it.
    StoredDamaged,
    /// The run was cancelled.
    Cancelled,
    /// The store or the connection failed: it isn't known whether anything was done.
    Unknown,
    /// A repeat would fail too.
    Final(Kind),
}

impl Class {
    /// The kind of error that the caller gets.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Cancelled => Kind::Cancelled,
            Self::Damaged | Self::StoredDamaged => Kind::Untrustworthy,
            Self::Final(kind) => kind,
            Self::Taken
            | Self::Conflict
            | Self::UploadGone
            | Self::BeyondEnd
            | Self::Throttled
            | Self::Unknown => Kind::Unreachable,
        }
    }
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// What it means for the operation.
    pub class: Class,
    /// The answer's HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The cause, and the next step if users can do something about the cause.
    pub message: String,
}

impl Failure {
    pub(super) fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, status: None, message: message.into() }
    }

    /// Classifies the SDK's error of a request.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        match status {
            Some(status) => {
                let (code, said) = match error {
                    SdkError::ServiceError(service) => {
                        (service.err().code().unwrap_or(""), service.err().message().unwrap_or(""))
                    }
                    _ => ("", ""),
                };
                let region = error.raw_response().and_then(|a| a.headers().get("x-amz-bucket-region"));
                answered(status, code, said, region)
            }
            None => unanswered(error),
        }
    }
}

/// The store answered with an error.
fn answered(status: u16, code: &str, said: &str, region: Option<&str>) -> Failure {
    let detail = match (code, said) {
        ("", "") => String::new(),
        ("", said) => format!(": {said}"),
        (code, "") => format!(": {code}"),
        (code, said) => format!(": {code}: {said}"),
    };
    let (class, advice) = classify(status, code, region);
    let advice = advice.map_or_else(String::new, |advice| format!("; {advice}"));
    Failure { class, status: Some(status), message: format!("the store answered {status}{detail}{advice}") }
}

fn classify(status: u16, code: &str, region: Option<&str>) -> (Class, Option<String>) {
    let say = |class: Class, advice: &str| (class, Some(advice.to_owned()));
    let denied = Class::Final(Kind::Denied);
    let misconfigured = Class::Final(Kind::Misconfigured);
    match (status, code) {
        (
            _,
            "SlowDown" | "Throttling" | "ThrottlingException" | "TooManyRequests" | "RequestLimitExceeded",
        )
        | (429, _) => (Class::Throttled, None),
        (
            _,
            "BadDigest"
            | "XAmzContentSHA256Mismatch"
            | "XAmzContentChecksumMismatch"
            | "IncompleteBody"
            | "InvalidDigest",
        ) => (Class::Damaged, None),
        (_, "RequestTimeout" | "InternalError" | "ServiceUnavailable" | "OperationAborted") | (408, _) => {
            (Class::Unknown, None)
        }
        (_, "RequestTimeTooSkewed") => say(
            misconfigured,
            "this machine's clock and the store's differ too much: set this machine's clock",
        ),
        (_, "NoSuchBucket") => say(
            misconfigured,
            "there is no such bucket: make it with the store's own tools, or check its name and the endpoint",
        ),
        (_, "InvalidBucketName") => say(misconfigured, "check the bucket's name"),
        (_, "NoSuchUpload") => (Class::UploadGone, None),
        (
            _,
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
        )
        | (301 | 307 | 308, _) => {
            let its_region = region.map_or_else(String::new, |region| format!(": its region is {region}"));
            let advice = format!("the bucket is in another region or at another endpoint{its_region}");
            (Class::Final(Kind::Region), Some(advice))
        }
        (_, "InvalidAccessKeyId" | "InvalidToken") => {
            say(denied, "the store doesn't know this access key: check AWS_ACCESS_KEY_ID or the profile")
        }
        (_, "SignatureDoesNotMatch") => say(
            denied,
            "the secret key doesn't belong to the access key: check AWS_SECRET_ACCESS_KEY or the profile",
        ),
        (_, "ExpiredToken" | "TokenRefreshRequired") => {
            say(denied, "the credentials have expired: get new ones and run the command again")
        }
        (_, "XMinioStorageFull" | "InsufficientStorage") | (507, _) => say(
            Class::Final(Kind::Full),
            "make room there and run the command again; everything stored so far is intact",
        ),
        (_, "QuotaExceeded" | "BucketQuotaExceeded") => say(
            Class::Final(Kind::Full),
            "raise the quota or make room, and run the command again; everything stored so far is intact",
        ),
        (_, "InvalidObjectState") => say(
            Class::Final(Kind::Other),
            "the object is in a storage class that can't be read immediately: restore it in the store first",
        ),
        (404, _) => (Class::NotFound, None),
        (409, _) => (Class::Conflict, None),
        (412, _) => (Class::Taken, None),
        (416, _) => (Class::BeyondEnd, None),
        (401 | 403, _) => say(
            denied,
            "these credentials may not do this: allow reading, writing, listing and removing below the \
             prefix, or use other credentials",
        ),
        (501, _) => say(Class::Final(Kind::Unsupported), "the store lacks a feature that a repository needs"),
        // A successful answer that can't be read was cut or damaged on its way.
        (500.. | 200..=299, _) => (Class::Unknown, None),
        _ => (Class::Final(Kind::Other), None),
    }
}

/// No answer came, or none that can be read.
fn unanswered<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Failure {
    let mut causes: Vec<&(dyn Error + 'static)> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause);
        next = cause.source();
    }
    let all = causes.iter().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let cause = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
    for inner in &causes {
        if let Some(CredentialsError::CredentialsNotLoaded(_)) = inner.downcast_ref() {
            return Failure::new(
                Class::Final(Kind::Denied),
                "no credentials for S3 were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                 AWS_PROFILE to a profile in ~/.aws",
            );
        }
        if inner.downcast_ref::<CredentialsError>().is_some() {
            return Failure::new(
                Class::Unknown,
                format!(
                    "credentials for S3 can't be had: {all}; check the profile or role that provides them"
                ),
            );
        }
    }
    if all.contains("certificate") || all.contains("corrupt message") {
        return Failure::new(
            Class::Final(Kind::Certificates),
            format!(
                "no secure connection: {cause}; if the store has a certificate of your own, its authority must be \
                 trusted; if the store speaks plain HTTP, write http:// before the endpoint"
            ),
        );
    }
    match error {
        SdkError::ConstructionFailure(_) => Failure::new(
            Class::Final(Kind::Misconfigured),
            format!("the request can't be made: {all}; check the endpoint, the bucket's name and the region"),
        ),
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            Failure::new(Class::Unknown, format!("the request was cut short: {cause}"))
        }
        SdkError::TimeoutError(_) => Failure::new(Class::Unknown, "the store took too long"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Failure::new(
            Class::Unknown,
            "the store can't be reached: the connection took too long to be made",
        ),
        _ if all.contains("connect error") || all.contains("dns error") => {
            Failure::new(Class::Unknown, format!("the store can't be reached: {cause}"))
        }
        _ => Failure::new(Class::Unknown, format!("the connection to the store failed: {cause}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Kind, classify};

    #[test]
    fn a_missing_bucket_is_not_a_missing_object() {
        assert_eq!(classify(404, "NoSuchKey", None).0, Class::NotFound);
        assert_eq!(classify(404, "", None).0, Class::NotFound);
        assert_eq!(classify(404, "NoSuchBucket", None).0, Class::Final(Kind::Misconfigured));
        assert_eq!(classify(404, "NoSuchUpload", None).0, Class::UploadGone);
    }

    #[test]
    fn temporary_failures_are_distinguished_from_final_ones() {
        for (status, code) in [(500, ""), (502, ""), (503, "ServiceUnavailable"), (200, "InternalError")] {
            assert_eq!(classify(status, code, None).0, Class::Unknown, "{status} {code}");
        }
        for (status, code) in [(503, "SlowDown"), (429, ""), (400, "Throttling")] {
            assert_eq!(classify(status, code, None).0, Class::Throttled, "{status} {code}");
        }
        assert_eq!(classify(409, "ConditionalRequestConflict", None).0, Class::Conflict);
        assert_eq!(classify(412, "PreconditionFailed", None).0, Class::Taken);
        assert_eq!(classify(403, "AccessDenied", None).0, Class::Final(Kind::Denied));
    }

    #[test]
    fn the_right_region_is_named() {
        let advice = classify(301, "PermanentRedirect", Some("eu-west-3")).1.expect("there is advice");
        assert!(advice.contains("its region is eu-west-3"), "{advice}");
    }
}
