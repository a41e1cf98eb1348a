//! A folder with a repository, and what a server needs to use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use keepfast_backend::RunLink;
use keepfast_engine::archive::{ArchiveReport, Source, archive};
use keepfast_engine::repo::{InitOptions, Repository};
use keepfast_engine::run::{RunContext, Unheard};
use keepfast_format::chunker::ChunkerParams;
use keepfast_format::slot::PasswordCost;
use keepfast_operations::Result;
use keepfast_operations::child::Children;
use keepfast_operations::child::CommandLine;
use keepfast_operations::host::SystemHost;
use keepfast_operations::open::{Access, Mode, SharedRepository, Target};
use keepfast_operations::place::{Place, S3Settings, connect};
use keepfast_operations::remark::Remark;
use keepfast_operations::secret::SecretSource;
use keepfast_testkit::lab::archive_options;
use tempfile::TempDir;

/// Argon2's least, so that tests are quick.
pub const COST: PasswordCost = PasswordCost { memory_kib: 8, passes: 1, lanes: 1 };

/// A repository whose password is `correct horse`, and a place for its cache.
pub struct Desk {
    pub folder: TempDir,
    pub remarks: Arc<Mutex<Vec<Remark>>>,
}

impl Desk {
    pub fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap(), remarks: Arc::default() };
        fs::write(desk.path("password"), "correct horse").unwrap();
        let store = connect(&desk.place(), &S3Settings::default(), &Children::default(), None).unwrap();
        let options = InitOptions {
            chunker: ChunkerParams::of_average(4 << 10),
            pack_bytes: 4 << 20,
            single_writer: false,
            password_cost: COST,
            now_unix_s: 0,
        };
        Repository::init(store.for_run(RunLink::default()), b"correct horse", &options).unwrap();
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn place(&self) -> Place {
        Place::of_directory(&self.path("repository"))
    }

    /// The repository, with a password command that notes each time that it is run.
    pub fn shared(&self) -> SharedRepository {
        let (password, count) = (self.path("password"), self.path("asked"));
        let script = format!("echo asked >> {}; cat {}", count.display(), password.display());
        let target = Target {
            cache: Some(self.path("cache")),
            ..Target::new(self.place(), SecretSource::Command(CommandLine::Shell(script)))
        };
        let remarks = Arc::clone(&self.remarks);
        let access = Access {
            remarks: Arc::new(move |_, remark| remarks.lock().unwrap().push(remark.clone())),
            ..Access::default()
        };
        SharedRepository::connect(target, access).unwrap()
    }

    /// How often the password was asked for.
    pub fn asked(&self) -> usize {
        fs::read_to_string(self.path("asked")).map_or(0, |text| text.lines().count())
    }

    /// The folders that were used for an index.
    pub fn index_folders(&self) -> Vec<String> {
        let mut found = Vec::new();
        let seen = self.path("cache/seen");
        for repository in fs::read_dir(self.path("cache")).unwrap().map(|entry| entry.unwrap().path()) {
            if repository != seen {
                let inside = fs::read_dir(repository).unwrap().map(|entry| entry.unwrap());
                let dirs = inside.filter(|entry| entry.path().is_dir());
                found.extend(dirs.map(|entry| entry.file_name().into_string().unwrap()));
            }
        }
        found.retain(|name| name.starts_with("index-"));
        found.sort();
        found
    }

    /// Copies a folder as it is, in the place of what is there.
    pub fn copy(&self, from: &str, to: &str) {
        let _ = fs::remove_dir_all(self.path(to));
        let copied = Command::new("cp").arg("-a").arg(self.path(from)).arg(self.path(to)).status().unwrap();
        assert!(copied.success());
    }
}

/// A run of two threads on this machine.
pub fn run() -> RunContext {
    RunContext::new(Arc::new(SystemHost), Arc::new(Unheard)).with_threads(2)
}

/// Opens the repository and backs a folder up.
pub fn back_up(shared: &SharedRepository, folder: &Path) -> Result<ArchiveReport> {
    let run = run();
    let opened = shared.open(&run, Mode::Usual)?;
    let paths = [folder.to_owned()];
    let source = Source::paths(&paths);
    Ok(archive(&opened.repository, &opened.index, &opened.snapshots, source, &archive_options(), &run)?)
}
