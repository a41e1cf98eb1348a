//! Options for test servers.

use std::time::{Duration, Instant};

use keepfast_backend::{S3Credentials, S3Options};
use keepfast_testkit::servers::Server;

/// A new bucket of a server, with shorter waits than the defaults.
pub fn options(server: &Server, prefix: &str) -> S3Options {
    S3Options {
        endpoint: Some(server.endpoint()),
        region: Some(server.region().to_owned()),
        credentials: Some(S3Credentials {
            access_key: server.access_key().to_owned(),
            secret_key: server.secret_key().to_owned(),
            session_token: None,
        }),
        retry_for: Duration::from_secs(20),
        ..S3Options::new(server.bucket(), prefix, Instant::now)
    }
}
