//! Nodes: what the repository stores of one directory entry.

use minicbor::Decoder;
use minicbor::data::Type;

use crate::content::Content;
use crate::ids::ChunkId;
use crate::metadata::{Memory, Written, append_with, decoded, read_array, read_id};
use crate::numbers::u64_of;
use crate::wire::Reader;
use crate::{FormatError, limits};

const WHAT: &str = "node";

/// A point in time, in seconds and nanoseconds from 1970 on (the seconds may be negative).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds after them, below 10⁹.
    pub nanos: u32,
}

impl Timestamp {
    /// `None` when there are more nanoseconds than a second has.
    #[must_use]
    pub const fn new(seconds: i64, nanos: u32) -> Option<Self> {
        if nanos < 1_000_000_000 { Some(Self { seconds, nanos }) } else { None }
    }
}

/// An extended attribute: name and value.
pub type Xattr = (Vec<u8>, Vec<u8>);

/// Where in a file the bytes of its content are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extents {
    /// No holes: one extent from start to end.
    Dense,
    /// The content is a bundle: one chunk with the bytes of several files without holes.
    Bundled {
        /// The offset of the file's bytes in the chunk. Their number is the file's size.
        from: u32,
    },
    /// The data extents of a sparse file as (offset, length), ascending, at most
    /// [`limits::INLINE_EXTENTS`]. The content is their bytes alone.
    Inline(Vec<(u64, u64)>),
    /// Such extents as a blob.
    Blob(Content),
}

impl Extents {
    /// The offset of the file's bytes in its content: not 0 if other files precede it in a bundle.
    #[must_use]
    pub const fn content_start(&self) -> u32 {
        match self {
            Self::Bundled { from } => *from,
            Self::Dense | Self::Inline(_) | Self::Blob(_) => 0,
        }
    }

    /// Whether a file of this size and content may have these extents: a bundle must be one chunk that is
    /// longer than the file.
    fn fits(&self, size: u64, content: &Content) -> bool {
        let Self::Bundled { from } = self else { return true };
        match content {
            Content::Inline(chunks) if chunks.len() == 1 => {
                let len = u64::from(chunks[0].len);
                (1..len).contains(&size) && u64::from(*from) <= len - size
            }
            _ => false,
        }
    }
}

/// The kind of an entry, with the fields that only this kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File {
        /// Its size in bytes, holes included.
        size: u64,
        /// Its bytes.
        content: Content,
        /// Where in the file they are.
        extents: Extents,
    },
    /// A directory.
    Directory {
        /// Its page, or its page index.
        tree: ChunkId,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as raw bytes.
        target: Vec<u8>,
    },
    /// A fifo.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// One directory entry: everything that can be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, as raw bytes.
    pub name: Vec<u8>,
    /// Permissions with setuid, setgid and sticky bits.
    pub mode: u16,
    /// Owner, by number.
    pub uid: u32,
    /// Group, by number.
    pub gid: u32,
    /// When its content was last changed.
    pub mtime: Timestamp,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<Xattr>,
    /// Its kind.
    pub kind: NodeKind,
    /// Encoded ignorable fields that this program doesn't know. They are kept unchanged.
    pub unknown: Option<Box<Unknown>>,
}

/// Encoded fields with negative keys, in the order -1, -2 and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    count: u64,
    encoded: Vec<u8>,
}

mod key {
    pub const NAME: i8 = 0;
    pub const KIND: i8 = 1;
    pub const MODE: i8 = 2;
    pub const UID: i8 = 3;
    pub const GID: i8 = 4;
    pub const MTIME_S: i8 = 5;
    pub const MTIME_NS: i8 = 6;
    pub const SIZE: i8 = 7;
    pub const CONTENT: i8 = 8;
    pub const EXTENTS: i8 = 9;
    pub const EXTENTS_BLOB: i8 = 10;
    pub const TREE: i8 = 11;
    pub const TARGET: i8 = 12;
    pub const DEVICE: i8 = 13;
    pub const XATTRS: i8 = 14;
    pub const BUNDLED: i8 = 15;
}

impl NodeKind {
    const fn code(&self) -> u8 {
        match self {
            Self::File { .. } => 0,
            Self::Directory { .. } => 1,
            Self::Symlink { .. } => 2,
            Self::Fifo => 3,
            Self::Socket => 4,
            Self::CharDevice { .. } => 5,
            Self::BlockDevice { .. } => 6,
        }
    }
}

