//! Runs the program against a repository of its own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with a source, a repository and a cache.
pub struct Desk {
    pub folder: TempDir,
}

/// What a run printed, and how it ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Desk {
    /// Nothing but an empty source.
    pub fn bare() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        Self { folder }
    }

    /// With a repository and a few files.
    pub fn new() -> Self {
        let desk = Self::bare();
        fs::create_dir(desk.src("docs")).unwrap();
        fs::write(desk.src("a.txt"), "one").unwrap();
        fs::write(desk.src("docs/b.txt"), "two".repeat(10_000)).unwrap();
        std::os::unix::fs::symlink("a.txt", desk.src("link")).unwrap();
        desk.run(["init"]).succeeds();
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn src(&self, name: &str) -> PathBuf {
        self.path("src").join(name)
    }

    pub fn repo(&self) -> PathBuf {
        self.path("repo")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepfast"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TZ", "UTC")
            .env("KEEPFAST_REPOSITORY", self.repo())
            .env("KEEPFAST_CACHE_DIR", self.path("cache"))
            .env("KEEPFAST_PASSWORD", "correct horse");
        command
    }

    /// The program as another user runs it, who may use the repository and little else. Needs root.
    pub fn command_as_another_user(&self) -> Command {
        let everyone = Command::new("chmod").args(["-R", "a+rwX"]).arg(self.repo()).status().unwrap();
        assert!(everyone.success());
        let cache = self.path("cache of another");
        fs::create_dir_all(&cache).unwrap();
        std::os::unix::fs::chown(&cache, Some(65534), Some(65534)).unwrap();
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        // A copy of the program where others may run it.
        let (mine, copy) = (self.command(), self.path("keepfast"));
        fs::copy(mine.get_program(), &copy).unwrap();
        let mut command = Command::new(copy);
        for (name, value) in mine.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("KEEPFAST_CACHE_DIR", cache).uid(65534).gid(65534);
        command
    }

    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        Run::of(self.command().args(arguments).output().unwrap())
    }

    /// Backs up the source, and expects it to go well.
    pub fn backup(&self) -> Run {
        self.run([OsStr::new("backup"), self.path("src").as_os_str()]).succeeds()
    }

    /// Restores the source's contents into a new folder and says whether they are the same.
    pub fn restores_identical(&self) -> bool {
        let target = tempfile::tempdir_in(self.folder.path()).unwrap();
        let snapshot = format!("latest:{}", self.path("src").display());
        self.run(["restore", "--snapshot", &snapshot, "--target", target.path().to_str().unwrap()])
            .succeeds();
        same(&self.path("src"), target.path())
    }

    /// Checks every byte, and expects no finding.
    pub fn is_sound(&self) -> bool {
        let check = self.run(["check", "--read-data"]);
        if check.code != 0 {
            eprintln!("{check:?}");
        }
        check.code == 0 && check.out.contains("no damage found")
    }

    /// The only object, or one of the objects, in a folder of the repository.
    pub fn object(&self, folder: &str) -> PathBuf {
        let mut at = self.repo().join(folder);
        while at.is_dir() {
            at = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
        }
        at
    }
}

impl Run {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Ends with this exit code, and says all of this on standard error.
    pub fn fails(self, code: i32, said: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for words in said {
            assert!(self.err.contains(words), "{words:?} isn't said: {self:?}");
        }
        self
    }
}

/// Runs a program, and says the peak of its memory, in MiB, as time(1) has it in `report`.
pub fn peak_mib_of(program: &Command, report: &Path, arguments: &[&str]) -> u64 {
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-f", "%M", "-o"]).arg(report).arg(program.get_program()).args(arguments).env_clear();
    timed.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Run::of(timed.output().unwrap()).succeeds();
    fs::read_to_string(report).unwrap().trim().parse::<u64>().unwrap() / 1024
}

/// Whether rsync finds no difference, in either direction, in anything but the top's own times.
pub fn same(a: &Path, b: &Path) -> bool {
    let differences = |from: &Path, to: &Path| {
        let output = Command::new("rsync")
            .args(["-aHAXn", "--delete", "--checksum", "-i"])
            .arg(format!("{}/", from.display()))
            .arg(format!("{}/", to.display()))
            .output()
            .expect("rsync is installed by the setup script");
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        lines.lines().filter(|line| !line.ends_with(" ./")).map(str::to_owned).collect::<Vec<_>>()
    };
    let found = [differences(a, b), differences(b, a)].concat();
    if !found.is_empty() {
        eprintln!("{found:#?}");
    }
    found.is_empty()
}
