//! SPEC's table of limits. A decoder refuses a value over its limit before it allocates memory for it.

/// Smallest average chunk size of a repository, in bytes.
pub const CHUNK_AVG_BYTES_MIN: u32 = 1 << 10;
/// Largest average chunk size of a repository, in bytes.
pub const CHUNK_AVG_BYTES_MAX: u32 = 4 << 20;
/// Largest chunk of any kind, in bytes of plaintext.
pub const CHUNK_BYTES_MAX: u32 = 16 << 20;
/// Largest plaintext of a frame, in bytes: a full frame and one chunk of the largest size.
pub const FRAME_PLAIN_BYTES_MAX: u32 = 32 << 20;
/// Most chunks in one frame.
pub const CHUNKS_PER_FRAME: u32 = 1 << 16;
/// Most frames in one pack.
pub const FRAMES_PER_PACK: u32 = 1 << 16;
/// Most chunks in one pack.
pub const CHUNKS_PER_PACK: u32 = 1 << 20;
/// Smallest pack size of a repository, in bytes.
pub const PACK_BYTES_MIN: u32 = 4 << 20;
/// Largest pack size of a repository, in bytes.
pub const PACK_BYTES_MAX: u32 = 128 << 20;
/// Largest stored pack, in bytes: the largest pack size, and room for the frame that exceeds it.
pub const PACK_STORED_BYTES_MAX: u64 = (PACK_BYTES_MAX as u64) + 2 * (FRAME_PLAIN_BYTES_MAX as u64);
/// Most packs in one index segment.
pub const PACKS_PER_SEGMENT: u32 = 1 << 12;
/// Largest index segment, in bytes.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Largest sealed section of an index segment, in bytes. The largest table of a pack has 37 MiB.
pub const SECTION_BYTES_MAX: u32 = 64 << 20;
/// Largest key slot, in bytes.
pub const SLOT_BYTES_MAX: u64 = 64 << 10;
/// Largest of the other small CBOR objects (config, keyring, session), in bytes.
pub const SMALL_OBJECT_BYTES_MAX: u64 = 4 << 20;
/// Largest snapshot object, in bytes.
pub const SNAPSHOT_BYTES_MAX: u64 = 64 << 20;
/// Most fields of one map in a small object, ignorable ones included.
pub const FIELDS_PER_MAP: u64 = 1 << 10;
/// Most items of one array in a small object: paths, labels, names of users, holders.
pub const ITEMS_PER_ARRAY: u64 = 1 << 20;
/// Deepest nesting of maps and arrays in a small object.
pub const CBOR_DEPTH: u32 = 127;
/// Most entries in one page of a directory.
pub const ENTRIES_PER_PAGE: usize = 4096;
/// A page also ends once its nodes' encoding reaches this many bytes.
pub const PAGE_BYTES: usize = 1 << 20;
/// A page ends after a name whose hash has this many low zero bits: 512 entries on average.
pub const PAGE_CUT_BITS: u32 = 9;
/// A bundle ends after a name whose hash has this many low zero bits: 8 files on average.
pub const BUNDLE_CUT_BITS: u32 = 3;
/// Largest file that writers put into a bundle, in bytes. If the smallest chunk is smaller, it is the limit.
pub const BUNDLED_FILE_BYTES: u32 = 4 << 10;
/// Files of the largest size that writers put into one bundle.
pub const BUNDLED_FILES: u32 = 16;
/// Most chunk references that a node carries inline.
pub const INLINE_CHUNKS: usize = 32;
/// A list chunk ends after an id with this many low zero bits: 32 references on average.
pub const LIST_CUT_BITS: u32 = 5;
/// Most references in one list chunk.
pub const REFS_PER_LIST: usize = 256;
/// Deepest tree of list chunks.
pub const LIST_LEVELS: u8 = 12;
/// Most data extents that a sparse file's node carries inline.
pub const INLINE_EXTENTS: usize = 32;
/// Bytes of a blob (extents, hard-link groups) in one metadata chunk.
pub const BLOB_PIECE_BYTES: usize = 128 << 10;
/// Most bytes of the chunks of a file's blob of extents: 2^24 extents.
pub const EXTENTS_BLOB_BYTES_MAX: u64 = (16 << 24) + (1 << 20);
/// Most data extents of one file.
pub const EXTENTS_PER_FILE: usize = 1 << 24;
/// Most bytes of the chunks of a snapshot's blob of hard-link groups.
pub const LINKS_BLOB_BYTES_MAX: u64 = 1 << 30;
/// Most bytes of hard-link groups that a writer stores. The rest is for the CBOR around their pieces.
pub const LINKS_BYTES_MAX: u64 = LINKS_BLOB_BYTES_MAX - (1 << 20);
/// Longest name of a directory entry, in bytes.
pub const NAME_BYTES_MAX: usize = 4096;
/// Largest value of one extended attribute, in bytes.
pub const XATTR_BYTES_MAX: usize = 1 << 20;
/// Most memory that a key slot may ask Argon2id for, in KiB.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 4 << 20;
/// Most passes that a key slot may ask Argon2id for.
pub const ARGON2_PASSES_MAX: u32 = 64;
/// Most lanes that a key slot may ask Argon2id for.
pub const ARGON2_LANES_MAX: u32 = 64;
/// Longest path in a group of hard links, in bytes.
pub const PATH_BYTES_MAX: u32 = 1 << 20;
/// Most paths in one group of hard links.
pub const LINKS_PER_GROUP: u32 = 1 << 24;
/// Most packs or snapshots in one object of an epoch, and most sessions in one catalogue.
pub const EPOCH_ITEMS_MAX: usize = 1 << 20;
/// Largest object of an epoch, ack or catalogue, in bytes.
pub const EPOCH_OBJECT_BYTES_MAX: u64 = 128 << 20;
/// Most holders that one holder continues.
pub const CONTINUED_HOLDERS_MAX: usize = 16;
