//! The snapshot: the commit point of a backup.
//!
//! Its public side (writer, packs, earlier snapshots) is signed and readable by anyone. What it says
//! about the backed-up machine is sealed under the index key.

use serde_cbor::Value;

use crate::FormatError;
use crate::aead::NonceSpace;
use crate::cbor::{FieldReader, Fields, Ignorable};
use crate::content::Content;
use crate::ids::{ChunkId, DomainId, HolderId, ObjectHash, RepositoryId, SessionId};
use crate::item::Items;
use crate::keys::{DomainSecrets, Identity, KeyRef};
use crate::node::Timestamp;
use crate::signed::{self, Envelope, SignedKind};

const WHAT: &str = "snapshot";
/// The ignorable field of a head with the random part of its session id.
const HEAD_SESSION: i128 = -1;
/// The ignorable field of a body with the session id of the snapshot that this one replaces.
const ORIGIN: i128 = -1;

/// The counts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Files that the parent snapshot doesn't contain.
    pub files_new: u64,
    /// Files that differ from the parent snapshot's.
    pub files_changed: u64,
    /// Files taken from the parent snapshot unchanged.
    pub files_unchanged: u64,
    /// Files and directories that couldn't be read.
    pub skipped: u64,
    /// Directories.
    pub dirs: u64,
    /// Bytes of all files, without holes.
    pub bytes_total: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes of chunks that were new to the repository.
    pub bytes_new: u64,
    /// Bytes stored for them, including metadata.
    pub bytes_stored: u64,
}

impl Statistics {
    /// The number of all files.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files_new.saturating_add(self.files_changed).saturating_add(self.files_unchanged)
    }
}

/// The newest snapshot of one writer that another writer has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The writer.
    pub writer: HolderId,
    /// Its sequence number.
    pub sequence: u64,
    /// The hash of its stored bytes.
    pub hash: ObjectHash,
    /// The random part of its session id. Old programs don't store it.
    pub random: Option<[u8; 16]>,
}

impl Head {
    /// The session that committed it, if the head has its random part.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.random.map(|random| SessionId { writer: self.writer, random })
    }
}

/// The public side of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The session that committed it.
    pub id: SessionId,
    /// How many snapshots this writer had committed before it.
    pub sequence: u64,
    /// The hash of the writer's previous snapshot.
    pub previous: Option<ObjectHash>,
    /// The number of the config that it was made under.
    pub config_n: u32,
    /// The garbage-collection epoch that the session last acknowledged.
    pub epoch: u64,
    /// How many index segments the session wrote.
    pub segments: u32,
    /// The hash of the concatenated ids of the session's packs, in the order of its segments.
    pub pack_list: ObjectHash,
    /// The newest snapshot that was seen of each writer.
    pub heads: Vec<Head>,
    /// The keys of its chunks.
    pub key: KeyRef,
}

/// The sealed side of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotBody {
    /// When the run began, by the machine's clock.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// The machine.
    pub host: String,
    /// The user that ran it.
    pub user: String,
    /// What was backed up: absolute paths, or names of streams.
    pub paths: Vec<Vec<u8>>,
    /// Labels.
    pub tags: Vec<String>,
    /// The snapshot that files were compared with.
    pub parent: Option<SessionId>,
    /// The root tree.
    pub tree: ChunkId,
    /// The root of the state tree, if there is one.
    pub state: Option<ChunkId>,
    /// Groups of hard links, as a blob (see [`crate::links`]).
    pub hard_links: Content,
    /// Names of user ids.
    pub users: Vec<(u32, Vec<u8>)>,
    /// Names of group ids.
    pub groups: Vec<(u32, Vec<u8>)>,
    /// The counts of the run.
    pub statistics: Statistics,
    /// The program's name and version.
    pub program: String,
    /// The snapshot that this one replaces: a forgotten one that it restores to the list, or one of which
    /// it is a changed copy. The field counts only if an owner has signed this snapshot.
    pub origin: Option<SessionId>,
}

/// A snapshot: both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The public side.
    pub head: SnapshotHead,
    /// The sealed side.
    pub body: SnapshotBody,
    ignorable: Ignorable,
}

/// What the register `snapshots/<sid>` holds.
#[derive(Debug)]
pub enum Register {
    /// A committed snapshot.
    Snapshot(Box<Snapshot>),
    /// A FENCE: the session can't commit any more.
    Fence(SessionId),
}

impl Snapshot {
    /// A snapshot with these two sides.
    #[must_use]
    pub fn new(head: SnapshotHead, body: SnapshotBody) -> Self {
        Self { head, body, ignorable: Ignorable::new() }
    }

    /// A snapshot with these two sides that is made from another one. It keeps the fields of that one that
    /// this program doesn't know.
    #[must_use]
    pub fn made_from(head: SnapshotHead, body: SnapshotBody, other: &Self) -> Self {
        Self { head, body, ignorable: other.ignorable.clone() }
    }

