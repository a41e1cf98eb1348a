//! Fixed-width little-endian fields. Untrusted bytes are sliced only here.

use crate::FormatError;

/// Reads fields one after the other from the front of some bytes, which belong to the structure `what`.
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`, which claim to be the structure `what`.
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or(FormatError::Truncated { what: self.what })?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.array::<1>()?[0])
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Four bytes, little-endian. A number over `limit` is refused.
    pub fn u32_at_most(&mut self, limit: u32, field: &'static str) -> Result<u32, FormatError> {
        let value = self.u32()?;
        if value > limit {
            return Err(FormatError::OverLimit { what: self.what, field });
        }
        Ok(value)
    }

    /// Refuses anything but these bytes.
    pub fn expect(&mut self, bytes: &[u8], why: &'static str) -> Result<(), FormatError> {
        if self.bytes(bytes.len())? != bytes {
            return Err(FormatError::Malformed { what: self.what, why });
        }
        Ok(())
    }

    /// The number of bytes that are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Refuses bytes that are left over.
    pub fn finish(self) -> Result<(), FormatError> {
        if self.rest.is_empty() { Ok(()) } else { Err(FormatError::TrailingBytes { what: self.what }) }
    }
}
