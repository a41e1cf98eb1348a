//! Programs of databases and other servers: found by their names, started with nothing of this process's environment, fed,
//! read, and ended with the run.
//!
//! Secrets reach such a program by a file that has no name: it lies in memory, and the program opens it as `/dev/fd/N`.
//! They are in no argument and in no variable, which others on the machine can read.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{MemfdFlags, Mode, SeekFrom, fchmod, memfd_create, seek};

use crate::child::{Ends, PRINTED_BYTES_MAX, Started, started};
use crate::redact::KnownSecrets;

/// Where programs are looked for after the folders that a caller names.
pub const USUAL_FOLDERS: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// The number of the first file that a program gets beside its standard ones. Lower ones may be taken by a program itself.
const FIRST_PRIVATE: usize = 20;

/// A program that is to be started.
#[derive(Debug)]
pub struct Tool {
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    private: Vec<OwnedFd>,
    account: Option<Account>,
    folder: Option<PathBuf>,
    secrets: KnownSecrets,
}

/// Whom a program runs as. It has no other groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The number of the user.
    pub user: u32,
    /// The number of the group.
    pub group: u32,
}

/// What a program reads from standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Nothing.
    Nothing,
    /// What this process writes into a pipe.
    Pipe,
}

/// A program that was started, with the pipe that it reads, if it was to have one.
pub struct Fed {
    /// What it reads. Dropped, that ends.
    pub input: Option<ChildStdin>,
    /// What it prints, and the program itself.
    pub started: Started,
}

/// Where a program is: in one of these folders, or else in the usual ones.
#[must_use]
pub fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let usual = USUAL_FOLDERS.iter().map(Path::new);
    folders
        .iter()
        .map(PathBuf::as_path)
        .chain(usual)
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

impl Tool {
    /// A program by its path. Secrets that are known are taken out of what is kept of its messages.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, secrets: &KnownSecrets) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            variables: Vec::new(),
            private: Vec::new(),
            account: None,
            folder: None,
            secrets: secrets.clone(),
        }
    }

    /// With another argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// With a variable, which must not be a secret.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// As another user, which only root can do.
    #[must_use]
    pub fn account(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }

    /// In this folder.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Gives the program a file without a name that has this content, and returns the path by which the program opens it:
    /// for an argument or a variable. The file is a regular one that only its owner can read, as libpq wants it.
    pub fn private(&mut self, content: &[u8]) -> io::Result<String> {
        let file = std::fs::File::from(memfd_create("keepfast", MemfdFlags::CLOEXEC)?);
        fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        (&file).write_all(content)?;
        seek(&file, SeekFrom::Start(0))?;
        let number = FIRST_PRIVATE + self.private.len();
        self.private.push(file.into());
        Ok(format!("/dev/fd/{number}"))
    }

    /// The program's path, for messages.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Starts it. Nothing is inherited but its standard files and what it was given: no variable, no descriptor.
    pub fn start(self, feed: Feed, ends: impl Into<Ends>) -> io::Result<Fed> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command
            .env("PATH", USUAL_FOLDERS.join(":"))
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("HOME", "/nonexistent");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if let Some(Account { user, group }) = self.account {
            command.gid(group).uid(user);
        }
        let numbered = self.private.into_iter().zip(FIRST_PRIVATE..);
        let mappings = numbered.filter_map(|(parent_fd, number)| {
            Some(FdMapping { parent_fd, child_fd: number.try_into().ok()? })
        });
        let taken_twice = |_| io::Error::other("two files of a program have one number");
        command.fd_mappings(mappings.collect()).map_err(taken_twice)?;
        command.stdin(if feed == Feed::Pipe { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        // A server that is started must not keep a lock or a pipe that this process got from who started it.
        close_fds::set_fds_cloexec_threadsafe(3, &[]);
        let mut child = command.spawn()?;
        let input = child.stdin.take();
        Ok(Fed { input, started: started(child, true, &self.secrets, PRINTED_BYTES_MAX, ends.into())? })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::path::{Path, PathBuf};

    use super::{Feed, Tool, find};
    use crate::Cancel;
    use crate::redact::KnownSecrets;

    fn shell(script: &str) -> Tool {
        Tool::new("/bin/sh", &KnownSecrets::default()).arg("-c").arg(script)
    }

    fn printed(tool: Tool) -> String {
        let mut fed = tool.start(Feed::Nothing, &Cancel::new()).expect("a shell");
        let mut text = String::new();
        fed.started.output.read_to_string(&mut text).expect("text");
        assert!(fed.started.running.wait().expect("an end").expect("its own").status.success());
        text
    }

    #[test]
    fn a_program_is_found_in_the_folders_that_are_named_and_then_in_the_usual_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("sh");
        std::fs::write(&own, "").expect("a file");
        let folders = [folder.path().to_owned()];
        assert!(
            find("sh", &folders).is_some_and(|found| found != own),
            "what can't be started is no program"
        );
        std::fs::copy("/bin/true", &own).expect("a program");
        assert_eq!(find("sh", &folders), Some(own));
        assert_eq!(find("no-such-program", &folders), None::<PathBuf>);
    }

    #[test]
    fn a_program_has_no_variable_and_no_file_of_this_process() {
        let kept_open = std::fs::File::open("/etc/passwd").expect("a file");
        // As a shell leaves a descriptor to what it starts.
        rustix::io::fcntl_setfd(&kept_open, rustix::io::FdFlags::empty()).expect("a flag");
        let text = printed(shell("env; ls /dev/fd").variable("PGAPPNAME", "keepfast"));
        assert!(text.contains("PGAPPNAME=keepfast") && !text.contains("CARGO"), "{text}");
        let files: Vec<&str> = text.lines().filter(|line| line.parse::<u32>().is_ok()).collect();
        assert!(files.len() <= 4, "three, and those with which ls reads the folder: {files:?}");
        drop(kept_open);
    }

    #[test]
    fn a_secret_is_in_a_file_without_a_name_that_only_its_owner_reads() {
        let mut tool = shell("");
        let path = tool.private(b"correct horse").expect("a file");
        let other = tool.private(b"other").expect("a file");
        let text = printed(tool.arg("x").args([&path, &other]));
        assert_eq!(text, "");
        let mut tool = Tool::new("/bin/sh", &KnownSecrets::default());
        let path = tool.private(b"correct horse").expect("a file");
        let script =
            format!("stat -Lc '%F %a' {path}; cat {path}; cat {path}; tr '\\0' ' ' < /proc/$$/cmdline");
        let text = printed(tool.arg("-c").arg(script));
        assert!(text.starts_with("regular file 600\ncorrect horsecorrect horse/bin/sh"), "{text}");
        assert!(Path::new(&path).starts_with("/dev/fd"));
    }

    #[test]
    fn a_program_reads_what_it_is_fed() {
        let mut fed = shell("cat; echo end").start(Feed::Pipe, &Cancel::new()).expect("a shell");
        let mut input = fed.input.take().expect("a pipe");
        input.write_all(b"line\n").expect("it reads");
        drop(input);
        let mut text = String::new();
        fed.started.output.read_to_string(&mut text).expect("text");
        assert_eq!(text, "line\nend\n");
        assert!(fed.started.running.wait().expect("an end").is_some());
    }
}
