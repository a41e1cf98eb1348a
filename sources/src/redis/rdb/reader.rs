//! Reads along a dump: counts the keys of each database, and hands out keys and values if asked to.

use std::collections::BTreeMap;

use super::grammar::{self, Between, Item};
use super::seal;
use super::text::{TEXT_BYTES_MAX, decoded};

/// The first bytes, which name the format.
const MAGIC_BYTES: usize = 9;
/// A longer word of the server about itself isn't kept.
const AUX_BYTES_MAX: usize = 64 << 10;
/// Parts in parts: no value has more.
const DEPTH_MAX: usize = 16;
/// More databases than any server is told to have.
const DATABASES_MAX: usize = 100_000;

/// What a reader hands out.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// What the server says of itself.
    Aux {
        /// Such as `redis-ver`.
        name: String,
        /// Such as `7.0.15`.
        value: String,
    },
    /// The code of a library of functions. Only a reader that keeps values has it.
    Function(Vec<u8>),
    /// A key and its value. Only a reader that keeps values has them.
    Entry(Entry),
}

/// A key and its value.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number of the database.
    pub database: u64,
    /// The key.
    pub key: Vec<u8>,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// The type and the value, as the server wrote them.
    pub value: Vec<u8>,
}

/// How many keys a database has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keys {
    /// All of them.
    pub all: u64,
    /// Those that expire at some time.
    pub expiring: u64,
}

/// What is read at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Magic,
    /// One byte: what follows.
    Kind,
    Between(Between),
    Key(u8),
    Value(u8),
    /// After the checksum.
    Over,
}

/// What a number that is read is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Plain,
    Count(&'static [Item]),
    Text,
    Packed,
    Unpacked(u64),
    OldDouble,
    Module,
}

/// Which bytes come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Skip(u64),
    Number(Purpose),
}

/// Items that are read this many times.
struct Frame {
    items: &'static [Item],
    at: usize,
    times_left: u64,
}

/// Reads along.
pub struct Reader {
    keeps_values: bool,
    phase: Phase,
    want: Want,
    frames: Vec<Frame>,
    /// The bytes of a number that has begun.
    head: Vec<u8>,
    /// What was read of this part, if that is needed.
    kept: Option<Vec<u8>>,
    /// Where the second item of this part begins in it.
    second_at: usize,
    number: u64,
    key: Vec<u8>,
    expires_ms: Option<u64>,
    database: u64,
    keys: BTreeMap<u64, Keys>,
    lost: Option<String>,
}

impl Reader {
    /// One that counts.
    pub fn counting() -> Self {
        Self::new(false)
    }

    /// One that hands out keys and values.
    pub fn keeping() -> Self {
        Self::new(true)
    }

    fn new(keeps_values: bool) -> Self {
        Self {
            keeps_values,
            phase: Phase::Magic,
            want: Want::Skip(9),
            frames: Vec::new(),
            head: Vec::with_capacity(MAGIC_BYTES),
            kept: Some(Vec::new()),
            second_at: 0,
            number: 0,
            key: Vec::new(),
            expires_ms: None,
            database: 0,
            keys: BTreeMap::new(),
            lost: None,
        }
    }

    /// More bytes; `each` gets what is complete with them.
    pub fn feed<E>(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(Part) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() && self.lost.is_none() {
            let step = match self.want {
                Want::Skip(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let (now, rest) = bytes.split_at(here);
                    bytes = rest;
                    self.keep(now);
                    let left = left - u64::try_from(here).unwrap_or(left);
                    self.want = Want::Skip(left);
                    if left == 0 { self.advance() } else { Ok(None) }
                }
                Want::Number(purpose) => {
                    let (now, rest) = bytes.split_at(1);
                    bytes = rest;
                    self.keep(now);
                    self.head.extend_from_slice(now);
                    self.number_byte(purpose)
                }
            };
            match step {
                Ok(None) => {}
                Ok(Some(part)) => each(part)?,
                Err(why) => self.lost = Some(why),
            }
        }
        Ok(())
    }

    /// After the last byte: the keys of each database, or why they couldn't be counted.
    pub fn finish(self) -> Result<BTreeMap<u64, Keys>, String> {
        match (self.lost, self.phase) {
            (Some(why), _) => Err(why),
            (None, Phase::Over) => Ok(self.keys),
            (None, _) => Err("it ends in the middle".to_owned()),
        }
    }

