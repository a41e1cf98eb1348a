//! Index segments: the tables of many packs in one object, readable by range.
//!
//! A public head, signed by the writer, names the packs and the hash of every section;
//! behind it come the hooks (a sample of chunk ids), then one table per pack, each
//! sealed under the index key.

use crate::FormatError;
use crate::aead::{Cipher, NonceSpace, TAG_BYTES};
use crate::ids::{ChunkId, DomainId, HolderId, PackId, RepositoryId, SessionId};
use crate::keys::{ChunkKind, DomainSecrets, Identity, KeyRef, SUITE};
use crate::limits;
use crate::pack::PackTable;
use crate::signed::{self, Envelope, SignedKind};
use crate::wire::Reader;

const WHAT: &str = "index segment";
const MAGIC: &[u8; 8] = b"KEEPINDX";
/// Ids with this many low zero bits are hooks: one in 64.
const HOOK_BITS: u8 = 6;
/// Length of the front that says how long the signed head is.
pub const FRONT_BYTES: usize = 12;

/// One pack, as a segment's head lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentPack {
    /// The pack.
    pub id: PackId,
    /// Data or metadata.
    pub kind: ChunkKind,
    /// Its stored size, in bytes.
    pub stored_bytes: u64,
    /// How many chunks it holds.
    pub chunks: u32,
    section: Section,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Section {
    sealed_bytes: u32,
    hash: [u8; 32],
}

/// A pack on its way into a segment.
#[derive(Debug, Clone)]
pub struct PackRecord {
    /// The pack.
    pub id: PackId,
    /// Data or metadata.
    pub kind: ChunkKind,
    /// Its stored size, in bytes.
    pub stored_bytes: u64,
    /// What it holds.
    pub table: PackTable,
}

/// A segment whose signature was checked.
#[derive(Debug, Clone)]
pub struct SegmentHead {
    /// The session that wrote it, and its packs.
    pub session: SessionId,
    /// Its number in the session.
    pub n: u32,
    /// The keys that it is sealed with.
    pub key: KeyRef,
    /// Its packs.
    pub packs: Vec<SegmentPack>,
    salt: [u8; 16],
    hooks: Section,
    sections_at: usize,
}

/// Makes a segment's stored bytes. `salt` must be fresh random bytes.
#[must_use]
pub fn seal(
    repository: RepositoryId,
    secrets: &DomainSecrets,
    writer: &Identity,
    session: SessionId,
    n: u32,
    packs: &[PackRecord],
    salt: [u8; 16],
) -> Vec<u8> {
    let cipher = section_cipher(repository, secrets, session, n, &salt);
    let mut sections = Vec::new();
    let mut add = |number: usize, fill: &dyn Fn(&mut Vec<u8>)| {
        let start = sections.len();
        fill(&mut sections);
        cipher.seal(NonceSpace::Section, number as u64, &[], &mut sections, start);
        let sealed = &sections[start..];
        Section { sealed_bytes: sealed.len() as u32, hash: *blake3::hash(sealed).as_bytes() }
    };
    let hooks = add(0, &|out| {
        for (ordinal, pack) in packs.iter().enumerate() {
            for chunk in pack.table.chunks.iter().filter(|chunk| is_hook(&chunk.id)) {
                out.extend_from_slice(chunk.id.as_bytes());
                out.extend_from_slice(&(ordinal as u32).to_le_bytes());
            }
        }
    });
    let tables: Vec<Section> = packs
        .iter()
        .enumerate()
        .map(|(ordinal, pack)| add(ordinal + 1, &|out| pack.table.encode(out)))
        .collect();

    let mut payload = Vec::new();
    payload.extend_from_slice(repository.as_bytes());
    payload.extend_from_slice(&session.to_bytes());
    payload.extend_from_slice(&n.to_le_bytes());
    payload.push(SUITE);
    payload.push(HOOK_BITS);
    payload.extend_from_slice(secrets.key().domain.as_bytes());
    payload.extend_from_slice(&secrets.key().version.to_le_bytes());
    payload.extend_from_slice(&salt);
    encode_section(&hooks, &mut payload);
    payload.extend_from_slice(&(packs.len() as u32).to_le_bytes());
    for (pack, section) in packs.iter().zip(&tables) {
        payload.extend_from_slice(pack.id.as_bytes());
        payload.push(pack.kind.code());
        payload.extend_from_slice(&pack.stored_bytes.to_le_bytes());
        payload.extend_from_slice(&(pack.table.chunks.len() as u32).to_le_bytes());
        encode_section(section, &mut payload);
    }
    let head = signed::seal_envelope(SignedKind::Segment, repository, writer, &payload);
    let mut segment = Vec::with_capacity(FRONT_BYTES + head.len() + sections.len());
    segment.extend_from_slice(MAGIC);
    segment.extend_from_slice(&(head.len() as u32).to_le_bytes());
    segment.extend_from_slice(&head);
    segment.extend_from_slice(&sections);
    segment
}

