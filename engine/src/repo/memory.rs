//! What a client remembers of the repository at a place, so that it notices when the store shows
//! another repository there, or an older state. It is kept on this machine, where the caller says: a
//! command's cache, or the state of a program that stays.
//!
//! Nothing else depends on it. A user that can change it can cause warnings and refusals, or prevent them,
//! and no more.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use keepfast_format::ids::{HolderId, ObjectHash, RepositoryId, SessionId, SlotId};
use keepfast_format::names::{self, EpochPart, ObjectName};
use rustix::fs::FlockOperation;

use super::private;

/// The newest snapshot of a writer that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenHead {
    /// Its number among those of its writer.
    pub sequence: u64,
    /// Its session, and so its name.
    pub session: SessionId,
    /// The hash of its object.
    pub hash: ObjectHash,
}

/// What was seen of a repository: the highest numbers, and each writer's newest snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Which repository it is.
    pub repository: RepositoryId,
    /// The highest number of an authentic config.
    pub config: u32,
    /// The highest number of an authentic keyring.
    pub keyring: u32,
    /// The highest epoch with an authentic verdict; 0 if there was none.
    pub verdict: u32,
    /// The key slot that opened last.
    pub slot: Option<SlotId>,
    /// The newest snapshots.
    pub heads: BTreeMap<HolderId, SeenHead>,
}

/// Something that was seen before and that the store doesn't show now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// The newest config has a lower number.
    Config {
        /// The number that was seen.
        seen: u32,
        /// The number now.
        shown: u32,
    },
    /// The newest keyring has a lower number.
    Keyring {
        /// The number that was seen.
        seen: u32,
        /// The number now.
        shown: u32,
    },
    /// The newest verdict has a lower number.
    Verdict {
        /// The epoch that was seen.
        seen: u32,
        /// The epoch now.
        shown: u32,
    },
    /// A snapshot is gone, and no catalogue says that it was compacted.
    Head(SeenHead),
}

impl Older {
    /// The object that was seen and isn't there.
    #[must_use]
    pub fn object(&self) -> ObjectName {
        match self {
            Self::Config { seen, .. } => names::config(*seen),
            Self::Keyring { seen, .. } => names::keyring(*seen),
            Self::Verdict { seen, .. } => names::epoch(*seen, EpochPart::Done),
            Self::Head(head) => names::snapshot(head.session),
        }
    }
}

impl fmt::Display for Older {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { shown, .. } | Self::Keyring { shown, .. } | Self::Verdict { shown, .. } => {
                write!(f, "this machine has seen it, and now number {shown} is the newest")
            }
            Self::Head(head) => write!(
                f,
                "this machine has seen it, snapshot number {} of its writer, and now it is gone",
                head.sequence
            ),
        }
    }
}

impl Remembered {
    /// What isn't shown any more. `has` says whether a snapshot is there, or is gone for a good reason.
    #[must_use]
    pub fn missing_in(&self, shown: &Self, has: impl Fn(&SeenHead) -> bool) -> Vec<Older> {
        let mut older = Vec::new();
        if shown.config < self.config {
            older.push(Older::Config { seen: self.config, shown: shown.config });
        }
        if shown.keyring < self.keyring {
            older.push(Older::Keyring { seen: self.keyring, shown: shown.keyring });
        }
        if shown.verdict < self.verdict {
            older.push(Older::Verdict { seen: self.verdict, shown: shown.verdict });
        }
        older.extend(self.heads.values().filter(|head| !has(head)).map(|head| Older::Head(*head)));
        older
    }

    /// Adds a snapshot, if it is its writer's newest.
    pub fn add_head(&mut self, head: SeenHead) {
        let newest = self.heads.entry(head.session.writer).or_insert(head);
        *newest = head.max(*newest);
    }

    /// Adds what was seen later, or by another process.
    pub fn merge(&mut self, other: &Self) {
        self.config = self.config.max(other.config);
        self.keyring = self.keyring.max(other.keyring);
        self.verdict = self.verdict.max(other.verdict);
        self.slot = other.slot.or(self.slot);
        other.heads.values().for_each(|head| self.add_head(*head));
    }