    /// The stored bytes: encoded, with the private side sealed, and signed by the writer.
    #[must_use]
    pub fn seal(&self, repository: RepositoryId, secrets: &DomainSecrets, writer: &Identity) -> Vec<u8> {
        let head = &self.head;
        let mut sealed = self.body.encode(&self.ignorable);
        secrets.snapshot_cipher(repository, head.id).seal(
            NonceSpace::Record,
            0,
            repository.as_bytes(),
            &mut sealed,
            0,
        );
        let heads = head.heads.iter().map(|head| {
            Fields::new()
                .bytes(0, head.writer.as_bytes())
                .uint(1, head.sequence)
                .bytes(2, head.hash.as_bytes())
                .maybe(head.random, |fields, random| fields.bytes(HEAD_SESSION, &random))
                .value()
        });
        let fields = Fields::new()
            .bytes(1, &head.id.to_bytes())
            .uint(2, head.sequence)
            .maybe(head.previous, |fields, hash| fields.bytes(3, hash.as_bytes()))
            .uint(4, head.config_n.into())
            .uint(5, head.epoch)
            .uint(6, head.segments.into())
            .bytes(7, head.pack_list.as_bytes())
            .array(8, heads.collect())
            .bytes(9, head.key.domain.as_bytes())
            .uint(10, head.key.version.into())
            .bytes(11, &sealed);
        signed::seal_fields(SignedKind::Snapshot, repository, writer, fields)
    }

    /// The hash of the session's pack list.
    #[must_use]
    pub fn pack_list_hash<'a>(packs: impl IntoIterator<Item = &'a crate::ids::PackId>) -> ObjectHash {
        let mut hasher = blake3::Hasher::new();
        for pack in packs {
            hasher.update(pack.as_bytes());
        }
        ObjectHash::new(*hasher.finalize().as_bytes())
    }
}

impl Register {
    /// The stored bytes of a FENCE for session `id`. The signer is an owner, or the session's own writer
    /// when it gives up.
    #[must_use]
    pub fn seal_fence(repository: RepositoryId, id: SessionId, signer: &Identity) -> Vec<u8> {
        signed::seal_fields(SignedKind::Fence, repository, signer, Fields::new().bytes(1, &id.to_bytes()))
    }

    /// Reads the register of session `id`. `writer` looks up the key of a holder that may write. An owner
    /// or that session's writer must have signed a FENCE.
    pub fn open<'k>(
        bytes: &[u8],
        repository: RepositoryId,
        id: SessionId,
        writer: impl FnOnce(HolderId) -> Option<&'k [u8; 32]>,
        owners: &[[u8; 32]],
        secrets: impl FnOnce(KeyRef) -> Option<&'k DomainSecrets>,
    ) -> Result<Self, FormatError> {
        let envelope = Envelope::decode(bytes)?;
        if envelope.kind() == SignedKind::Fence {
            // A writer may give up its own session. Only an owner can end the session of another writer.
            let mut fields = if envelope.signer() == id.writer
                && let Some(key) = writer(id.writer)
            {
                envelope.fields(SignedKind::Fence, repository, key)?
            } else {
                envelope.fields_by_owner(SignedKind::Fence, repository, owners)?
            };
            let fenced = SessionId::from_bytes(&fields.fixed(1)?);
            if fenced != id {
                return Err(SignedKind::Fence.not_authentic());
            }
            fields.finish()?;
            return Ok(Self::Fence(fenced));
        }
        let not_authentic = SignedKind::Snapshot.not_authentic();
        let key = writer(envelope.signer()).ok_or(not_authentic.clone())?;
        let mut fields = envelope.fields(SignedKind::Snapshot, repository, key)?;
        let head = read_head(&mut fields)?;
        let mut sealed = fields.bytes(11)?.to_vec();
        fields.finish()?;
        if head.id != id || id.writer != envelope.signer() {
            return Err(not_authentic);
        }
        let secrets = secrets(head.key).ok_or(FormatError::NoKey { what: WHAT })?;
        let plain = secrets.snapshot_cipher(repository, id).open(
            NonceSpace::Record,
            0,
            repository.as_bytes(),
            &mut sealed,
            WHAT,
        )?;
        let (body, ignorable) = SnapshotBody::decode(plain)?;
        Ok(Self::Snapshot(Box::new(Snapshot { head, body, ignorable })))
    }
}

