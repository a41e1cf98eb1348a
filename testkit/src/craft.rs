//! A crafter: makes objects that are signed and sealed as they should be, and say what they shouldn't.
//!
//! It has what an attacker may have: keys of a writer, or those of an owner. What it puts into the
//! store is what a test hands it; nothing is looked at. When it is dropped, the repository that it has
//! put something into is looked at once more: `check` and `restore` must say the same of it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use keepfast_backend::{Backend, Created};
use keepfast_engine::repo::{Repository, StoredSnapshot};
use keepfast_format::compress::Compressor;
use keepfast_format::content::Content;
use keepfast_format::frame::OpenFrame;
use keepfast_format::ids::{ChunkId, HolderId, ObjectHash, PackId, RepositoryId, SessionId, SlotId};
use keepfast_format::keyring::{Holder, KeptRegister, Keyring};
use keepfast_format::keys::{ChunkKind, DomainSecrets, Identity, KeyRef, Role};
use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};
use keepfast_format::pack::{ChunkEntry, FrameEntry, PackCipher, PackTable};
use keepfast_format::segment::{self, PackRecord};
use keepfast_format::session::Session;
use keepfast_format::signed::{self, SignedKind};
use keepfast_format::slot::{KeySlot, PasswordCost};
use keepfast_format::snapshot::{Snapshot, SnapshotBody, SnapshotHead, Statistics};
use keepfast_format::tree::Tree;
use keepfast_format::{limits, names};
use zeroize::Zeroizing;

use crate::agree::assert_agreement_in;
use crate::lab::Lab;
use crate::store;

/// Makes objects of one repository.
pub struct Crafter {
    /// Where they go.
    pub backend: Arc<dyn Backend>,
    /// The repository.
    pub repository: RepositoryId,
    /// An owner's keys.
    pub owner: Identity,
    /// The keys that new data goes under.
    pub secrets: DomainSecrets,
    /// The keys of earlier versions.
    pub earlier: Vec<DomainSecrets>,
    /// Everything "random" is a hash of how many were drawn before.
    drawn: AtomicU64,
    /// The laboratory's password.
    password: Vec<u8>,
    /// Whether `check` and `restore` are to be compared in the end.
    compares: AtomicBool,
}

impl Drop for Crafter {
    fn drop(&mut self) {
        if *self.compares.get_mut() && !std::thread::panicking() {
            assert_agreement_in(&self.backend, &self.password);
        }
    }
}

/// A pack that was made, and is stored or not.
#[derive(Debug, Clone)]
pub struct CraftedPack {
    /// Data or metadata.
    pub kind: ChunkKind,
    /// Its stored bytes.
    pub bytes: Vec<u8>,
    /// What it holds.
    pub table: PackTable,
}

/// What a crafted session commits.
#[derive(Debug, Clone, Default)]
pub struct Crafted {
    /// Plaintexts of data chunks.
    pub data: Vec<Vec<u8>>,
    /// Plaintexts of metadata chunks.
    pub metadata: Vec<Vec<u8>>,
}

impl CraftedPack {
    /// The id that its bytes have.
    #[must_use]
    pub fn id(&self) -> PackId {
        PackId::of(&self.bytes)
    }

    /// What a segment that tells the truth says of it.
    #[must_use]
    pub fn record(&self) -> PackRecord {
        PackRecord {
            id: self.id(),
            kind: self.kind,
            stored_bytes: self.bytes.len() as u64,
            table: self.table.clone(),
        }
    }
}

impl Crafter {
    /// Takes the keys of a laboratory's repository.
    #[must_use]
    pub fn of(lab: &Lab) -> Self {
        let opened = Repository::open(Arc::clone(&lab.backend), &lab.password).expect("it opens");
        let current = opened.current().key();
        let earlier =
            (1..current.version).filter_map(|version| opened.secrets(KeyRef { version, ..current }));
        Self {
            backend: Arc::clone(&lab.backend),
            repository: opened.id(),
            owner: opened.identity().clone(),
            secrets: opened.current().clone(),
            earlier: earlier.cloned().collect(),
            drawn: AtomicU64::new(0),
            password: lab.password.clone(),
            compares: AtomicBool::new(false),
        }
    }