    /// Lines of text; the last one is a hash of the others.
    fn encode(&self) -> String {
        let mut text = format!(
            "{TITLE}\nrepository {}\nconfig {}\nkeyring {}\nverdict {}\n",
            self.repository, self.config, self.keyring, self.verdict
        );
        if let Some(slot) = self.slot {
            text += &format!("slot {slot}\n");
        }
        for head in self.heads.values().take(HEADS_MAX) {
            text += &format!("head {} {} {}\n", head.session, head.sequence, head.hash);
        }
        let sum = ObjectHash::of(text.as_bytes());
        text + &format!("{SUM}{sum}\n")
    }

    fn decode(text: &str) -> Option<Self> {
        let (body, sum) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let body = format!("{body}\n");
        if ObjectHash::from_hex(sum.strip_prefix(SUM)?)? != ObjectHash::of(body.as_bytes()) {
            return None;
        }
        let mut lines = body.lines().peekable();
        if lines.next()? != TITLE {
            return None;
        }
        let mut seen = Self {
            repository: RepositoryId::from_hex(lines.next()?.strip_prefix("repository ")?)?,
            config: lines.next()?.strip_prefix("config ")?.parse().ok()?,
            keyring: lines.next()?.strip_prefix("keyring ")?.parse().ok()?,
            verdict: lines.next()?.strip_prefix("verdict ")?.parse().ok()?,
            slot: None,
            heads: BTreeMap::new(),
        };
        if let Some(slot) = lines.next_if(|line| line.starts_with("slot ")) {
            seen.slot = Some(SlotId::from_hex(slot.strip_prefix("slot ")?)?);
        }
        for line in lines {
            let mut fields = line.strip_prefix("head ")?.split(' ');
            let session = SessionId::from_name(fields.next()?)?;
            let sequence = fields.next()?.parse().ok()?;
            let hash = ObjectHash::from_hex(fields.next()?)?;
            if fields.next().is_some() {
                return None;
            }
            seen.add_head(SeenHead { sequence, session, hash });
        }
        Some(seen)
    }
}

const TITLE: &str = "keepfast memory 1";
const SUM: &str = "sum ";
/// Writers whose newest snapshots are remembered: a file with them is below [`FILE_BYTES_MAX`].
const HEADS_MAX: usize = 4096;
/// No such file is larger.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file for one place.
#[derive(Debug, Clone)]
pub struct Memory {
    path: PathBuf,
}

/// What reading the file has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recalled {
    /// There is none: nothing was seen at this place.
    Nothing,
    /// It is there, and can't be read or decoded.
    Damaged(String),
    /// What was seen.
    Seen(Box<Remembered>),
}

