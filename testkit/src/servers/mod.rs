//! Real S3 servers on loopback, each with ports and a data folder of its own; one that serves a file system
//! ([`PlainDisk`]); PostgreSQL ([`PostgresServer`]); and what keeps secrets ([`OpenBao`], [`KmsKey`]);
//! for mail ([`mail`]), and for webhooks ([`web`]); a proxy ([`HaProxy`]); accounts of elsewhere ([`canaille`]).
//!
//! `scripts/setup.sh` installs them. A server takes 0.3 s (moto, s3rver) or 2.4 s (SeaweedFS, nearly all of
//! it waiting) to start, so each test process starts its own; [`Server::shared`] lets tests of one
//! process share it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

pub use haproxy::{HaProxy, Ports};
pub use keys::KeyServer;
pub use kms::{KmsKey, SigningKeys, guarded};
pub use mariadb::MariaDbServer;
pub use mongodb::MongoServer;
pub use openbao::OpenBao;
pub use plain::{Links, PlainDisk};
pub use postgres::{PostgresServer, Version as PostgresVersion};
pub use redis::RedisServer;

use process::{Folder, Kept};

pub mod canaille;
mod haproxy;
mod http;
mod keys;
mod kms;
pub mod mail;
mod mariadb;
mod mongodb;
mod openbao;
mod plain;
mod postgres;
mod process;
mod redis;
pub mod web;

const START_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(25);
const LOG_LINES_SHOWN: usize = 60;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The main one: durable, with conditional writes, and strict about signatures.
    SeaweedFs,
    /// In memory: a restart loses everything. It takes any credentials.
    Moto,
    /// Ignores `If-None-Match`, so a store that must be refused.
    S3rver,
}

impl Kind {
    const COUNT: usize = 3;

    fn credentials(self) -> (&'static str, &'static str) {
        match self {
            Self::SeaweedFs | Self::Moto => ("keepfast-access-key", "keepfast-secret-key"),
            Self::S3rver => ("S3RVER", "S3RVER"),
        }
    }
}

/// A running server; it ends with this value, or with the test's process.
pub struct Server {
    kind: Kind,
    folder: Folder,
    running: Mutex<Option<Kept>>,
    buckets: AtomicU64,
}

impl Server {
    /// Starts one that no other test uses, and waits until it answers.
    #[must_use]
    pub fn start(kind: Kind) -> Self {
        let server =
            Self { kind, folder: Folder::new(), running: Mutex::default(), buckets: AtomicU64::new(0) };
        if kind == Kind::SeaweedFs {
            let (access, secret) = kind.credentials();
            fs::write(server.path("s3.json"), identities(access, secret))
                .expect("the configuration is written");
        }
        fs::create_dir(server.path("data")).expect("the data folder is made");
        server.start_process();
        server
    }