impl SegmentHead {
    /// How many bytes from the start hold the head, given at least the first [`FRONT_BYTES`].
    pub fn head_bytes(front: &[u8]) -> Result<usize, FormatError> {
        let mut input = Reader::new(WHAT, front);
        input.expect(MAGIC, "it doesn't begin like an index segment")?;
        let length = input.u32_at_most(limits::SMALL_OBJECT_BYTES_MAX as u32, "head length")?;
        Ok(FRONT_BYTES + length as usize)
    }

    /// Reads the head of segment `n` of `session` and checks that a writer signed it.
    pub fn open<'k>(
        bytes: &[u8],
        repository: RepositoryId,
        session: SessionId,
        n: u32,
        writer: impl FnOnce(HolderId) -> Option<&'k [u8; 32]>,
    ) -> Result<Self, FormatError> {
        let sections_at = Self::head_bytes(bytes)?;
        let head = bytes.get(FRONT_BYTES..sections_at).ok_or(FormatError::Truncated { what: WHAT })?;
        let envelope = Envelope::decode(head)?;
        let not_authentic = FormatError::NotAuthentic { what: WHAT };
        let key = writer(envelope.signer()).ok_or(not_authentic.clone())?;
        let payload = envelope.verify(SignedKind::Segment, repository, key)?;
        let mut input = Reader::new(WHAT, payload);
        let in_repository = input.array()? == *repository.as_bytes();
        let found = SessionId::from_bytes(&input.array()?);
        let number = input.u32()?;
        if !in_repository || found != session || number != n || session.writer != envelope.signer() {
            return Err(not_authentic);
        }
        let suite = input.u8()?;
        if suite != SUITE {
            return Err(FormatError::UnknownVersion {
                what: "cipher suite",
                found: suite.into(),
                newest: SUITE.into(),
            });
        }
        input.expect(&[HOOK_BITS], "its hooks are of another density")?;
        let domain = DomainId::new(input.array()?);
        let version = input.u32()?;
        let salt = input.array()?;
        let hooks = decode_section(&mut input)?;
        let count = input.u32_at_most(limits::PACKS_PER_SEGMENT, "pack count")?;
        let mut packs = Vec::new();
        for _ in 0..count {
            let id = PackId::new(input.array()?);
            let kind = ChunkKind::from_code(input.u8()?)
                .ok_or(FormatError::Malformed { what: WHAT, why: "a pack's kind is unknown" })?;
            packs.push(SegmentPack {
                id,
                kind,
                stored_bytes: input.u64()?,
                chunks: input.u32_at_most(limits::CHUNKS_PER_PACK, "chunk count")?,
                section: decode_section(&mut input)?,
            });
        }
        input.finish()?;
        Ok(Self { session, n, key: KeyRef { domain, version }, packs, salt, hooks, sections_at })
    }

    /// Where the table of a pack lies in the segment: offset and length.
    #[must_use]
    pub fn table_place(&self, ordinal: usize) -> Option<(usize, usize)> {
        let before: usize =
            self.packs.iter().take(ordinal).map(|pack| pack.section.sealed_bytes as usize).sum();
        let pack = self.packs.get(ordinal)?;
        let offset = self.sections_at + self.hooks.sealed_bytes as usize + before;
        Some((offset, pack.section.sealed_bytes as usize))
    }

    /// Where the hooks lie in the segment: offset and length.
    #[must_use]
    pub fn hooks_place(&self) -> (usize, usize) {
        (self.sections_at, self.hooks.sealed_bytes as usize)
    }

    /// The whole segment's length, as the head says.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        let tables: usize = self.packs.iter().map(|pack| pack.section.sealed_bytes as usize).sum();
        self.sections_at + self.hooks.sealed_bytes as usize + tables
    }

    /// Opens the table of a pack from its sealed bytes.
    pub fn open_table(
        &self,
        repository: RepositoryId,
        secrets: &DomainSecrets,
        ordinal: usize,
        sealed: &[u8],
    ) -> Result<PackTable, FormatError> {
        let pack = self.packs.get(ordinal).ok_or(FormatError::Truncated { what: WHAT })?;
        let plain = self.open_section(repository, secrets, ordinal + 1, pack.section, sealed)?;
        let table = PackTable::decode(WHAT, &plain)?;
        if table.chunks.len() != pack.chunks as usize {
            return Err(FormatError::Malformed { what: WHAT, why: "a table isn't as long as it says" });
        }
        Ok(table)
    }

    /// Opens the hooks from their sealed bytes: chunk ids, and the pack each is in.
    pub fn open_hooks(
        &self,
        repository: RepositoryId,
        secrets: &DomainSecrets,
        sealed: &[u8],
    ) -> Result<Vec<(ChunkId, u32)>, FormatError> {
        let plain = self.open_section(repository, secrets, 0, self.hooks, sealed)?;
        let mut input = Reader::new(WHAT, &plain);
        let mut hooks = Vec::new();
        while input.left() > 0 {
            let id = ChunkId::new(input.array()?);
            let ordinal = input.u32()?;
            if !is_hook(&id) || ordinal as usize >= self.packs.len() {
                return Err(FormatError::Malformed { what: WHAT, why: "a hook isn't one" });
            }
            hooks.push((id, ordinal));
        }
        Ok(hooks)
    }

    fn open_section(
        &self,
        repository: RepositoryId,
        secrets: &DomainSecrets,
        number: usize,
        section: Section,
        sealed: &[u8],
    ) -> Result<Vec<u8>, FormatError> {
        if sealed.len() != section.sealed_bytes as usize || *blake3::hash(sealed).as_bytes() != section.hash {
            return Err(FormatError::NotAuthentic { what: WHAT });
        }
        let cipher = section_cipher(repository, secrets, self.session, self.n, &self.salt);
        let mut buffer = sealed.to_vec();
        let length = cipher.open(NonceSpace::Section, number as u64, &[], &mut buffer, WHAT)?.len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

fn is_hook(id: &ChunkId) -> bool {
    id.as_bytes()[0].trailing_zeros() >= u32::from(HOOK_BITS)
}

fn encode_section(section: &Section, out: &mut Vec<u8>) {
    out.extend_from_slice(&section.sealed_bytes.to_le_bytes());
    out.extend_from_slice(&section.hash);
}

fn decode_section(input: &mut Reader<'_>) -> Result<Section, FormatError> {
    let sealed_bytes = input.u32_at_most(limits::SECTION_BYTES_MAX, "section length")?;
    if (sealed_bytes as usize) < TAG_BYTES {
        return Err(FormatError::Truncated { what: WHAT });
    }
    Ok(Section { sealed_bytes, hash: input.array()? })
}

fn section_cipher(
    repository: RepositoryId,
    secrets: &DomainSecrets,
    session: SessionId,
    n: u32,
    salt: &[u8; 16],
) -> Cipher {
    let mut context = session.to_bytes().to_vec();
    context.extend_from_slice(&n.to_le_bytes());
    context.extend_from_slice(salt);
    secrets.segment_cipher(repository, &context)
}
