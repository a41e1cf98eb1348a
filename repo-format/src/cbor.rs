//! Small objects as CBOR maps with integer keys, in the deterministic encoding: each value has one.
//!
//! Keys from 0 up are critical: a decoder that doesn't know one refuses the object.
//! Negative keys are ignorable: a decoder that doesn't know one keeps its value unchanged.

use std::collections::BTreeMap;

use serde_cbor::Value;

use crate::item::{Items, encode};
use crate::{FormatError, limits};

/// Encoded fields that this program doesn't know and may ignore. They are kept to be written again.
pub type Ignorable = BTreeMap<i128, Vec<u8>>;

/// Builds an object field by field.
#[derive(Default)]
pub struct Fields(BTreeMap<Value, Value>);

impl Fields {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with(mut self, key: i128, value: Value) -> Self {
        self.0.insert(Value::Integer(key), value);
        self
    }

    pub fn uint(self, key: i128, value: u64) -> Self {
        self.with(key, Value::Integer(value.into()))
    }

    pub fn bytes(self, key: i128, value: &[u8]) -> Self {
        self.with(key, Value::Bytes(value.to_vec()))
    }

    pub fn text(self, key: i128, value: &str) -> Self {
        self.with(key, Value::Text(value.to_owned()))
    }

    pub fn array(self, key: i128, values: Vec<Value>) -> Self {
        self.with(key, Value::Array(values))
    }

    /// Adds a field only if there is a value.
    pub fn maybe<T>(self, value: Option<T>, add: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => add(self, value),
            None => self,
        }
    }

    /// Adds the fields that were read and aren't known.
    pub fn ignorable(mut self, fields: &Ignorable) -> Self {
        for (key, encoded) in fields {
            self.0.extend(serde_cbor::from_slice(encoded).map(|value| (Value::Integer(*key), value)));
        }
        self
    }

    pub fn value(self) -> Value {
        Value::Map(self.0)
    }

    pub fn encode(self) -> Vec<u8> {
        encode(&self.value())
    }
}

/// Reads an object: fields are removed one by one, and `finish` checks those that are left.
///
/// It borrows the object's bytes. A field takes memory only when it is removed, and then no more than its
/// type needs.
pub struct FieldReader<'a> {
    fields: BTreeMap<i128, &'a [u8]>,
    what: &'static str,
}

impl<'a> FieldReader<'a> {
    /// Reads `bytes`, which must be the canonical encoding of a map.
    pub fn decode(what: &'static str, bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut items = Items::of(what, bytes);
        let whole = items.item()?;
        items.finish()?;
        Self::of(what, whole)
    }

    /// Reads a map inside another object, which was already checked to its end.
    fn of(what: &'static str, item: &'a [u8]) -> Result<Self, FormatError> {
        let mut items = Items::of(what, item);
        let count = items.map()?;
        if count > limits::FIELDS_PER_MAP {
            return Err(FormatError::OverLimit { what, field: "number of fields" });
        }
        let mut fields = BTreeMap::new();
        for _ in 0..count {
            fields.insert(items.key()?, items.item()?);
        }
        Ok(Self { fields, what })
    }

    pub fn malformed(&self, why: &'static str) -> FormatError {
        FormatError::Malformed { what: self.what, why }
    }

    /// Whether a field is present and wasn't removed yet.
    pub fn has(&self, key: i128) -> bool {
        self.fields.contains_key(&key)
    }