    /// The one that this process's tests share; it ends when the last of them lets go of it.
    #[must_use]
    pub fn shared(kind: Kind) -> Arc<Self> {
        static SHARED: Mutex<[Weak<Server>; Kind::COUNT]> = Mutex::new([const { Weak::new() }; Kind::COUNT]);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut shared[kind as usize];
        place.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start(kind));
            *place = Arc::downgrade(&server);
            server
        })
    }

    /// Which server it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens, the same after a restart.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.s3_port()).into()
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The region that requests are signed for.
    #[must_use]
    pub fn region(&self) -> &'static str {
        "us-east-1"
    }

    /// Who may do everything.
    #[must_use]
    pub fn access_key(&self) -> &'static str {
        self.kind.credentials().0
    }

    /// The secret that belongs to [`Self::access_key`].
    #[must_use]
    pub fn secret_key(&self) -> &'static str {
        self.kind.credentials().1
    }

    /// What a program's environment needs to work with the server at `endpoint`: this one's own, or
    /// a proxy's in front of it. Nothing of the machine's own settings is looked at.
    #[must_use]
    pub fn environment(&self, endpoint: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_REGION", self.region().to_owned()),
            ("AWS_ACCESS_KEY_ID", self.access_key().to_owned()),
            ("AWS_SECRET_ACCESS_KEY", self.secret_key().to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]
    }

    /// Makes a bucket that no other test uses.
    #[must_use]
    pub fn bucket(&self) -> String {
        let name = format!("keepfast-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        // Without a signature: SeaweedFS makes buckets of its filer's folders, the others don't ask.
        let (port, method, path) = match self.kind {
            Kind::SeaweedFs => (self.port(FILER), "POST", format!("/buckets/{name}/")),
            Kind::Moto | Kind::S3rver => (self.s3_port(), "PUT", format!("/{name}")),
        };
        let status = http::status(port, method, &path, b"");
        assert!(matches!(status, Some(200..=299)), "no bucket {name}: {status:?}\n{}", self.log());
        name
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&self) {
        *self.lock() = None;
    }

    /// Starts it again after [`Self::kill`] (or kills it first) where it was, with what it had stored, and
    /// waits until it answers.
    pub fn restart(&self) {
        self.kill();
        self.start_process();
    }

    /// The last lines of what it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        last_lines(&self.path("log"))
    }

    fn start_process(&self) {
        let mut running = self.lock();
        let kept = Kept::start(self.command(), &self.path("log"));
        let kept = running.insert(kept);
        let begun = Instant::now();
        while !self.answers() {
            let ended = kept.has_ended();
            assert!(!ended, "{:?} ended while it started\n{}", self.kind, self.log());
            assert!(begun.elapsed() < START_MAX, "{:?} doesn't answer\n{}", self.kind, self.log());
            std::thread::sleep(POLL);
        }
    }

    fn command(&self) -> Command {
        let port = self.s3_port().to_string();
        match self.kind {
            Kind::SeaweedFs => self.seaweedfs(),
            Kind::Moto => {
                let mut command = Command::new(installed("python/bin/python"));
                command.args(["-c", include_str!("moto.py"), "-H", "127.0.0.1", "-p", &port]);
                command
            }
            Kind::S3rver => {
                let mut command = Command::new("node");
                // It encrypts its listings' tokens by DES, which Node no longer has by default.
                command.arg("--openssl-legacy-provider");
                command.arg(installed("npm/node_modules/s3rver/bin/s3rver.js"));
                command.args(["--address", "127.0.0.1", "--port", &port, "--directory"]);
                command.arg(self.path("data"));
                command
            }
        }
    }

    fn seaweedfs(&self) -> Command {
        let mut command = Command::new(installed("python/bin/weed"));
        // By default a bucket's first write makes seven volumes for it.
        command.env("WEED_MASTER_VOLUME_GROWTH_COPY_1", "1");
        command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
        // One master needs no election; without this, every second start takes five seconds more.
        command.args(["-master.peers=none", "-master.telemetry=false"]);
        command.args(["-master.volumeSizeLimitMB=256", "-volume.max=1000", "-filer", "-s3"]);
        command.args(["-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        let ports = [("master", MASTER), ("volume", VOLUME), ("filer", FILER), ("s3", S3)];
        for (part, number) in ports {
            command.arg(format!("-{part}.port={}", self.port(number)));
            command.arg(format!("-{part}.port.grpc={}", self.port(number + GRPC)));
        }
        command.arg(format!("-dir={}", self.path("data").display()));
        command.arg(format!("-s3.config={}", self.path("s3.json").display()));
        command
    }

    /// Whether it does its work: the port alone is there before that.
    fn answers(&self) -> bool {
        let ok = |status: Option<u16>| matches!(status, Some(200..=299));
        match self.kind {
            Kind::SeaweedFs => {
                let filer = self.port(FILER);
                ok(http::status(filer, "PUT", "/buckets/ready/probe", b"ready"))
                    && ok(http::status(self.s3_port(), "GET", "/ready/probe", b""))
            }
            Kind::Moto | Kind::S3rver => ok(http::status(self.s3_port(), "GET", "/", b"")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn port(&self, number: u16) -> u16 {
        self.folder.first_port() + number
    }

    fn s3_port(&self) -> u16 {
        self.port(S3)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed test shows what its server says")]
            {
                eprintln!("---- the end of {:?}'s log ----\n{}", self.kind, self.log());
            }
        }
    }
}

/// Numbers of ports, counted from the server's first.
const S3: u16 = 0;
const MASTER: u16 = 1;
const VOLUME: u16 = 2;
const FILER: u16 = 3;
/// From a part's port to that of its gRPC.
const GRPC: u16 = 5;

/// SeaweedFS's users. Anyone may read what [`Server::answers`] asks for.
fn identities(access: &str, secret: &str) -> String {
    format!(
        r#"{{"identities": [
            {{"name": "keepfast", "credentials": [{{"accessKey": "{access}", "secretKey": "{secret}"}}],
              "actions": ["Admin", "Read", "Write", "List", "Tagging"]}},
            {{"name": "anonymous", "actions": ["Read:ready"]}}
        ]}}"#
    )
}

/// Where the setup script has put a server.
pub fn installed(path: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()).map(PathBuf::from);
    let home = || Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    let path = cache.unwrap_or_else(home).join("keepfast/servers").join(path);
    assert!(path.exists(), "{} isn't there: run scripts/setup.sh", path.display());
    path
}

/// The last lines of a log.
fn last_lines(log: &Path) -> String {
    let log = fs::read(log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}