    /// What is in the repository in the end can't be restored, and not because it is damaged: so there is
    /// nothing to compare.
    pub fn compares_nothing(mut self) -> Self {
        self.compares = AtomicBool::new(false);
        self.password.clear();
        self
    }

    /// Bytes that no other call gives.
    pub fn random<const N: usize>(&self) -> Zeroizing<[u8; N]> {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Zeroizing::new([0; N]);
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"crafter").update(self.repository.as_bytes()).update(&number.to_le_bytes());
        hasher.finalize_xof().fill(bytes.as_mut());
        bytes
    }

    /// Creates an object, which must be new.
    #[track_caller]
    pub fn put(&self, name: impl fmt::Display, bytes: &[u8]) {
        let created = self.backend.create(&name.to_string(), &[bytes]).expect("objects can be created");
        assert_eq!(created, Created::New, "{name} is there already");
        self.compares.store(!self.password.is_empty(), Ordering::Relaxed);
    }

    /// An object's bytes.
    #[must_use]
    #[track_caller]
    pub fn get(&self, name: impl fmt::Display) -> Vec<u8> {
        self.backend.read(&name.to_string(), u64::MAX).expect("the object can be read")
    }

    /// The names of all objects below a prefix, sorted.
    #[must_use]
    pub fn names(&self, prefix: &str) -> Vec<String> {
        store::names(&*self.backend, prefix)
    }

    /// The newest keyring's number, hash and holders.
    fn keyring(&self) -> (u32, ObjectHash, Vec<Holder>) {
        let opened = self.names(names::KEYRING).into_iter().rev().find_map(|name| {
            let (bytes, n) = (self.get(&name), names::parse_numbered(names::KEYRING, &name)?);
            let ring = Keyring::open(&bytes, self.repository, n, self.owner.owners()).ok()?;
            Some((ring.n, ObjectHash::of(&bytes), ring.holders))
        });
        opened.expect("there is an authentic keyring")
    }

    /// Writes a keyring with these holders instead, as an owner does to add or revoke a holder.
    pub fn set_holders(&self, holders: Vec<Holder>) {
        let (n, hash, _) = self.keyring();
        let ephemeral = || self.random();
        let secrets: Vec<&DomainSecrets> = self.earlier.iter().chain([&self.secrets]).collect();
        let ring = Keyring::seal(self.repository, &self.owner, Some((n, hash)), holders, &secrets, ephemeral);
        self.put(names::keyring(n + 1), &ring.expect("the keyring can be sealed"));
    }

    /// Adds a holder with a role and a password, as an owner does: a keyring and a key slot.
    pub fn enrol(&self, role: Role, password: &[u8]) -> Identity {
        let holder = Identity::new(role, &self.random(), self.owner.owners().to_vec());
        let (_, _, mut holders) = self.keyring();
        holders.push(Holder::of(&holder));
        self.set_holders(holders);
        let cost = PasswordCost { memory_kib: 8, passes: 1, lanes: 1 };
        let (salt, nonce) = (*self.random(), *self.random());
        let slot = KeySlot::wrap(&holder, self.repository, password, cost, salt, nonce);
        let slot = slot.expect("the slot can be made");
        self.put(names::slot(SlotId::of(&slot)), &slot);
        holder
    }

    /// Says that a holder continues the history of others, as an owner does after a key was replaced.
    pub fn continues(&self, holder: &Identity, others: &[HolderId]) {
        let (_, _, mut holders) = self.keyring();
        let entry = holders.iter_mut().find(|known| known.id() == holder.holder());
        entry.expect("it is a holder").continues = others.to_vec();
        self.set_holders(holders);
    }

    /// Takes the right to write from a holder, as an owner does whose writer's key may be stolen: what
    /// it has committed so far counts, and nothing that is signed later.
    pub fn retire(&self, holder: &Identity, registers: &[&StoredSnapshot]) {
        let (_, _, mut holders) = self.keyring();
        let entry = holders.iter_mut().find(|known| known.id() == holder.holder());
        let entry = entry.expect("it is a holder");
        entry.role = Role::Reader;
        let kept = registers.iter().map(|stored| KeptRegister {
            random: stored.snapshot.head.id.random,
            segments: stored.snapshot.head.segments,
            hash: stored.hash,
        });
        entry.kept = kept.collect();
        self.set_holders(holders);
    }

    /// Revokes a holder, as an owner does: a keyring without it.
    pub fn revoke(&self, holder: &Identity) {
        let (_, _, mut holders) = self.keyring();
        holders.retain(|known| known.id() != holder.holder());
        self.set_holders(holders);
    }

    /// Gives the domain another version of its keys, as an owner does: from then on all that is new goes
    /// under it.
    pub fn rotate(&mut self) {
        let key = KeyRef { version: self.secrets.key().version + 1, ..self.secrets.key() };
        let next = DomainSecrets::of_version(key, &self.random());
        self.earlier.push(std::mem::replace(&mut self.secrets, next));
        let (_, _, holders) = self.keyring();
        self.set_holders(holders);
    }

    /// Announces a session.
    pub fn begin(&self, writer: &Identity) -> SessionId {
        let id = SessionId { writer: writer.holder(), random: *self.random() };
        let session = Session {
            id,
            config_n: 0,
            program: "crafter".to_owned(),
            begun_unix_s: None,
            is_collector: false,
        };
        self.put(names::session(id), &session.seal(self.repository, writer));
        id
    }

    /// The id of a chunk.
    #[must_use]
    pub fn chunk_id(&self, kind: ChunkKind, plain: &[u8]) -> ChunkId {
        self.secrets.chunk_ids().id(kind, plain)
    }

    /// A pack of these chunks, a frame for each inner list, that tells the truth.
    #[must_use]
    pub fn pack(&self, kind: ChunkKind, frames: &[Vec<Vec<u8>>]) -> CraftedPack {
        self.lying_pack(kind, frames, |_| {})
    }

    /// A pack of these chunks whose directory is changed before it is sealed.
    #[must_use]
    pub fn lying_pack(
        &self,
        kind: ChunkKind,
        frames: &[Vec<Vec<u8>>],
        lie: impl FnOnce(&mut PackTable),
    ) -> CraftedPack {
        let cipher = PackCipher::create(self.repository, &self.secrets, kind, &self.random())
            .expect("the sealing key is a good one");
        let ids = self.secrets.chunk_ids();
        let mut bytes = cipher.header().to_vec();
        let mut table = PackTable::default();
        for (number, chunks) in (0..).zip(frames) {
            let mut frame = OpenFrame::default();
            chunks.iter().for_each(|chunk| frame.push(chunk));
            let closed = frame.close(&mut Compressor::new(3), Vec::new());
            let plain_bytes = closed.plain_bytes();
            let sealed = closed.seal(&cipher, number);
            table.frames.push(FrameEntry {
                offset: short(bytes.len()),
                sealed_bytes: short(sealed.len()),
                plain_bytes,
                chunks: short(chunks.len()),
            });
            bytes.extend_from_slice(&sealed);
            let entry = |chunk: &Vec<u8>| ChunkEntry { id: ids.id(kind, chunk), bytes: short(chunk.len()) };
            table.chunks.extend(chunks.iter().map(entry));
        }
        lie(&mut table);
        bytes.extend(cipher.tail(&table, limits::PACK_BYTES_MIN));
        CraftedPack { kind, bytes, table }
    }

    /// Stores a pack under a session's name.
    pub fn put_pack(&self, session: SessionId, pack: &CraftedPack) {
        self.put(names::pack(pack.id(), session), &pack.bytes);
    }

    /// Stores a segment, the session's `n`th.
    pub fn put_segment(&self, writer: &Identity, session: SessionId, n: u32, packs: &[PackRecord]) {
        let salt = *self.random();
        let bytes = segment::seal(self.repository, &self.secrets, writer, session, n, packs, salt);
        self.put(names::segment(session, n), &bytes);
    }

    /// The head and the body of a snapshot of this root tree, both plain.
    #[must_use]
    pub fn snapshot_of(&self, session: SessionId, tree: ChunkId) -> Snapshot {
        let head = SnapshotHead {
            id: session,
            sequence: 0,
            previous: None,
            config_n: 0,
            epoch: 0,
            segments: 1,
            pack_list: Snapshot::pack_list_hash(&[]),
            heads: Vec::new(),
            key: self.secrets.key(),
        };
        let time = Timestamp { seconds: 4_000_000_000, nanos: 0 };
        let body = SnapshotBody {
            start: time,
            end: time,
            host: "crafted".to_owned(),
            user: "crafter".to_owned(),
            paths: vec![b"/crafted".to_vec()],
            tags: Vec::new(),
            parent: None,
            tree,
            state: None,
            hard_links: Content::empty(),
            users: Vec::new(),
            groups: Vec::new(),
            statistics: Statistics::default(),
            program: "crafter".to_owned(),
            origin: None,
        };
        Snapshot::new(head, body)
    }

    /// Seals and stores a snapshot.
    pub fn put_snapshot(&self, writer: &Identity, snapshot: &Snapshot) {
        let bytes = snapshot.seal(self.repository, &self.secrets, writer);
        self.put(names::snapshot(snapshot.head.id), &bytes);
    }

    /// The verdict of an epoch as programs wrote it before names counted: by the ids of packs.
    #[must_use]
    pub fn verdict_by_ids(&self, epoch: u32, ids: impl IntoIterator<Item = PackId>) -> Vec<u8> {
        let ids: BTreeSet<PackId> = ids.into_iter().collect();
        let joined: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
        let mut payload = Vec::new();
        let mut out = minicbor::Encoder::new(&mut payload);
        out.map(3)
            .and_then(|out| out.u8(0)?.bytes(self.repository.as_bytes()))
            .and_then(|out| out.u8(1)?.u32(epoch)?.u8(2)?.bytes(&joined))
            .expect("writing to memory doesn't fail");
        signed::seal_envelope(SignedKind::Verdict, self.repository, &self.owner, &payload)
    }

    /// Runs a whole session: stores these chunks with a segment that tells the truth, and commits a
    /// snapshot of `tree` that `change` may make a lie.
    pub fn commit(
        &self,
        writer: &Identity,
        content: &Crafted,
        tree: ChunkId,
        change: impl FnOnce(&mut Snapshot),
    ) -> SessionId {
        let session = self.begin(writer);
        let mut records = Vec::new();
        for (kind, chunks) in [(ChunkKind::Data, &content.data), (ChunkKind::Metadata, &content.metadata)] {
            if !chunks.is_empty() {
                let pack = self.pack(kind, std::slice::from_ref(chunks));
                self.put_pack(session, &pack);
                records.push(pack.record());
            }
        }
        self.put_segment(writer, session, 0, &records);
        let mut snapshot = self.snapshot_of(session, tree);
        snapshot.head.pack_list = Snapshot::pack_list_hash(records.iter().map(|record| &record.id));
        change(&mut snapshot);
        self.put_snapshot(writer, &snapshot);
        session
    }
}

/// A regular file's node, for crafted trees.
#[must_use]
pub fn file(name: &str, size: u64, content: Content, extents: Extents) -> Node {
    node(name, NodeKind::File { size, content, extents })
}

/// A directory's node, for crafted trees.
#[must_use]
pub fn directory(name: &str, tree: ChunkId) -> Node {
    node(name, NodeKind::Directory { tree })
}

/// A node of any kind, for crafted trees.
#[must_use]
pub fn node(name: &str, kind: NodeKind) -> Node {
    Node {
        name: name.into(),
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: Timestamp { seconds: 1_700_000_000, nanos: 0 },
        xattrs: Vec::new(),
        kind,
        unknown: None,
    }
}

/// The plaintext of a directory of one page.
#[must_use]
pub fn page(nodes: Vec<Node>) -> Vec<u8> {
    Tree::Page(nodes).encode()
}

/// A length of what a test crafts, which is never long.
fn short(length: usize) -> u32 {
    u32::try_from(length).expect("a crafted pack is small")
}