    /// The bytes of an ignorable field, if it is present and is a byte string. A value of another type is
    /// one that this program doesn't know, so it is kept.
    pub fn ignorable_bytes(&mut self, key: i128) -> Option<&'a [u8]> {
        let bytes = Items::of(self.what, self.fields.get(&key)?).bytes().ok()?;
        self.fields.remove(&key);
        Some(bytes)
    }

    /// As [`Self::ignorable_bytes`], for a byte string of exactly `N` bytes.
    pub fn ignorable_fixed<const N: usize>(&mut self, key: i128) -> Option<[u8; N]> {
        let bytes = Items::of(self.what, self.fields.get(&key)?).bytes().ok()?;
        let fixed = bytes.try_into().ok()?;
        self.fields.remove(&key);
        Some(fixed)
    }

    /// The value of an ignorable field, which may be missing and has any type. A value that is longer than
    /// every value that this program knows counts as missing.
    pub fn optional(&mut self, key: i128) -> Option<Value> {
        let encoded = self.fields.remove(&key)?;
        (encoded.len() <= OPTIONAL_BYTES_MAX).then(|| serde_cbor::from_slice(encoded).ok())?
    }

    fn required(&mut self, key: i128) -> Result<Items<'a>, FormatError> {
        let missing = FormatError::Malformed { what: self.what, why: "a field is missing" };
        self.fields.remove(&key).map(|item| Items::of(self.what, item)).ok_or(missing)
    }

    pub fn uint(&mut self, key: i128) -> Result<u64, FormatError> {
        self.required(key)?.uint()
    }

    pub fn u32(&mut self, key: i128) -> Result<u32, FormatError> {
        let value = self.uint(key)?;
        value.try_into().map_err(|_| self.malformed("a number is too large"))
    }

    pub fn bytes(&mut self, key: i128) -> Result<&'a [u8], FormatError> {
        self.required(key)?.bytes()
    }

    pub fn fixed<const N: usize>(&mut self, key: i128) -> Result<[u8; N], FormatError> {
        let bytes = self.bytes(key)?;
        bytes.try_into().map_err(|_| self.malformed("a byte string has the wrong length"))
    }

    pub fn optional_fixed<const N: usize>(&mut self, key: i128) -> Result<Option<[u8; N]>, FormatError> {
        if self.has(key) { self.fixed(key).map(Some) } else { Ok(None) }
    }

    pub fn text(&mut self, key: i128) -> Result<String, FormatError> {
        Ok(self.required(key)?.text()?.to_owned())
    }

    /// An array. `read` reads one item from the front of those that are left.
    pub fn array<T>(
        &mut self,
        key: i128,
        read: impl Fn(&mut Items<'a>) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        let mut items = self.required(key)?;
        let count = items.array()?;
        if count > limits::ITEMS_PER_ARRAY {
            return Err(FormatError::OverLimit { what: self.what, field: "number of items" });
        }
        // No memory in advance: the items that the count promises may not exist.
        (0..count).map(|_| read(&mut items)).collect()
    }

    /// An array whose items are maps of their own.
    pub fn maps<T>(
        &mut self,
        key: i128,
        read: impl Fn(FieldReader<'a>) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        let what = self.what;
        self.array(key, |items| read(FieldReader::of(what, items.item()?)?))
    }

    pub fn texts(&mut self, key: i128) -> Result<Vec<String>, FormatError> {
        self.array(key, |items| Ok(items.text()?.to_owned()))
    }

    pub fn byte_strings(&mut self, key: i128) -> Result<Vec<Vec<u8>>, FormatError> {
        self.array(key, |items| Ok(items.bytes()?.to_vec()))
    }

    /// A flat array of pairs: first, second, first, second. `read` reads one pair.
    pub fn pairs<T>(
        &mut self,
        key: i128,
        read: impl Fn(&mut Items<'a>) -> Result<T, FormatError>,
    ) -> Result<Vec<T>, FormatError> {
        let mut items = self.required(key)?;
        let count = items.array()?;
        if count % 2 != 0 {
            return Err(self.malformed("an array doesn't consist of pairs"));
        }
        if count > 2 * limits::ITEMS_PER_ARRAY {
            return Err(FormatError::OverLimit { what: self.what, field: "number of items" });
        }
        (0..count / 2).map(|_| read(&mut items)).collect()
    }

    /// A map inside this one.
    pub fn map(&mut self, key: i128) -> Result<FieldReader<'a>, FormatError> {
        let item = self.required(key)?.item()?;
        FieldReader::of(self.what, item)
    }

    /// Refuses critical fields that are left, and returns the ignorable ones.
    pub fn finish(self) -> Result<Ignorable, FormatError> {
        match self.fields.last_key_value() {
            Some((key, _)) if *key >= 0 => Err(FormatError::UnknownField { what: self.what, key: *key }),
            _ => Ok(self.fields.into_iter().map(|(key, item)| (key, item.to_vec())).collect()),
        }
    }
}

/// Length of the longest value of an optional field that a program decodes, in bytes.
const OPTIONAL_BYTES_MAX: usize = 64 << 10;

/// A signed integer, if the value is one.
pub fn as_int(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => i64::try_from(*number).ok(),
        _ => None,
    }
}
