//! What tests of several databases share: surroundings, and places for dumps that do something while they are written.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{self, Read};
use std::path::Path;
use std::sync::Mutex;

use keepfast_process::Cancel;
use keepfast_process::redact::KnownSecrets;
use keepfast_sources::address::{Address, Password};
use keepfast_sources::context::{Context, Progress};
use keepfast_sources::sink::{Attributes, NewFile, Sink};
use tempfile::TempDir;

/// Surroundings of a run, in a folder of their own.
pub struct Around {
    pub folder: TempDir,
    pub cancel: Cancel,
    pub secrets: KnownSecrets,
}

impl Around {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("scratch")).expect("a folder");
        Self { folder, cancel: Cancel::new(), secrets: KnownSecrets::default() }
    }

    pub fn context(&self) -> Context<'static> {
        Context {
            cancel: self.cancel.clone(),
            secrets: self.secrets.clone(),
            programs: Vec::new(),
            scratch: self.folder.path().join("scratch"),
            progress: &|_: Progress<'_>| {},
        }
    }

    /// An empty folder of this name.
    pub fn place(&self, name: &str) -> std::path::PathBuf {
        let place = self.folder.path().join(name);
        std::fs::create_dir(&place).expect("a folder");
        place
    }

    /// Nothing was left in the folder for what has to be a file.
    pub fn assert_scratch_is_empty(&self) {
        let left: Vec<_> = std::fs::read_dir(self.folder.path().join("scratch")).expect("a folder").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// An address with a password.
pub fn with_password(text: &str, password: &str) -> Address {
    let password = Some(Password::new(password.to_owned().into()));
    Address { password, ..Address::parse(text).expect(text) }
}

/// Takes anything; once this many bytes have come, it does something, and goes on with what comes of it.
pub struct Acting<'a> {
    after_bytes: u64,
    act: Mutex<Option<Box<dyn FnOnce() -> io::Result<()> + Send + 'a>>>,
}

impl<'a> Acting<'a> {
    pub fn new(after_bytes: u64, act: impl FnOnce() -> io::Result<()> + Send + 'a) -> Self {
        Self { after_bytes, act: Mutex::new(Some(Box::new(act))) }
    }

    /// As a disk that is full.
    pub fn full(after_bytes: u64) -> Self {
        Self::new(after_bytes, || Err(io::ErrorKind::StorageFull.into()))
    }
}

impl Sink for Acting<'_> {
    fn file(&self, _: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64> {
        let mut piece = vec![0; 16 << 10];
        let mut done = 0;
        loop {
            let count = content.read(&mut piece)?;
            if count == 0 {
                return Ok(done);
            }
            done += u64::try_from(count).expect("it fits");
            if done >= self.after_bytes
                && let Some(act) = self.act.lock().expect("no panic").take()
            {
                act()?;
            }
        }
    }

    fn folder(&self, _: &str, _: Attributes) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, _: &str, _: &str, _: Attributes) -> io::Result<()> {
        Ok(())
    }
}

/// A copy of a dump in which one byte of a file is another.
pub fn flipped(dump: &Path, to: &Path, file: &str, at: impl FnOnce(usize) -> usize) {
    copied(dump, to);
    let mut bytes = std::fs::read(to.join(file)).expect("the file is there");
    let at = at(bytes.len());
    bytes[at] ^= 0x40;
    std::fs::write(to.join(file), bytes).expect("it can be written");
}

/// A copy of a dump.
pub fn copied(dump: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(dump).expect("the dump is there").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copied(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}
