//! Reading packs: their keys, their directories, and the whole pack when its directory is damaged.

use keepfast_format::frame::FrameReader;
use keepfast_format::ids::PackId;
use keepfast_format::names::PackName;
use keepfast_format::numbers::{u64_of, usize_of};
use keepfast_format::pack::{
    ChunkEntry, DirectoryPlace, FrameEntry, HEADER_BYTES, PackCipher, PackHeader, PackTable,
};
use keepfast_format::{FormatError, limits};

use super::index::StoredPack;
use super::numbers::{FrameNumber, format_length, numbered};
use super::repository::Repository;
use super::soundness::read_until;
use crate::error::{EngineError, Result};

/// The cipher of a pack, from its header.
pub fn open_cipher(repository: &Repository, header: &[u8]) -> Result<(PackHeader, PackCipher), FormatError> {
    let header = PackHeader::decode(header)?;
    let secrets = repository.secrets(header.key).ok_or(FormatError::NoKey { what: "pack" })?;
    let cipher = PackCipher::open_pack(&header, repository.id(), secrets)?;
    Ok((header, cipher))
}

/// Reads what a pack holds from the pack itself: from its directory, or where that is
/// damaged, from its frames.
pub fn read_contents(repository: &Repository, pack: PackName) -> Result<(StoredPack, PackTable)> {
    let name = pack.to_string();
    let read = || repository.backend().read(&name, limits::PACK_STORED_BYTES_MAX);
    let bytes = read_until(read, |read| read.as_ref().map_or(true, |bytes| PackId::of(bytes) == pack.id))?;
    let read = || {
        let header = bytes.get(..HEADER_BYTES).ok_or(FormatError::Truncated { what: "pack" })?;
        let (header, cipher) = open_cipher(repository, header)?;
        let table = match cipher.directory(&bytes) {
            Ok(table) => table,
            Err(_) => scan_frames(repository, &header, &cipher, &bytes)?,
        };
        let stored = StoredPack {
            name: pack,
            key: header.key,
            kind: header.kind,
            stored_bytes: u64_of(bytes.len()),
            frames: table.frames.clone(),
        };
        Ok((stored, table))
    };
    read().map_err(EngineError::damaged(pack))
}

/// Finds a pack's chunks by opening its frames one after the other and hashing what is in them.
fn scan_frames(
    repository: &Repository,
    header: &PackHeader,
    cipher: &PackCipher,
    bytes: &[u8],
) -> Result<PackTable, FormatError> {
    let secrets = repository.secrets(header.key).ok_or(FormatError::NoKey { what: "pack" })?;
    let ids = secrets.chunk_ids();
    let mut table = PackTable::default();
    let mut reader = FrameReader::default();
    for (number, (offset, length)) in (0..).zip(cipher.scan(bytes)) {
        if reader.open(cipher, number, &bytes[offset..offset + length]).is_err() {
            // A frame that doesn't open is listed without chunks, so that the others keep their numbers.
            table.frames.push(frame_entry(offset, length, 0, 0));
            continue;
        }
        let before = table.chunks.len();
        table.chunks.extend(
            reader.chunks().map(|chunk| ChunkEntry {
                id: ids.id(header.kind, chunk),
                bytes: format_length(chunk.len()),
            }),
        );
        let chunks = format_length(table.chunks.len() - before);
        table.frames.push(frame_entry(offset, length, format_length(reader.plain().len()), chunks));
    }
    Ok(table)
}

fn frame_entry(offset: usize, length: usize, plain_bytes: u32, chunks: u32) -> FrameEntry {
    FrameEntry { offset: format_length(offset), sealed_bytes: format_length(length), plain_bytes, chunks }
}

/// Reads a pack into `bytes` and says what is wrong with it, if anything. `expected` is what the
/// index says that it holds; of a pack that it doesn't know, only the name is compared.
pub fn verify_stored_pack(
    repository: &Repository,
    pack: PackName,
    expected: Option<&PackTable>,
    reader: &mut FrameReader,
    bytes: &mut Vec<u8>,
) -> Result<Vec<PackFinding>> {
    let (name, id) = (pack.to_string(), pack.id);
    let read = || {
        repository.backend().read_into(&name, limits::PACK_STORED_BYTES_MAX, bytes)?;
        Ok(match expected {
            Some(expected) => verify_pack(repository, bytes, id, expected, reader),
            None if PackId::of(bytes) == id => Vec::new(),
            None => vec![PackFinding { frame: None, what: MISNAMED.to_owned() }],
        })
    };
    read_until(read, |findings: &Result<Vec<_>>| findings.as_ref().map_or(true, Vec::is_empty))
}

const MISNAMED: &str = "its bytes aren't those it was named after";

/// What is wrong with a stored pack, if anything: its name, seal, every frame, and every id.
/// `expected` is what the index says that it holds.
fn verify_pack(
    repository: &Repository,
    bytes: &[u8],
    id: PackId,
    expected: &PackTable,
    reader: &mut FrameReader,
) -> Vec<PackFinding> {
    let mut findings = Vec::new();
    if PackId::of(bytes) != id {
        findings.push(PackFinding { frame: None, what: MISNAMED.to_owned() });
    }
    let opened = bytes
        .get(..HEADER_BYTES)
        .ok_or(FormatError::Truncated { what: "pack" })
        .and_then(|header| open_cipher(repository, header));
    let (header, cipher) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            findings.push(PackFinding { frame: None, what: format!("none of it can be opened: {error}") });
            findings.extend(
                numbered(&expected.frames).map(|(frame, _)| PackFinding {
                    frame: Some(frame),
                    what: "it can't be opened".to_owned(),
                }),
            );
            return findings;
        }
    };
    match DirectoryPlace::decode(bytes, u64_of(bytes.len())).and_then(|_| cipher.directory(bytes)) {
        Err(error) => findings.push(PackFinding { frame: None, what: error.to_string() }),
        Ok(table) if table != *expected => findings.push(PackFinding {
            frame: None,
            what: "its directory and the index segment don't agree".to_owned(),
        }),
        Ok(_) => {}
    }
    let Some(secrets) = repository.secrets(header.key) else { return findings };
    let ids = secrets.chunk_ids();
    let mut chunks = expected.chunks.iter();
    for (number, frame) in numbered(&expected.frames) {
        let listed = chunks.by_ref().take(usize_of(frame.chunks));
        let (start, length) = (usize_of(frame.offset), usize_of(frame.sealed_bytes));
        let opened = bytes
            .get(start..start + length)
            .ok_or(FormatError::Truncated { what: "pack" })
            .and_then(|sealed| reader.open(&cipher, number.into(), sealed));
        let fits = match &opened {
            Ok(()) => {
                let found =
                    reader.chunks().map(|chunk| (ids.id(header.kind, chunk), format_length(chunk.len())));
                found.eq(listed.map(|chunk| (chunk.id, chunk.bytes)))
            }
            Err(_) => {
                listed.for_each(drop);
                false
            }
        };
        if !fits {
            let what = opened
                .map_or_else(|error| error.to_string(), |()| "its chunks aren't those listed".to_owned());
            findings.push(PackFinding { frame: Some(number), what });
        }
    }
    findings
}

/// Something wrong with a pack.
#[derive(Debug, Clone)]
pub struct PackFinding {
    /// The damaged frame; `None` if the damage is outside the frames.
    pub frame: Option<FrameNumber>,
    /// What is wrong.
    pub what: String,
}