    /// Why reading can't go on.
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(kept) = &mut self.kept else { return };
        if self.phase == Phase::Between(Between::Aux) && kept.len() + bytes.len() > AUX_BYTES_MAX {
            self.kept = None;
        } else {
            kept.extend_from_slice(bytes);
        }
    }

    /// Another byte of a number has come.
    fn number_byte(&mut self, purpose: Purpose) -> Result<Option<Part>, String> {
        let first = self.head[0];
        if purpose == Purpose::OldDouble {
            self.head.clear();
            self.want = Want::Skip(if first < 253 { first.into() } else { 0 });
            return self.after_want();
        }
        let special = match (purpose, first) {
            (Purpose::Text, 0xC0) => Some(Want::Skip(1)),
            (Purpose::Text, 0xC1) => Some(Want::Skip(2)),
            (Purpose::Text, 0xC2) => Some(Want::Skip(4)),
            (Purpose::Text, 0xC3) => Some(Want::Number(Purpose::Packed)),
            _ => None,
        };
        if let Some(want) = special {
            self.head.clear();
            self.want = want;
            return Ok(None);
        }
        let number = match (first, self.head.as_slice()) {
            (0x00..=0x3F, _) => u64::from(first),
            (0x40..=0x7F, [_, second]) => u64::from(first & 0x3F) << 8 | u64::from(*second),
            (0x80, [_, a, b, c, d]) => u32::from_be_bytes([*a, *b, *c, *d]).into(),
            (0x81, [_, a, b, c, d, e, f, g, h]) => u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            (0x40..=0x81, _) => return Ok(None),
            _ => return Err(format!("it has a length that begins with {first:#x}")),
        };
        self.head.clear();
        match purpose {
            Purpose::Plain => {
                self.number = number;
                self.want = Want::Skip(0);
            }
            Purpose::Count(items) => {
                self.want = Want::Skip(0);
                if number > 0 {
                    self.push(items, number)?;
                }
            }
            Purpose::Packed => self.want = Want::Number(Purpose::Unpacked(number)),
            Purpose::Text | Purpose::Unpacked(_) => {
                let bytes = if let Purpose::Unpacked(packed) = purpose { packed } else { number };
                if bytes > TEXT_BYTES_MAX && self.kept.is_some() {
                    return Err(format!("it has a text of {bytes} bytes, which is more than is read"));
                }
                self.want = Want::Skip(bytes);
            }
            Purpose::Module => {
                let item = grammar::of_module(number).ok_or("a module wrote what isn't known")?;
                let Some(item) = item else {
                    self.want = Want::Skip(0);
                    return self.after_want();
                };
                // What follows it is the next part of the module.
                self.step_back()?;
                self.want = self.want_of(item);
                return self.after_want();
            }
            // Has been dealt with above.
            Purpose::OldDouble => {}
        }
        self.after_want()
    }

    /// Goes on at once if nothing has to come for what is wanted.
    fn after_want(&mut self) -> Result<Option<Part>, String> {
        if self.want == Want::Skip(0) { self.advance() } else { Ok(None) }
    }

    /// What is wanted is there: finds out what comes next.
    fn advance(&mut self) -> Result<Option<Part>, String> {
        loop {
            let Some(frame) = self.frames.last_mut() else { return self.end_of_part() };
            let Some(item) = frame.items.get(frame.at).copied() else {
                frame.times_left = frame.times_left.saturating_sub(1);
                frame.at = 0;
                if frame.times_left == 0 {
                    self.frames.pop();
                }
                continue;
            };
            let is_second = self.frames.len() == 1 && self.frames[0].at == 1;
            if let Some(frame) = self.frames.last_mut() {
                frame.at += 1;
            }
            if is_second {
                self.second_at = self.kept.as_ref().map_or(0, Vec::len);
            }
            self.want = self.want_of(item);
            if self.want != Want::Skip(0) {
                return Ok(None);
            }
        }
    }

    fn want_of(&self, item: Item) -> Want {
        match item {
            Item::Number => Want::Number(Purpose::Plain),
            Item::Text => Want::Number(Purpose::Text),
            Item::Raw(bytes) => Want::Skip(bytes),
            Item::OldDouble => Want::Number(Purpose::OldDouble),
            Item::Each(items) => Want::Number(Purpose::Count(items)),
            Item::Module => Want::Number(Purpose::Module),
        }
    }

    fn push(&mut self, items: &'static [Item], times: u64) -> Result<(), String> {
        if self.frames.len() >= DEPTH_MAX {
            return Err("it has parts in parts without end".to_owned());
        }
        self.frames.push(Frame { items, at: 0, times_left: times });
        Ok(())
    }

    fn step_back(&mut self) -> Result<(), String> {
        let frame = self.frames.last_mut().ok_or("a module wrote outside of a value")?;
        frame.at = frame.at.saturating_sub(1);
        Ok(())
    }

    /// A part is complete: what it says, and what follows it.
    fn end_of_part(&mut self) -> Result<Option<Part>, String> {
        let kept = self.kept.take();
        let mut part = None;
        match self.phase {
            Phase::Magic => {
                seal::version(&kept.unwrap_or_default()).ok_or("it doesn't begin like a dump of Redis")?;
            }
            Phase::Kind => {
                let kind = kept.and_then(|kept| kept.first().copied()).unwrap_or_default();
                return self.begin(kind).map(|()| None);
            }
            Phase::Between(between) => part = self.said(between, kept)?,
            Phase::Key(kind) => {
                if let Some(kept) = kept {
                    self.key = decoded(&kept).ok_or("it has a key that can't be read")?;
                }
                let items = grammar::of(kind).ok_or("it has a type that isn't known")?;
                self.phase = Phase::Value(kind);
                self.kept = self.keeps_values.then(|| vec![kind]);
                self.second_at = 0;
                self.push(items, 1)?;
                return self.advance();
            }
            Phase::Value(_) => part = self.entry(kept)?,
            Phase::Over => return Err("it has bytes behind its end".to_owned()),
        }
        self.phase = if self.phase == Phase::Between(Between::End) { Phase::Over } else { Phase::Kind };
        self.kept = Some(Vec::new());
        self.want = Want::Skip(1);
        Ok(part)
    }

    /// The byte before a part has come.
    fn begin(&mut self, kind: u8) -> Result<(), String> {
        self.second_at = 0;
        let items = if let Some((between, items)) = grammar::between(kind) {
            let is_kept = match between {
                Between::Aux | Between::ExpiresMs | Between::Expires => true,
                Between::Function => self.keeps_values,
                _ => false,
            };
            self.kept = is_kept.then(Vec::new);
            self.phase = Phase::Between(between);
            items
        } else if grammar::of(kind).is_some() {
            self.kept = self.keeps_values.then(Vec::new);
            self.phase = Phase::Key(kind);
            &[Item::Text]
        } else {
            return Err(format!("it has values of type {kind}, which isn't known"));
        };
        self.push(items, 1)?;
        match self.advance()? {
            None => Ok(()),
            Some(_) => Err("it has a part without bytes".to_owned()),
        }
    }

    /// What stands between values is complete.
    fn said(&mut self, between: Between, kept: Option<Vec<u8>>) -> Result<Option<Part>, String> {
        match (between, kept) {
            (Between::Database, _) => {
                self.database = self.number;
                if self.keys.len() >= DATABASES_MAX {
                    return Err("it has more databases than a server".to_owned());
                }
            }
            (Between::ExpiresMs, Some(bytes)) => {
                let bytes = bytes.try_into().map_err(|_| "it has a key that expires at no time")?;
                self.expires_ms = Some(u64::from_le_bytes(bytes));
            }
            (Between::Expires, Some(bytes)) => {
                let bytes = bytes.try_into().map_err(|_| "it has a key that expires at no time")?;
                self.expires_ms = Some(u64::from(u32::from_le_bytes(bytes)) * 1000);
            }
            (Between::Function, Some(bytes)) => {
                let code = decoded(&bytes).ok_or("it has a function that can't be read")?;
                return Ok(Some(Part::Function(code)));
            }
            (Between::Aux, Some(bytes)) => {
                let (name, value) = bytes.split_at_checked(self.second_at).unwrap_or_default();
                let text = |bytes| decoded(bytes).map(|text| String::from_utf8_lossy(&text).into_owned());
                if let (Some(name), Some(value)) = (text(name), text(value)) {
                    return Ok(Some(Part::Aux { name, value }));
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// A key and its value are complete.
    fn entry(&mut self, kept: Option<Vec<u8>>) -> Result<Option<Part>, String> {
        let expires_ms = self.expires_ms.take();
        let keys = self.keys.entry(self.database).or_default();
        keys.all += 1;
        keys.expiring += u64::from(expires_ms.is_some());
        let key = std::mem::take(&mut self.key);
        Ok(kept.map(|value| Part::Entry(Entry { database: self.database, key, expires_ms, value })))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::{Entry, Keys, Part, Reader};

    fn read(dump: &[u8], piece: usize, mut reader: Reader) -> (Vec<Part>, Result<Vec<(u64, Keys)>, String>) {
        let mut parts = Vec::new();
        for piece in dump.chunks(piece) {
            let read = reader.feed(piece, &mut |part| {
                parts.push(part);
                Ok::<(), Infallible>(())
            });
            read.unwrap_or_else(|error| match error {});
        }
        (parts, reader.finish().map(|keys| keys.into_iter().collect()))
    }

    /// One of each kind that a server no longer writes, or that has a form of its own.
    fn dump() -> Vec<u8> {
        let mut dump = b"REDIS0011".to_vec();
        dump.extend_from_slice(b"\xfa\x09redis-ver\x067.2.12\xfa\x05ctime\xc2\x00\x01\x02\x03");
        dump.extend_from_slice(b"\xfe\x02\xfb\x05\x02");
        dump.extend_from_slice(b"\xfc\x01\x00\x00\x00\x00\x00\x00\x00\xf8\x05\x00\xc0\x07\x03abc");
        dump.extend_from_slice(b"\xfd\x01\x00\x00\x00\xf9\x09\x02\x01s\x02\xc1\x01\x02\x00");
        dump.extend_from_slice(b"\x03\x01z\x02\x01a\x031.5\x01b\xfe");
        dump.extend_from_slice(b"\x01\x00\x00");
        dump.extend_from_slice(
            b"\x07\x01m\x81\x01\x02\x03\x04\x05\x06\x07\x08\x02\x05\x04AAAABBBB\x05\x02xy\x00",
        );
        dump.extend_from_slice(b"\x18\x01h\x01\x02\x03\x04\x05\x06\x07\x08\x01\x05\x01f\x01v");
        dump.extend_from_slice(b"\xff12345678");
        dump
    }

    #[test]
    fn keys_are_counted_and_handed_out_in_pieces_of_any_size() {
        for piece in [1, 2, 3, 7, 1000] {
            let (parts, keys) = read(&dump(), piece, Reader::counting());
            let aux = |name: &str, value: &str| Part::Aux { name: name.to_owned(), value: value.to_owned() };
            assert_eq!(parts, [aux("redis-ver", "7.2.12"), aux("ctime", "50462976")]);
            assert_eq!(keys, Ok(vec![(2, Keys { all: 6, expiring: 2 })]), "{piece}");
            let (parts, _) = read(&dump(), piece, Reader::keeping());
            let entries: Vec<Entry> = parts
                .into_iter()
                .filter_map(|part| if let Part::Entry(entry) = part { Some(entry) } else { None })
                .collect();
            let names: Vec<&[u8]> = entries.iter().map(|entry| entry.key.as_slice()).collect();
            assert_eq!(names, [b"7".as_slice(), b"s", b"z", b"", b"m", b"h"]);
            assert_eq!((entries[0].expires_ms, entries[1].expires_ms), (Some(1), Some(1000)));
            assert_eq!(
                (entries[0].value.as_slice(), entries[3].value.as_slice()),
                (&b"\0\x03abc"[..], &b"\x01\0"[..])
            );
            assert_eq!(entries[5].value.len(), 1 + 8 + 6);
        }
    }

    #[test]
    fn a_dump_that_ends_early_or_isn_t_known_is_not_counted() {
        let whole = dump();
        for at in 0..whole.len() {
            let (_, keys) = read(&whole[..at], 5, Reader::keeping());
            assert!(keys.is_err(), "{at}");
        }
        for (bytes, why) in [
            (b"REDIS0011\xf3".as_slice(), "type 243"),
            (b"REDIS00x1", "doesn't begin"),
            (b"REDIS0011\x00\xc5", "begins with 0xc5"),
            (
                b"REDIS0011\x01\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff\x81\xff\xff\xff\xff\xff\xff\xff\xff",
                "text of",
            ),
            (b"REDIS0011\x07\x01k\x01\x09", "a module"),
            (b"REDIS0011\xff12345678x", "behind its end"),
        ] {
            let (_, keys) = read(bytes, 4, Reader::keeping());
            assert!(keys.as_ref().is_err_and(|found| found.contains(why)), "{bytes:?}: {keys:?}");
        }
    }
}
