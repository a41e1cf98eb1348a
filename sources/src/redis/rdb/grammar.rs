//! How values lie in a dump, as far as one must know that to find where each of them ends.

/// A part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A number, in one to nine bytes.
    Number,
    /// A text: its length and its bytes, a number, or compressed.
    Text,
    /// This many bytes.
    Raw(u64),
    /// A number of old sorted sets: as text, behind its length.
    OldDouble,
    /// A number, and then this many times these.
    Each(&'static [Item]),
    /// What a module wrote, up to its end.
    Module,
}

use Item::{Each, Module, Number, OldDouble, Raw, Text};

const STREAM_BEGIN: Item = Each(&[Text, Text]);
/// What waits for an answer: its id, when it was given away, and how often.
const PENDING: Item = Each(&[Raw(16), Raw(8), Number]);
const CONSUMER: &[Item] = &[Text, Raw(8), Each(&[Raw(16)])];
const CONSUMER_3: &[Item] = &[Text, Raw(8), Raw(8), Each(&[Raw(16)])];

/// The parts of a value of this type.
pub fn of(kind: u8) -> Option<&'static [Item]> {
    Some(match kind {
        // A text; and lists, sets, sorted sets and hashes that are small enough to lie in one.
        0 | 9..=13 | 16 | 17 | 20 => &[Text],
        1 | 2 | 14 => &[Each(&[Text])],
        3 => &[Each(&[Text, OldDouble])],
        4 => &[Each(&[Text, Text])],
        5 => &[Each(&[Text, Raw(8)])],
        7 => &[Number, Module],
        18 => &[Each(&[Number, Text])],
        15 => &[STREAM_BEGIN, Number, Number, Number, Each(&[Text, Number, Number, PENDING, Each(CONSUMER)])],
        19 => &[
            STREAM_BEGIN,
            Number,
            Number,
            Number,
            Number,
            Number,
            Number,
            Number,
            Number,
            Each(&[Text, Number, Number, Number, PENDING, Each(CONSUMER)]),
        ],
        21 => &[
            STREAM_BEGIN,
            Number,
            Number,
            Number,
            Number,
            Number,
            Number,
            Number,
            Number,
            Each(&[Text, Number, Number, Number, PENDING, Each(CONSUMER_3)]),
        ],
        // Hashes whose fields can expire.
        24 => &[Raw(8), Each(&[Number, Text, Text])],
        25 => &[Raw(8), Text],
        _ => return None,
    })
}

/// What stands between values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// What follows belongs to a slot of a cluster.
    Slot,
    /// The code of functions.
    Function,
    /// What a module wrote for all databases.
    ModuleAux,
    /// How long the next key wasn't used.
    Idle,
    /// How often the next key was used.
    Frequency,
    /// A name and a value that the server says of itself.
    Aux,
    /// How many keys a database has, and how many of them expire.
    Sizes,
    /// When the next key expires, in milliseconds.
    ExpiresMs,
    /// When the next key expires, in seconds.
    Expires,
    /// The number of the database that follows.
    Database,
    /// Nothing follows but the checksum.
    End,
}

/// What a byte between values says.
pub fn between(byte: u8) -> Option<(Between, &'static [Item])> {
    Some(match byte {
        244 => (Between::Slot, &[Number, Number, Number]),
        245 => (Between::Function, &[Text]),
        247 => (Between::ModuleAux, &[Number, Number, Number, Module]),
        248 => (Between::Idle, &[Number]),
        249 => (Between::Frequency, &[Raw(1)]),
        250 => (Between::Aux, &[Text, Text]),
        251 => (Between::Sizes, &[Number, Number]),
        252 => (Between::ExpiresMs, &[Raw(8)]),
        253 => (Between::Expires, &[Raw(4)]),
        254 => (Between::Database, &[Number]),
        255 => (Between::End, &[Raw(8)]),
        _ => return None,
    })
}

/// What a part of a module's data is, by the number before it; none is their end.
pub fn of_module(number: u64) -> Option<Option<Item>> {
    Some(match number {
        0 => None,
        1 | 2 => Some(Number),
        3 => Some(Raw(4)),
        4 => Some(Raw(8)),
        5 => Some(Text),
        _ => return None,
    })
}
