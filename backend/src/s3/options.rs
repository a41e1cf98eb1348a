//! Describes where a repository in S3 is, and how to talk to the store.

use std::fmt;
use std::time::{Duration, Instant};

/// Keys that the caller gives, instead of keys from the usual sources.
#[derive(Clone)]
pub struct S3Credentials {
    /// The access key's id.
    pub access_key: String,
    /// The secret that goes with it.
    pub secret_key: String,
    /// The session token of temporary keys.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Credentials({}, …)", self.access_key)
    }
}

/// How to reach a bucket, and how long to wait for it.
#[derive(Clone)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// The prefix of all names: empty, or without a slash at either end.
    pub prefix: String,
    /// The store's address, such as `https://s3.example.com:9000`. `None` means AWS.
    pub endpoint: Option<String>,
    /// The region. `None` means the region from the usual sources.
    pub region: Option<String>,
    /// Whether the bucket's name is part of the path, and not of the host's name. `None` means that it is part
    /// of the path exactly if there is an `endpoint`.
    pub path_style: Option<bool>,
    /// Keys. `None` means keys from the usual sources: environment, profile, web identity, container, instance.
    pub credentials: Option<S3Credentials>,
    /// Certificates in PEM of authorities to trust in addition to the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Pairs of a name's prefix and a storage class. The first prefix that fits counts. Other objects get the
    /// bucket's own class.
    pub storage_classes: Vec<(String, String)>,
    /// How long it may take to make a connection.
    pub connect_timeout: Duration,
    /// How long a request may move no byte in either direction.
    pub stall_timeout: Duration,
    /// How long a request is repeated after failures that may be temporary, counted from the first one.
    pub retry_for: Duration,
    /// The same for a store that has never answered: the address may be wrong.
    pub retry_first_for: Duration,
    /// Objects of at least this size are sent in parts, if [`Self::uncontested_prefixes`] has their names.
    pub multipart_from_bytes: u64,
    /// Prefixes of names that only one writer ever creates. Objects of these names may be sent in parts: not all
    /// stores complete such uploads so that exactly one wins, and with one writer there is no race. And such an
    /// object is removed and created again if it arrived damaged: no other writer can have seen it.
    pub uncontested_prefixes: Vec<String>,
    /// The size of a part. S3 demands at least 5 MiB, except for the last part.
    pub part_bytes: u64,
    /// Objects on a page of a listing, at most 1000.
    pub page_objects: u16,
    /// A clock that never goes back. Only waits and limits use it.
    pub clock: fn() -> Instant,
}

impl S3Options {
    /// A bucket, with `prefix` before all names, and the defaults for everything else.
    #[must_use]
    pub fn new(bucket: impl Into<String>, prefix: impl Into<String>, clock: fn() -> Instant) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: prefix.into(),
            endpoint: None,
            region: None,
            path_style: None,
            credentials: None,
            ca_pem: None,
            storage_classes: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
            retry_for: Duration::from_secs(300),
            retry_first_for: Duration::from_secs(10),
            multipart_from_bytes: 64 << 20,
            uncontested_prefixes: Vec::new(),
            part_bytes: 16 << 20,
            page_objects: 1000,
            clock,
        }
    }

    /// Reads an address such as `s3://bucket/some/prefix`. The error says what is wrong with it.
    pub fn parse(address: &str, clock: fn() -> Instant) -> Result<Self, String> {
        let place = address.strip_prefix("s3://").unwrap_or(address);
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_end_matches('/');
        let in_bucket = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        if bucket.is_empty() || !bucket.bytes().all(in_bucket) {
            return Err(format!("{address} names no bucket: write s3://bucket or s3://bucket/prefix"));
        }
        let is_plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| in_bucket(byte) || matches!(byte, b'=' | b'+' | b'@' | b'~'))
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
            return Err(format!(
                "the prefix in {address} can't be used: take letters, digits, `-`, `.`, `_` and single slashes"
            ));
        }
        Ok(Self::new(bucket, prefix, clock))
    }

    /// The address, for messages.
    #[must_use]
    pub fn location(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::S3Options;
    use std::time::Instant;

    #[test]
    fn addresses_are_read_or_refused() {
        let read =
            |text: &str| S3Options::parse(text, Instant::now).map(|o| (o.bucket.clone(), o.prefix.clone()));
        let pair = |bucket: &str, prefix: &str| Ok((bucket.to_owned(), prefix.to_owned()));
        assert_eq!(read("s3://b"), pair("b", ""));
        assert_eq!(read("s3://b/"), pair("b", ""));
        assert_eq!(read("s3://my-bucket/a/b.c/"), pair("my-bucket", "a/b.c"));
        for bad in ["s3://", "s3:///x", "s3://b//x", "s3://b/../x", "s3://b/x y", "s3://b c/x", "s3://b/ü"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