impl Memory {
    /// The memory of what is at `location`, in a file of its own in `folder`. Nothing is read or
    /// written yet.
    #[must_use]
    pub fn at(folder: &Path, location: &str) -> Self {
        let name = blake3::hash(location.as_bytes()).to_hex();
        Self { path: folder.join(&name[..32]) }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it.
    pub(super) fn recall(&self) -> Recalled {
        match self.read() {
            Ok(text) => match Remembered::decode(&text) {
                Some(seen) => Recalled::Seen(Box::new(seen)),
                None => Recalled::Damaged("it isn't as it was written".to_owned()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Recalled::Nothing,
            Err(error) => Recalled::Damaged(error.to_string()),
        }
    }

    fn read(&self) -> io::Result<String> {
        if let Some(folder) = self.path.parent() {
            private::check(folder)?;
        }
        let bytes = private::read(&self.path, FILE_BYTES_MAX)?;
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Adds what is shown now. Other processes may do so at the same time. What they remember of
    /// another repository, which a user has accepted meanwhile, stays.
    pub(super) fn add(&self, shown: &Remembered) -> io::Result<()> {
        let _turn = self.lock()?;
        let new = match self.recall() {
            Recalled::Nothing | Recalled::Damaged(_) => shown.clone(),
            Recalled::Seen(seen) if seen.repository != shown.repository => return Ok(()),
            Recalled::Seen(seen) => {
                let mut new = (*seen).clone();
                new.merge(shown);
                if new == *seen {
                    return Ok(());
                }
                new
            }
        };
        self.write(&new)
    }

    /// Forgets what was seen, and remembers this.
    pub(super) fn replace(&self, shown: &Remembered) -> io::Result<()> {
        let _turn = self.lock()?;
        self.write(shown)
    }

    fn lock(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            private::make_hidden(folder)?;
        }
        let lock = private::open_lock(&self.path.with_extension("lock"))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
        Ok(lock)
    }

    /// All or nothing. The caller holds the lock.
    fn write(&self, seen: &Remembered) -> io::Result<()> {
        let new = self.path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(private::FILE_MODE).open(&new)?;
        file.write_all(seen.encode().as_bytes())?;
        file.sync_all()?;
        fs::rename(new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use keepfast_format::ids::{HolderId, ObjectHash, RepositoryId, SessionId, SlotId};

    use super::{Memory, Older, Recalled, Remembered, SeenHead};

    fn head(writer: u8, sequence: u8) -> SeenHead {
        let session = SessionId { writer: HolderId::new([writer; 8]), random: [sequence; 16] };
        SeenHead { sequence: sequence.into(), session, hash: ObjectHash::of(&[writer, sequence]) }
    }

    fn seen(config: u32, heads: &[SeenHead]) -> Remembered {
        let mut seen = Remembered {
            repository: RepositoryId::new([1; 16]),
            config,
            keyring: 1,
            verdict: 2,
            slot: Some(SlotId::new([3; 16])),
            heads: BTreeMap::new(),
        };
        heads.iter().for_each(|head| seen.add_head(*head));
        seen
    }

    #[test]
    fn what_is_written_comes_back_and_a_changed_byte_makes_it_damaged() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory::at(&folder.path().join("deep/down"), "/somewhere");
        assert_eq!(memory.recall(), Recalled::Nothing);
        let seen = seen(4, &[head(1, 7), head(2, 0)]);
        memory.add(&seen).expect("it is written");
        assert_eq!(memory.recall(), Recalled::Seen(Box::new(seen.clone())));
        let text = std::fs::read(memory.path()).expect("it is there");
        for position in 0..text.len() {
            let mut changed = text.clone();
            changed[position] ^= 1;
            std::fs::write(memory.path(), changed).expect("it can be written");
            assert!(matches!(memory.recall(), Recalled::Damaged(_)), "byte {position}");
        }
        memory.add(&seen).expect("a damaged one is written again");
        assert_eq!(memory.recall(), Recalled::Seen(Box::new(seen)));
    }

    #[test]
    fn a_memory_only_grows_and_another_repository_s_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory::at(folder.path(), "/somewhere");
        memory.add(&seen(4, &[head(1, 7)])).expect("it is written");
        memory.add(&seen(3, &[head(1, 6), head(2, 1)])).expect("it is written");
        let both = seen(4, &[head(1, 7), head(2, 1)]);
        assert_eq!(memory.recall(), Recalled::Seen(Box::new(both.clone())));
        let other = Remembered { repository: RepositoryId::new([9; 16]), ..seen(9, &[]) };
        memory.add(&other).expect("nothing is written");
        assert_eq!(memory.recall(), Recalled::Seen(Box::new(both)));
        memory.replace(&other).expect("it is written");
        assert_eq!(memory.recall(), Recalled::Seen(Box::new(other)));
    }

    /// Each open file has its own lock, even if one process has opened several.
    #[test]
    fn what_many_see_at_once_is_all_remembered() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory::at(folder.path(), "/somewhere");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let memory = &memory;
                scope.spawn(move || {
                    for sequence in 0..20 {
                        memory.add(&seen(4, &[head(writer, sequence)])).expect("it is written");
                    }
                });
            }
        });
        let all: Vec<SeenHead> = (0..8).map(|writer| head(writer, 19)).collect();
        assert_eq!(memory.recall(), Recalled::Seen(Box::new(seen(4, &all))));
    }

    #[test]
    fn a_fifo_in_its_place_is_damage_and_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let memory = Memory::at(folder.path(), "/somewhere");
        let made = std::process::Command::new("mkfifo").arg(memory.path()).status();
        assert!(made.expect("mkfifo runs").success());
        assert!(matches!(memory.recall(), Recalled::Damaged(_)));
    }

    #[test]
    fn what_is_lower_or_gone_is_named() {
        let seen = seen(4, &[head(1, 7), head(2, 0)]);
        let shown = Remembered { config: 3, verdict: 5, heads: BTreeMap::new(), ..seen.clone() };
        let missing = seen.missing_in(&shown, |head| head.sequence == 0);
        assert_eq!(missing, [Older::Config { seen: 4, shown: 3 }, Older::Head(head(1, 7))]);
    }
}
