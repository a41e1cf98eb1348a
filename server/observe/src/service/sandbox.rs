//! What both kinds of services share: the program, and all that is taken away from it.

use std::path::{Path, PathBuf};

use crate::service::account::{Credential, RunAs};
use crate::service::error::UnitError;
use crate::service::escape::{argument, last_path, listed_path, path_argument, program_path};

/// Which files the program may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Every file, also those of other accounts.
    Everything,
    /// Those that its account may read by itself.
    OwnFiles,
}

/// The program and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program.
    pub program: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// As which account it runs.
    pub run_as: RunAs,
    /// Which files it may read.
    pub reads: Reads,
    /// Whether it may restore files with their owners: then it may change any file in [`Self::writable`].
    pub restores: bool,
    /// Directories that it may write to, beyond its own below `/var`: local repositories, and where it
    /// restores to. One that isn't there when it starts is left out.
    pub writable: Vec<PathBuf>,
    /// Secrets that it is given.
    pub credentials: Vec<Credential>,
}

/// Where systemd makes directories for the program.
const NAME: &str = "keepfast";

/// Where [`Program`] may not say that a path is writable and that homes are read-only at once.
const HOMES: &[&str] = &["/", "/home", "/root", "/run", "/run/user"];

impl Program {
    /// The command with these words after the configuration. Variables in it aren't replaced.
    pub(super) fn command(&self, words: &[&str]) -> Result<String, UnitError> {
        let program = program_path(&self.program)?;
        let config = path_argument(&self.config)?;
        let words: Vec<String> = words.iter().map(|word| argument(word)).collect();
        Ok(format!("ExecStart={program} --config {config} {}", words.join(" ")))
    }

    /// The lines of `[Service]` that both kinds have.
    pub(super) fn lines(&self) -> Result<Vec<String>, UnitError> {
        let mut lines = Vec::new();
        if let RunAs::User(user) = &self.run_as {
            lines.push(format!("User={}", user.as_str()));
            lines.push("RemoveIPC=yes".to_owned());
        }
        lines.extend(self.places()?);
        for credential in &self.credentials {
            let path = last_path(&credential.path)?;
            lines.push(format!("LoadCredential={}:{path}", credential.name.as_str()));
        }
        lines.push(String::new());
        lines.push("# What it may do beyond what any program may.".to_owned());
        let capabilities = self.capabilities().join(" ");
        lines.push(format!("CapabilityBoundingSet={capabilities}"));
        if matches!(self.run_as, RunAs::User(_)) && !capabilities.is_empty() {
            lines.push(format!("AmbientCapabilities={capabilities}"));
        }
        lines.push(String::new());
        lines.push("# What it never does.".to_owned());
        lines.extend(self.refusals().into_iter().map(str::to_owned));
        Ok(lines)
    }

    fn places(&self) -> Result<Vec<String>, UnitError> {
        let mut lines: Vec<String> = [
            "UMask=0077",
            "StateDirectory=",
            "StateDirectoryMode=0700",
            "CacheDirectory=",
            "CacheDirectoryMode=0700",
        ]
        .map(|line| if line.ends_with('=') { format!("{line}{NAME}") } else { line.to_owned() })
        .to_vec();
        lines.push(format!("Environment=KEEPFAST_CACHE_DIR=/var/cache/{NAME}"));
        lines.push("ProtectSystem=strict".to_owned());
        if !self.writable.iter().any(|path| HOMES.iter().any(|home| path == Path::new(home))) {
            lines.push("ProtectHome=read-only".to_owned());
        }
        for path in &self.writable {
            // A path that begins with `-` is left out when it isn't there: a disk that is away must not keep
            // the other plans from running. What is mounted there later can be written to all the same.
            let listed = listed_path(path)?;
            let listed = match listed.strip_prefix(['"', '\'']) {
                Some(rest) => format!("{}-{rest}", &listed[..1]),
                None => format!("-{listed}"),
            };
            lines.push(format!("ReadWritePaths={listed}"));
        }
        Ok(lines)
    }

    fn capabilities(&self) -> Vec<&'static str> {
        let mut capabilities = Vec::new();
        if self.restores {
            capabilities.extend(["CAP_CHOWN", "CAP_DAC_OVERRIDE"]);
        }
        if self.reads == Reads::Everything {
            capabilities.push("CAP_DAC_READ_SEARCH");
        }
        if self.restores {
            capabilities.extend(["CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD", "CAP_SETFCAP"]);
        }
        capabilities
    }

    /// Not among them: `ProtectKernelModules`, which hides `/usr/lib/modules` from a backup; loading modules is
    /// refused by capabilities and system calls anyway.
    fn refusals(&self) -> Vec<&'static str> {
        let mut lines = vec![
            "NoNewPrivileges=yes",
            "PrivateMounts=yes",
            "PrivateTmp=yes",
            "ProtectClock=yes",
            "ProtectControlGroups=yes",
            "ProtectHostname=yes",
            "ProtectKernelLogs=yes",
            "ProtectKernelTunables=yes",
            "ProtectProc=invisible",
            "KeyringMode=private",
            "LockPersonality=yes",
            "MemoryDenyWriteExecute=yes",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
            "RestrictNamespaces=yes",
            "RestrictRealtime=yes",
            "SystemCallArchitectures=native",
            "SystemCallErrorNumber=EPERM",
            "SystemCallFilter=@system-service",
        ];
        if !self.restores {
            // Restoring makes devices and set-user-id files, and changes owners.
            lines.extend(["SystemCallFilter=~@privileged", "PrivateDevices=yes", "RestrictSUIDSGID=yes"]);
        }
        lines
    }
}
