//! CBOR items, read in place: the stored bytes are traversed, and no tree of values is built.
//!
//! So reading an object takes no memory before its signature has been checked, and no more than
//! its own size after that, however deeply its items nest.

use serde_cbor::Value;

use crate::{FormatError, limits};

/// Major types of items: the first three bits of their heads.
mod major {
    pub const UINT: u8 = 0;
    pub const NEGATIVE: u8 = 1;
    pub const BYTES: u8 = 2;
    pub const TEXT: u8 = 3;
    pub const ARRAY: u8 = 4;
    pub const MAP: u8 = 5;
    pub const TAG: u8 = 6;
    pub const SIMPLE: u8 = 7;
}

/// The canonical encoding of a value.
pub fn encode(value: &Value) -> Vec<u8> {
    serde_cbor::to_vec(value).expect("values made of integers, bytes, text, arrays and maps encode")
}

/// Reads items one after the other from the front of some bytes.
#[derive(Clone, Copy)]
pub struct Items<'a> {
    rest: &'a [u8],
    what: &'static str,
}

/// The head of an item.
#[derive(Clone, Copy)]
struct Head {
    major: u8,
    /// A number, or the count of bytes, items or pairs that follow.
    argument: u64,
}

impl<'a> Items<'a> {
    /// The items in these bytes, which belong to the structure `what`.
    pub const fn of(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    /// Refuses bytes that are left over.
    pub fn finish(self) -> Result<(), FormatError> {
        if self.rest.is_empty() { Ok(()) } else { Err(FormatError::TrailingBytes { what: self.what }) }
    }

    fn malformed(&self, why: &'static str) -> FormatError {
        FormatError::Malformed { what: self.what, why }
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], FormatError> {
        let split = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let (taken, rest) = split.ok_or(FormatError::Truncated { what: self.what })?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next item's head, which must be in its shortest form.
    fn head(&mut self) -> Result<Head, FormatError> {
        let first = self.take(1)?[0];
        let (major, short) = (first >> 5, first & 0x1f);
        let not_canonical = FormatError::NotCanonical { what: self.what };
        let argument = match short {
            0..24 => return Ok(Head { major, argument: short.into() }),
            24..28 => {
                let bytes = self.take(1 << (short - 24))?;
                bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
            }
            // 31 means an item without a length here. For other types it has no meaning.
            31 if (major::BYTES..=major::MAP).contains(&major) => return Err(not_canonical),
            _ => return Err(self.malformed("it isn't CBOR")),
        };
        let least = match short {
            24 => 24,
            25 => 1 << 8,
            26 => 1 << 16,
            _ => 1 << 32,
        };
        if argument < least { Err(not_canonical) } else { Ok(Head { major, argument }) }
    }

    /// The number of pairs of the next item, a map.
    pub fn map(&mut self) -> Result<u64, FormatError> {
        self.expect(major::MAP, "it isn't a map")
    }

    /// The number of items of the next item, an array.
    pub fn array(&mut self) -> Result<u64, FormatError> {
        self.expect(major::ARRAY, "a field isn't an array")
    }

    /// The next item, an unsigned integer.
    pub fn uint(&mut self) -> Result<u64, FormatError> {
        self.expect(major::UINT, "a field isn't an unsigned integer")
    }

    /// The next item, a signed integer of 64 bits.
    pub fn int(&mut self) -> Result<i64, FormatError> {
        self.key()
            .ok()
            .and_then(|number| i64::try_from(number).ok())
            .ok_or(self.malformed("a field isn't a signed integer"))
    }

    /// The next item, a byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], FormatError> {
        let count = self.expect(major::BYTES, "a field isn't a byte string")?;
        self.take(count)
    }

    /// The next item, text.
    pub fn text(&mut self) -> Result<&'a str, FormatError> {
        let count = self.expect(major::TEXT, "a field isn't text")?;
        self.utf8(count)
    }

    /// The next item, a map's key.
    pub fn key(&mut self) -> Result<i128, FormatError> {
        let head = self.head()?;
        match head.major {
            major::UINT => Ok(head.argument.into()),
            major::NEGATIVE => Ok(-1 - i128::from(head.argument)),
            major::TAG => Err(FormatError::NotCanonical { what: self.what }),
            _ => Err(self.malformed("a key isn't an integer")),
        }
    }

    /// The bytes of the next item, after a check of all of it.
    pub fn item(&mut self) -> Result<&'a [u8], FormatError> {
        let start = self.rest;
        self.skip(0)?;
        Ok(&start[..start.len() - self.rest.len()])
    }

    fn expect(&mut self, major: u8, why: &'static str) -> Result<u64, FormatError> {
        let first = *self.rest.first().ok_or(FormatError::Truncated { what: self.what })?;
        match first >> 5 {
            found if found == major => Ok(self.head()?.argument),
            major::TAG => Err(FormatError::NotCanonical { what: self.what }),
            _ => {
                self.head()?;
                Err(self.malformed(why))
            }
        }
    }

    fn utf8(&mut self, count: u64) -> Result<&'a str, FormatError> {
        let text = self.take(count)?;
        std::str::from_utf8(text).map_err(|_| self.malformed("its text isn't UTF-8"))
    }

    /// Skips and checks an item that is nested in `depth` others.
    fn skip(&mut self, depth: u32) -> Result<(), FormatError> {
        let first = *self.rest.first().ok_or(FormatError::Truncated { what: self.what })?;
        if first >> 5 == major::SIMPLE {
            return self.skip_simple(first & 0x1f);
        }
        let Head { major, argument } = self.head()?;
        match major {
            major::UINT | major::NEGATIVE => Ok(()),
            major::BYTES => self.take(argument).map(drop),
            major::TEXT => self.utf8(argument).map(drop),
            major::TAG => Err(FormatError::NotCanonical { what: self.what }),
            _ if depth == limits::CBOR_DEPTH => Err(self.malformed("its maps and arrays nest too deeply")),
            major::ARRAY => (0..argument).try_for_each(|_| self.skip(depth + 1)),
            _ => {
                let mut last: &[u8] = &[];
                for _ in 0..argument {
                    let start = self.rest;
                    self.skip(depth + 1)?;
                    let key = &start[..start.len() - self.rest.len()];
                    // No item is empty, so the first key is greater than the empty `last`.
                    if key <= last {
                        return Err(FormatError::NotCanonical { what: self.what });
                    }
                    last = key;
                    self.skip(depth + 1)?;
                }
                Ok(())
            }
        }
    }

    /// Skips and checks a truth value, null, or a floating-point number, each in its shortest form.
    fn skip_simple(&mut self, short: u8) -> Result<(), FormatError> {
        let size = match short {
            20..=23 => 1,
            25 => 3,
            26 => 5,
            27 => 9,
            _ => return Err(self.malformed("it isn't CBOR")),
        };
        let item = self.take(size)?;
        let value: Value = serde_cbor::from_slice(item).map_err(|_| self.malformed("it isn't CBOR"))?;
        if encode(&value) == item { Ok(()) } else { Err(FormatError::NotCanonical { what: self.what }) }
    }
}
