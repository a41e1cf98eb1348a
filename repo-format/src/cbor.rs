//! Small objects as CBOR maps with integer keys, in their one deterministic encoding.
//!
//! Keys from 0 up are critical: a decoder that doesn't know one refuses the object.
//! Negative keys are ignorable: a decoder that doesn't know one keeps it as it is.

use std::collections::BTreeMap;

use serde_cbor::Value;

use crate::FormatError;

/// Fields that this program doesn't know and may ignore, kept for writing back.
pub type Ignorable = BTreeMap<i128, Value>;

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

    /// Adds the fields that were read but not understood.
    pub fn ignorable(mut self, fields: &Ignorable) -> Self {
        for (key, value) in fields {
            self.0.insert(Value::Integer(*key), value.clone());
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

/// The one encoding of a value.
pub fn encode(value: &Value) -> Vec<u8> {
    serde_cbor::to_vec(value).expect("values made of integers, bytes, text, arrays and maps encode")
}

/// An object being read: fields are taken out one by one, and `finish` looks at the rest.
pub struct Taker {
    map: BTreeMap<Value, Value>,
    what: &'static str,
}

impl Taker {
    /// Decodes `bytes`; they must be the one encoding of a map.
    pub fn decode(what: &'static str, bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = serde_cbor::Deserializer::from_slice(bytes).into_iter::<Value>();
        let value = input.next().ok_or(FormatError::Truncated { what })?.map_err(|error| {
            if error.is_eof() {
                FormatError::Truncated { what }
            } else {
                FormatError::Malformed { what, why: "it isn't CBOR" }
            }
        })?;
        if input.byte_offset() < bytes.len() {
            return Err(FormatError::TrailingBytes { what });
        }
        if encode(&value) != bytes {
            return Err(FormatError::NotCanonical { what });
        }
        Self::of(what, value)
    }

    /// Reads a map that stands inside another object.
    pub fn of(what: &'static str, value: Value) -> Result<Self, FormatError> {
        match value {
            Value::Map(map) => Ok(Self { map, what }),
            _ => Err(FormatError::Malformed { what, why: "it isn't a map" }),
        }
    }

    pub fn malformed(&self, why: &'static str) -> FormatError {
        FormatError::Malformed { what: self.what, why }
    }

    /// Whether a field is there that wasn't taken.
    pub fn has(&self, key: i128) -> bool {
        self.map.contains_key(&Value::Integer(key))
    }

    pub fn optional(&mut self, key: i128) -> Option<Value> {
        self.map.remove(&Value::Integer(key))
    }

    pub fn required(&mut self, key: i128) -> Result<Value, FormatError> {
        self.optional(key).ok_or(FormatError::Malformed { what: self.what, why: "a field is missing" })
    }

    pub fn uint(&mut self, key: i128) -> Result<u64, FormatError> {
        let value = self.required(key)?;
        as_uint(&value).ok_or_else(|| self.malformed("a field isn't an unsigned integer"))
    }

    pub fn u32(&mut self, key: i128) -> Result<u32, FormatError> {
        let value = self.uint(key)?;
        value.try_into().map_err(|_| self.malformed("a number is too large"))
    }

    pub fn bytes(&mut self, key: i128) -> Result<Vec<u8>, FormatError> {
        match self.required(key)? {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.malformed("a field isn't a byte string")),
        }
    }

    pub fn fixed<const N: usize>(&mut self, key: i128) -> Result<[u8; N], FormatError> {
        let bytes = self.bytes(key)?;
        bytes.try_into().map_err(|_| self.malformed("a byte string has the wrong length"))
    }

    pub fn optional_fixed<const N: usize>(&mut self, key: i128) -> Result<Option<[u8; N]>, FormatError> {
        if self.has(key) { self.fixed(key).map(Some) } else { Ok(None) }
    }

    pub fn text(&mut self, key: i128) -> Result<String, FormatError> {
        match self.required(key)? {
            Value::Text(text) => Ok(text),
            _ => Err(self.malformed("a field isn't text")),
        }
    }

    pub fn array(&mut self, key: i128) -> Result<Vec<Value>, FormatError> {
        match self.required(key)? {
            Value::Array(values) => Ok(values),
            _ => Err(self.malformed("a field isn't an array")),
        }
    }

    /// An array whose items are maps of their own.
    pub fn maps(&mut self, key: i128) -> Result<Vec<Taker>, FormatError> {
        let what = self.what;
        self.array(key)?.into_iter().map(|item| Taker::of(what, item)).collect()
    }

    pub fn texts(&mut self, key: i128) -> Result<Vec<String>, FormatError> {
        let items = self.array(key)?;
        items
            .into_iter()
            .map(|item| match item {
                Value::Text(text) => Ok(text),
                _ => Err(self.malformed("an item isn't text")),
            })
            .collect()
    }

    pub fn byte_strings(&mut self, key: i128) -> Result<Vec<Vec<u8>>, FormatError> {
        let items = self.array(key)?;
        items
            .into_iter()
            .map(|item| match item {
                Value::Bytes(bytes) => Ok(bytes),
                _ => Err(self.malformed("an item isn't a byte string")),
            })
            .collect()
    }

    /// A map inside this one.
    pub fn map(&mut self, key: i128) -> Result<Taker, FormatError> {
        let value = self.required(key)?;
        Taker::of(self.what, value)
    }

    /// Refuses critical fields that were not taken, and returns the ignorable ones.
    pub fn finish(self) -> Result<Ignorable, FormatError> {
        self.map
            .into_iter()
            .map(|(key, value)| match key {
                Value::Integer(key) if key < 0 => Ok((key, value)),
                Value::Integer(key) => Err(FormatError::UnknownField { what: self.what, key }),
                _ => Err(FormatError::Malformed { what: self.what, why: "a key isn't an integer" }),
            })
            .collect()
    }
}

/// An unsigned integer, if the value is one.
pub fn as_uint(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// A signed integer, if the value is one.
pub fn as_int(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => i64::try_from(*number).ok(),
        _ => None,
    }
}
