//! Where a repository in S3 is, and how to talk to the store.

use std::fmt;
use std::time::{Duration, Instant};

/// Keys that are given, not looked for.
#[derive(Clone)]
pub struct S3Credentials {
    /// The access key's id.
    pub access_key: String,
    /// The secret that goes with it.
    pub secret_key: String,
    /// A token, with keys that are valid for a time.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Credentials({}, …)", self.access_key)
    }
}

/// How to reach a bucket, and how patient to be with it.
#[derive(Clone)]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// What all names begin with: empty, or without a slash at either end.
    pub prefix: String,
    /// The store's address, such as `https://s3.example.com:9000`; AWS if there is none.
    pub endpoint: Option<String>,
    /// The region; else from the usual places.
    pub region: Option<String>,
    /// Whether the bucket stands in the path and not in the host's name. If it isn't said, it
    /// does exactly where there is an `endpoint`.
    pub path_style: Option<bool>,
    /// Keys; else from the usual places: environment, profile, web identity, container,
    /// instance.
    pub credentials: Option<S3Credentials>,
    /// Certificates in PEM, of authorities to trust beside the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Storage classes for objects whose names begin so; the first that fits. Others get the
    /// bucket's own.
    pub storage_classes: Vec<(String, String)>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a request may make no progress at all, not a byte in either direction.
    pub stall_timeout: Duration,
    /// How long what may pass is tried again, counted from its first failure.
    pub retry_for: Duration,
    /// The same for a store that has never answered: its address may be wrong.
    pub retry_first_for: Duration,
    /// Objects of this size and more are sent in parts, if [`Self::uncontested_prefixes`] lets them.
    pub multipart_from_bytes: u64,
    /// What the names of objects begin with over which nobody fights. They may be sent in parts: not
    /// all stores complete such uploads so that exactly one wins, and it must not matter who does.
    /// And they are made anew when they arrived spoilt: nobody has seen them before.
    pub uncontested_prefixes: Vec<String>,
    /// The size of a part; S3 wants 5 MiB at least, except of the last.
    pub part_bytes: u64,
    /// Objects on a page of a listing, at most 1000.
    pub page_objects: u16,
    /// A clock that never goes back; for patience and limits alone.
    pub clock: fn() -> Instant,
}

impl S3Options {
    /// A bucket, with what `prefix` says before all names; everything else as usual.
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

    /// The bucket and prefix of an address such as `s3://bucket/some/prefix`, or what is wrong with it.
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
