//! A real proxy (HAProxy) before two servers of HTTP: it sends each request to one that is well, and another time to the other.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use super::process::{Folder, Kept};
use super::{POLL, START_MAX, last_lines};

/// A running proxy; it ends with this value, or with the test's process.
pub struct HaProxy {
    folder: Folder,
    _running: Kept,
}

/// Ports at which no one listens, before there is a proxy: its own, and those of the servers behind it.
pub struct Ports(Folder);

impl Ports {
    /// Takes them.
    #[must_use]
    pub fn take() -> Self {
        Self(Folder::new())
    }

    /// Where the two servers have to listen.
    #[must_use]
    pub fn behind(&self) -> [u16; 2] {
        [1, 2].map(|number| self.0.first_port() + number)
    }

    /// Starts the proxy. `health` is the path at which a server that is well answers with 200.
    #[must_use]
    pub fn start(self, health: &str) -> HaProxy {
        let front = self.0.first_port();
        let [one, other] = self.behind();
        let text = format!(
            "defaults\n mode http\n timeout connect 2s\n timeout client 1h\n timeout server 1h\n retries 3\n \
             option redispatch 1\n option forwardfor\n\
             frontend front\n bind 127.0.0.1:{front}\n default_backend servers\n\
             backend servers\n balance roundrobin\n option httpchk GET {health}\n \
             default-server check inter 250ms fall 2 rise 1 on-marked-down shutdown-sessions\n \
             server one 127.0.0.1:{one}\n server other 127.0.0.1:{other}\n"
        );
        let file = self.0.path().join("haproxy.cfg");
        fs::write(&file, text).expect("the configuration is written");
        let log = self.0.path().join("log");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        // Debian has it where only root looks for programs.
        command.env("PATH", "/usr/sbin:/usr/bin:/bin");
        let mut running = Kept::start(command, &log);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", front)).is_err() {
            assert!(!running.has_ended(), "HAProxy ended while it started\n{}", last_lines(&log));
            assert!(begun.elapsed() < START_MAX, "HAProxy doesn't listen\n{}", last_lines(&log));
            std::thread::sleep(POLL);
        }
        HaProxy { folder: self.0, _running: running }
    }
}

impl HaProxy {
    /// `127.0.0.1:PORT`
    #[must_use]
    pub fn place(&self) -> String {
        format!("127.0.0.1:{}", self.folder.first_port())
    }
}
