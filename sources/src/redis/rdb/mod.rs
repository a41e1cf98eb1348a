//! A dump of Redis (RDB) as it is read: bytes come in pieces of any size, and nothing is kept of them but what is asked for.
//!
//! Whether the bytes are whole is one question ([`seal`]), what they mean another ([`reader`]): a dump of a newer server
//! can have values that this program doesn't know, and is a good dump all the same.

pub mod grammar;
pub mod reader;
pub mod seal;
pub mod stored;
pub mod text;

/// The name of the file in a dump.
pub const FILE: &str = "dump.rdb";
