//! Index segments: the tables of many packs in one object, which can be read in parts.
//!
//! A public head, which the writer signs, names the packs and the hash of every section. The sections
//! follow: first the hooks (a sample of chunk ids), then one table per pack. Each section is sealed under
//! the index key.

use crate::FormatError;
use crate::aead::{Cipher, NonceSpace, TAG_BYTES};
use crate::ids::{ChunkId, DomainId, HolderId, PackId, RepositoryId, SessionId};
use crate::keys::{self, ChunkKind, DomainSecrets, Identity, KeyRef, SUITE};
use crate::limits;
use crate::numbers::{u32_of, u64_of, usize_of};
use crate::pack::PackTable;
use crate::signed::{self, Envelope, SignedKind};
use crate::wire::Reader;

const WHAT: &str = "index segment";
const MAGIC: &[u8; 8] = b"KEEPINDX";
/// Ids with this many low zero bits are hooks: one in 64.
const HOOK_BITS: u8 = 6;
/// Length of the beginning of a segment, which has the length of the signed head.
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
    /// The number of its chunks.
    pub chunks: u32,
    section: Section,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Section {
    sealed_bytes: u32,
    hash: [u8; 32],
}

/// A pack that is to be put into a segment.
#[derive(Debug, Clone)]
pub struct PackRecord {
    /// The pack.
    pub id: PackId,
    /// Data or metadata.
    pub kind: ChunkKind,
    /// Its stored size, in bytes.
    pub stored_bytes: u64,
    /// Its frames and chunks.
    pub table: PackTable,
}

/// The head of a segment whose signature was checked.
#[derive(Debug, Clone)]
pub struct SegmentHead {
    /// The session that wrote the segment and its packs.
    pub session: SessionId,
    /// Its number in the session.
    pub n: u32,
    /// The version of the domain's secrets that it is sealed with.
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
        cipher.seal(NonceSpace::Section, u64_of(number), &[], &mut sections, start);
        let sealed = &sections[start..];
        Section { sealed_bytes: u32_of(sealed.len()), hash: *blake3::hash(sealed).as_bytes() }
    };
    let hooks = add(0, &|out| {
        for (ordinal, pack) in packs.iter().enumerate() {
            for chunk in pack.table.chunks.iter().filter(|chunk| is_hook(&chunk.id)) {
                out.extend_from_slice(chunk.id.as_bytes());
                out.extend_from_slice(&u32_of(ordinal).to_le_bytes());
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
    payload.extend_from_slice(&u32_of(packs.len()).to_le_bytes());
    for (pack, section) in packs.iter().zip(&tables) {
        payload.extend_from_slice(pack.id.as_bytes());
        payload.push(pack.kind.code());
        payload.extend_from_slice(&pack.stored_bytes.to_le_bytes());
        payload.extend_from_slice(&u32_of(pack.table.chunks.len()).to_le_bytes());
        encode_section(section, &mut payload);
    }
    let head = signed::seal_envelope(SignedKind::Segment, repository, writer, &payload);
    let mut segment = Vec::with_capacity(FRONT_BYTES + head.len() + sections.len());
    segment.extend_from_slice(MAGIC);
    segment.extend_from_slice(&u32_of(head.len()).to_le_bytes());
    segment.extend_from_slice(&head);
    segment.extend_from_slice(&sections);
    segment
}

impl SegmentHead {
    /// The length of the segment up to the end of its head, from its first [`FRONT_BYTES`] or more.
    pub fn head_bytes(front: &[u8]) -> Result<usize, FormatError> {
        let mut input = Reader::new(WHAT, front);
        input.expect(MAGIC, "it doesn't begin like an index segment")?;
        let length = input.u32()?;
        if u64::from(length) > limits::SMALL_OBJECT_BYTES_MAX {
            return Err(FormatError::OverLimit { what: WHAT, field: "head length" });
        }
        Ok(FRONT_BYTES + usize_of(length))
    }

    /// Reads the head of segment `n` of `session` and checks that the session's writer signed it. `writer`
    /// looks up the key of a holder that may write.
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
        keys::require_known_suite(input.u8()?)?;
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

    /// The place of a pack's table in the segment: offset and length.
    #[must_use]
    pub fn table_place(&self, ordinal: usize) -> Option<(usize, usize)> {
        let before: usize =
            self.packs.iter().take(ordinal).map(|pack| usize_of(pack.section.sealed_bytes)).sum();
        let pack = self.packs.get(ordinal)?;
        let offset = self.sections_at + usize_of(self.hooks.sealed_bytes) + before;
        Some((offset, usize_of(pack.section.sealed_bytes)))
    }

    /// The place of the hooks in the segment: offset and length.
    #[must_use]
    pub fn hooks_place(&self) -> (usize, usize) {
        (self.sections_at, usize_of(self.hooks.sealed_bytes))
    }

    /// The length of the whole segment, according to the head.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        let tables: usize = self.packs.iter().map(|pack| usize_of(pack.section.sealed_bytes)).sum();
        self.sections_at + usize_of(self.hooks.sealed_bytes) + tables
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
        if table.chunks.len() != usize_of(pack.chunks) {
            return Err(FormatError::Malformed {
                what: WHAT,
                why: "a table has another number of chunks than the head says",
            });
        }
        Ok(table)
    }

    /// Opens the hooks from their sealed bytes: chunk ids, each with the ordinal of the pack that has it.
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
            if !is_hook(&id) || usize_of(ordinal) >= self.packs.len() {
                return Err(FormatError::Malformed {
                    what: WHAT,
                    why: "a hook has an id that is none, or a pack that the head doesn't list",
                });
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
        if sealed.len() != usize_of(section.sealed_bytes) || *blake3::hash(sealed).as_bytes() != section.hash
        {
            return Err(FormatError::NotAuthentic { what: WHAT });
        }
        let cipher = section_cipher(repository, secrets, self.session, self.n, &self.salt);
        let mut buffer = sealed.to_vec();
        let length = cipher.open(NonceSpace::Section, u64_of(number), &[], &mut buffer, WHAT)?.len();
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
    if usize_of(sealed_bytes) < TAG_BYTES {
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