fn read_head(fields: &mut FieldReader<'_>) -> Result<SnapshotHead, FormatError> {
    let heads = fields.maps(8, |mut fields| {
        let head = Head {
            writer: HolderId::new(fields.fixed(0)?),
            sequence: fields.uint(1)?,
            hash: ObjectHash::new(fields.fixed(2)?),
            random: fields.ignorable_fixed(HEAD_SESSION),
        };
        fields.finish()?;
        Ok(head)
    })?;
    Ok(SnapshotHead {
        id: SessionId::from_bytes(&fields.fixed(1)?),
        sequence: fields.uint(2)?,
        previous: fields.optional_fixed(3)?.map(ObjectHash::new),
        config_n: fields.u32(4)?,
        epoch: fields.uint(5)?,
        segments: fields.u32(6)?,
        pack_list: ObjectHash::new(fields.fixed(7)?),
        heads,
        key: KeyRef { domain: DomainId::new(fields.fixed(9)?), version: fields.u32(10)? },
    })
}

impl SnapshotBody {
    fn encode(&self, ignorable: &Ignorable) -> Vec<u8> {
        let time = |time: Timestamp| {
            Value::Array(vec![Value::Integer(time.seconds.into()), Value::Integer(time.nanos.into())])
        };
        let names = |names: &[(u32, Vec<u8>)]| {
            let mut flat = Vec::new();
            for (id, name) in names {
                flat.push(Value::Integer((*id).into()));
                flat.push(Value::Bytes(name.clone()));
            }
            flat
        };
        let s = &self.statistics;
        let counts = [
            s.files_new,
            s.files_changed,
            s.files_unchanged,
            s.skipped,
            s.dirs,
            s.bytes_total,
            s.bytes_read,
            s.bytes_new,
            s.bytes_stored,
        ];
        let statistics = (0..).zip(counts).fold(Fields::new(), |fields, (key, n)| fields.uint(key, n));
        Fields::new()
            .with(0, time(self.start))
            .with(1, time(self.end))
            .text(2, &self.host)
            .text(3, &self.user)
            .array(4, self.paths.iter().cloned().map(Value::Bytes).collect())
            .array(5, self.tags.iter().cloned().map(Value::Text).collect())
            .maybe(self.parent, |fields, parent| fields.bytes(6, &parent.to_bytes()))
            .bytes(7, self.tree.as_bytes())
            .maybe(self.state, |fields, state| fields.bytes(8, state.as_bytes()))
            .bytes(9, &self.hard_links.encode())
            .array(10, names(&self.users))
            .array(11, names(&self.groups))
            .with(12, statistics.value())
            .text(13, &self.program)
            .ignorable(ignorable)
            .maybe(self.origin, |fields, origin| fields.bytes(ORIGIN, &origin.to_bytes()))
            .encode()
    }

    fn decode(plain: &[u8]) -> Result<(Self, Ignorable), FormatError> {
        let mut fields = FieldReader::decode(WHAT, plain)?;
        let mut counts = fields.map(12)?;
        let body = Self {
            start: read_time(&mut fields, 0)?,
            end: read_time(&mut fields, 1)?,
            host: fields.text(2)?,
            user: fields.text(3)?,
            paths: fields.byte_strings(4)?,
            tags: fields.texts(5)?,
            parent: fields.optional_fixed(6)?.map(|bytes| SessionId::from_bytes(&bytes)),
            tree: ChunkId::new(fields.fixed(7)?),
            state: fields.optional_fixed(8)?.map(ChunkId::new),
            hard_links: Content::decode(fields.bytes(9)?, WHAT)?,
            users: read_names(&mut fields, 10)?,
            groups: read_names(&mut fields, 11)?,
            statistics: Statistics {
                files_new: counts.uint(0)?,
                files_changed: counts.uint(1)?,
                files_unchanged: counts.uint(2)?,
                skipped: counts.uint(3)?,
                dirs: counts.uint(4)?,
                bytes_total: counts.uint(5)?,
                bytes_read: counts.uint(6)?,
                bytes_new: counts.uint(7)?,
                bytes_stored: counts.uint(8)?,
            },
            program: fields.text(13)?,
            origin: fields.ignorable_fixed(ORIGIN).map(|bytes| SessionId::from_bytes(&bytes)),
        };
        counts.finish()?;
        Ok((body, fields.finish()?))
    }
}

fn read_time(fields: &mut FieldReader<'_>, key: i128) -> Result<Timestamp, FormatError> {
    let numbers = fields.array(key, Items::int)?;
    match numbers.as_slice() {
        [seconds, nanos] => u32::try_from(*nanos)
            .ok()
            .and_then(|nanos| Timestamp::new(*seconds, nanos))
            .ok_or_else(|| fields.malformed("a time is out of range")),
        _ => Err(fields.malformed("a time isn't a pair")),
    }
}

fn read_names(fields: &mut FieldReader<'_>, key: i128) -> Result<Vec<(u32, Vec<u8>)>, FormatError> {
    fields.pairs(key, |items| {
        let id = u32::try_from(items.uint()?);
        let id =
            id.map_err(|_| FormatError::Malformed { what: WHAT, why: "a user or group id is out of range" })?;
        Ok((id, items.bytes()?.to_vec()))
    })
}