impl Node {
    pub(crate) fn write(&self, out: &mut Memory<'_>) -> Written {
        let own = match &self.kind {
            NodeKind::File { size, content, extents } => {
                u64::from(*size != 0) + u64::from(!content.is_empty()) + u64::from(*extents != Extents::Dense)
            }
            NodeKind::Fifo | NodeKind::Socket => 0,
            _ => 1,
        };
        let unknown = self.unknown.as_ref().map_or(0, |unknown| unknown.count);
        let nanos = u64::from(self.mtime.nanos != 0);
        let xattrs = u64::from(!self.xattrs.is_empty());
        out.map(6 + nanos + own + xattrs + unknown)?;
        out.i8(key::NAME)?.bytes(&self.name)?.i8(key::KIND)?.u8(self.kind.code())?;
        out.i8(key::MODE)?.u16(self.mode)?.i8(key::UID)?.u32(self.uid)?.i8(key::GID)?.u32(self.gid)?;
        out.i8(key::MTIME_S)?.i64(self.mtime.seconds)?;
        if self.mtime.nanos != 0 {
            out.i8(key::MTIME_NS)?.u32(self.mtime.nanos)?;
        }
        match &self.kind {
            NodeKind::File { size, content, extents } => {
                if *size != 0 {
                    out.i8(key::SIZE)?.u64(*size)?;
                }
                if !content.is_empty() {
                    content.write(out.i8(key::CONTENT)?)?;
                }
                match extents {
                    // A bundle's field has the highest key, so it follows the attributes below.
                    Extents::Dense | Extents::Bundled { .. } => {}
                    Extents::Inline(list) => {
                        out.i8(key::EXTENTS)?.array(2 * u64_of(list.len()))?;
                        for (offset, length) in list {
                            out.u64(*offset)?.u64(*length)?;
                        }
                    }
                    Extents::Blob(blob) => blob.write(out.i8(key::EXTENTS_BLOB)?)?,
                }
            }
            NodeKind::Directory { tree } => {
                out.i8(key::TREE)?.bytes(tree.as_bytes())?;
            }
            NodeKind::Symlink { target } => {
                out.i8(key::TARGET)?.bytes(target)?;
            }
            NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor } => {
                out.i8(key::DEVICE)?.array(2)?.u32(*major)?.u32(*minor)?;
            }
            NodeKind::Fifo | NodeKind::Socket => {}
        }
        if !self.xattrs.is_empty() {
            out.i8(key::XATTRS)?.array(2 * u64_of(self.xattrs.len()))?;
            for (name, value) in &self.xattrs {
                out.bytes(name)?.bytes(value)?;
            }
        }
        if let NodeKind::File { extents: Extents::Bundled { from }, .. } = &self.kind {
            out.i8(key::BUNDLED)?.u32(*from)?;
        }
        if let Some(unknown) = &self.unknown {
            out.writer_mut().extend_from_slice(&unknown.encoded);
        }
        Ok(())
    }

    pub(crate) fn read(input: &mut Decoder<'_>) -> Result<Self, FormatError> {
        let count = decoded(input.map(), WHAT)?.ok_or(FormatError::NotCanonical { what: WHAT })?;
        let mut fields = RawFields::default();
        for _ in 0..count {
            let key = decoded(input.i64(), WHAT)?;
            if key < 0 {
                fields.keep_unknown(key, input)?;
            } else {
                let key = i8::try_from(key)
                    .map_err(|_| FormatError::UnknownField { what: WHAT, key: key.into() })?;
                fields.take(key, input)?;
            }
        }
        fields.into_node()
    }
}

/// Fields of a node before the check that they fit together.
#[derive(Default)]
struct RawFields {
    name: Option<Vec<u8>>,
    kind: Option<u8>,
    mode: Option<u16>,
    uid: Option<u32>,
    gid: Option<u32>,
    seconds: Option<i64>,
    nanos: Option<u32>,
    size: Option<u64>,
    content: Option<Content>,
    extents: Option<Extents>,
    tree: Option<ChunkId>,
    target: Option<Vec<u8>>,
    device: Option<(u32, u32)>,
    xattrs: Option<Vec<Xattr>>,
    unknown: Option<Box<Unknown>>,
    unknown_key: Option<i64>,
}

impl RawFields {
    fn take(&mut self, key: i8, input: &mut Decoder<'_>) -> Result<(), FormatError> {
        match key {
            key::NAME => self.name = Some(read_name(input)?),
            key::KIND => self.kind = Some(decoded(input.u8(), WHAT)?),
            key::MODE => self.mode = Some(decoded(input.u16(), WHAT)?),
            key::UID => self.uid = Some(decoded(input.u32(), WHAT)?),
            key::GID => self.gid = Some(decoded(input.u32(), WHAT)?),
            key::MTIME_S => self.seconds = Some(decoded(input.i64(), WHAT)?),
            key::MTIME_NS => self.nanos = Some(decoded(input.u32(), WHAT)?),
            key::SIZE => self.size = Some(decoded(input.u64(), WHAT)?),
            key::CONTENT => self.content = Some(Content::read(input, WHAT)?),
            key::EXTENTS => self.extents = Some(Extents::Inline(read_extents(input)?)),
            key::EXTENTS_BLOB => self.extents = Some(Extents::Blob(Content::read(input, WHAT)?)),
            key::BUNDLED => self.extents = Some(Extents::Bundled { from: decoded(input.u32(), WHAT)? }),
            key::TREE => self.tree = Some(read_id(input, WHAT)?),
            key::TARGET => self.target = Some(read_target(input)?),
            key::DEVICE => {
                if read_array(input, 2, WHAT)? != 2 {
                    return Err(malformed("a device isn't a pair"));
                }
                self.device = Some((decoded(input.u32(), WHAT)?, decoded(input.u32(), WHAT)?));
            }
            key::XATTRS => self.xattrs = Some(read_xattrs(input)?),
            _ => return Err(FormatError::UnknownField { what: WHAT, key: key.into() }),
        }
        Ok(())
    }

    /// Keeps a field's canonical encoding, not the bytes that were read. So the comparison of the whole
    /// object with its encoding also checks the fields that this program doesn't know.
    fn keep_unknown(&mut self, key: i64, input: &mut Decoder<'_>) -> Result<(), FormatError> {
        if self.unknown_key.is_some_and(|last| key >= last) {
            return Err(FormatError::NotCanonical { what: WHAT });
        }
        self.unknown_key = Some(key);
        let unknown = self.unknown.get_or_insert_with(|| Box::new(Unknown { count: 0, encoded: Vec::new() }));
        unknown.count += 1;
        append_with(&mut unknown.encoded, |out| out.i64(key).map(drop));
        copy_flat(input, &mut unknown.encoded)
    }

    fn into_node(mut self) -> Result<Node, FormatError> {
        let missing = || malformed("a field is missing");
        let kind = match self.kind.ok_or_else(missing)? {
            0 => {
                let size = self.size.take().unwrap_or(0);
                let content = self.content.take().unwrap_or(Content::empty());
                let extents = self.extents.take().unwrap_or(Extents::Dense);
                if !extents.fits(size, &content) {
                    return Err(malformed("its bundle isn't one chunk that is longer than the file"));
                }
                NodeKind::File { size, content, extents }
            }
            1 => NodeKind::Directory { tree: self.tree.take().ok_or_else(missing)? },
            2 => NodeKind::Symlink { target: self.target.take().ok_or_else(missing)? },
            3 => NodeKind::Fifo,
            4 => NodeKind::Socket,
            kind @ (5 | 6) => {
                let (major, minor) = self.device.take().ok_or_else(missing)?;
                if kind == 5 {
                    NodeKind::CharDevice { major, minor }
                } else {
                    NodeKind::BlockDevice { major, minor }
                }
            }
            _ => return Err(malformed("its kind is unknown")),
        };
        let foreign = self.size.is_some()
            || self.content.is_some()
            || self.extents.is_some()
            || self.tree.is_some()
            || self.target.is_some()
            || self.device.is_some();
        if foreign {
            return Err(malformed("it has a field of another kind"));
        }
        let mode = self.mode.ok_or_else(missing)?;
        let mtime = Timestamp::new(self.seconds.ok_or_else(missing)?, self.nanos.unwrap_or(0))
            .ok_or_else(|| malformed("its time has too many nanoseconds"))?;
        if mode > 0o7777 {
            return Err(malformed("its mode has bits that aren't permissions"));
        }
        Ok(Node {
            name: self.name.ok_or_else(missing)?,
            mode,
            uid: self.uid.ok_or_else(missing)?,
            gid: self.gid.ok_or_else(missing)?,
            mtime,
            xattrs: self.xattrs.unwrap_or_default(),
            kind,
            unknown: self.unknown,
        })
    }
}

fn malformed(why: &'static str) -> FormatError {
    FormatError::Malformed { what: WHAT, why }
}

/// Reads a name that a file in a directory can have. It can't refer to a place outside of the directory.
fn read_name(input: &mut Decoder<'_>) -> Result<Vec<u8>, FormatError> {
    let name = decoded(input.bytes(), WHAT)?;
    if name.len() > limits::NAME_BYTES_MAX {
        return Err(FormatError::OverLimit { what: WHAT, field: "name length" });
    }
    let unusable = matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0));
    if unusable { Err(malformed("its name can't be that of a file")) } else { Ok(name.to_vec()) }
}

/// Reads a target that a symbolic link can have.
fn read_target(input: &mut Decoder<'_>) -> Result<Vec<u8>, FormatError> {
    let target = decoded(input.bytes(), WHAT)?;
    let unusable = target.is_empty() || target.contains(&0);
    if unusable { Err(malformed("its target can't be that of a link")) } else { Ok(target.to_vec()) }
}

fn read_extents(input: &mut Decoder<'_>) -> Result<Vec<(u64, u64)>, FormatError> {
    let count = read_array(input, 2 * limits::INLINE_EXTENTS, WHAT)?;
    if count % 2 != 0 {
        return Err(malformed("its extents aren't pairs"));
    }
    let mut extents = Vec::with_capacity(count / 2);
    let mut end = 0;
    for _ in 0..count / 2 {
        let extent = (decoded(input.u64(), WHAT)?, decoded(input.u64(), WHAT)?);
        end = end_of_next(end, extent).map_err(malformed)?;
        extents.push(extent);
    }
    Ok(extents)
}

/// The end of an extent that follows one that ends at `end`. Extents of one file may touch: a file that is
/// written to while its extents are listed can have such.
fn end_of_next(end: u64, (offset, length): (u64, u64)) -> Result<u64, &'static str> {
    match offset.checked_add(length) {
        _ if length == 0 => Err("an extent is empty"),
        Some(next) if offset >= end => Ok(next),
        _ => Err("its extents don't ascend"),
    }
}

fn read_xattrs(input: &mut Decoder<'_>) -> Result<Vec<Xattr>, FormatError> {
    let count = read_array(input, usize::MAX, WHAT)?;
    let mut xattrs: Vec<Xattr> = Vec::new();
    for _ in 0..count / 2 {
        let name = decoded(input.bytes(), WHAT)?.to_vec();
        let value = decoded(input.bytes(), WHAT)?;
        if value.len() > limits::XATTR_BYTES_MAX {
            return Err(FormatError::OverLimit { what: WHAT, field: "extended attribute" });
        }
        if name.is_empty() || name.contains(&0) || xattrs.last().is_some_and(|(last, _)| *last >= name) {
            return Err(malformed("its extended attributes aren't sorted by name"));
        }
        xattrs.push((name, value.to_vec()));
    }
    if count % 2 == 0 { Ok(xattrs) } else { Err(malformed("its extended attributes aren't pairs")) }
}

/// Copies the value of an unknown field: a number, a text or a byte string, nothing nested.
fn copy_flat(input: &mut Decoder<'_>, out: &mut Vec<u8>) -> Result<(), FormatError> {
    match decoded(input.datatype(), WHAT)? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 => {
            let number = decoded(input.int(), WHAT)?;
            append_with(out, |out| out.int(number).map(drop));
        }
        Type::Bytes => {
            let bytes = decoded(input.bytes(), WHAT)?;
            append_with(out, |out| out.bytes(bytes).map(drop));
        }
        Type::String => {
            let text = decoded(input.str(), WHAT)?;
            append_with(out, |out| out.str(text).map(drop));
        }
        _ => return Err(malformed("an unknown field has a value that isn't a number, text or byte string")),
    }
    Ok(())
}

/// Encodes a long list of extents as a blob's bytes: pairs of little-endian numbers.
#[must_use]
pub fn extents_to_bytes(extents: &[(u64, u64)]) -> Vec<u8> {
    extents
        .iter()
        .flat_map(|(offset, length)| [offset.to_le_bytes(), length.to_le_bytes()])
        .flatten()
        .collect()
}

/// Reads a blob's bytes as extents.
pub fn extents_from_bytes(bytes: &[u8]) -> Result<Vec<(u64, u64)>, FormatError> {
    let what = "extents";
    let mut input = Reader::new(what, bytes);
    let mut extents = Vec::with_capacity(bytes.len() / 16);
    let mut end = 0;
    while input.left() > 0 {
        let extent = (input.u64()?, input.u64()?);
        end = end_of_next(end, extent).map_err(|why| FormatError::Malformed { what, why })?;
        extents.push(extent);
    }
    Ok(extents)
}
