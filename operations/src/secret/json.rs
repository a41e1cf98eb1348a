//! Finds one text in a document of JSON, and copies nothing else of it: the rest may be secrets too.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// What was found at a path of keys.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A text. One with escapes in it was in memory of the parser before, which isn't wiped.
    Text(Zeroizing<String>),
    /// Something that isn't text.
    Other,
    /// Nothing, after this many keys of the path.
    Nothing {
        /// How many keys were there.
        keys: usize,
    },
}

/// Looks for what is at a path of keys. Of a key that is there twice, the last one counts.
pub fn find(document: &[u8], path: &[&str]) -> Result<Found, serde_json::Error> {
    let mut input = serde_json::Deserializer::from_slice(document);
    let found = At { path, keys: 0 }.deserialize(&mut input)?;
    input.end()?;
    Ok(found)
}

#[derive(Clone, Copy)]
struct At<'p> {
    path: &'p [&'p str],
    /// How many keys led here.
    keys: usize,
}

impl At<'_> {
    fn other(self) -> Found {
        if self.path.is_empty() { Found::Other } else { Found::Nothing { keys: self.keys } }
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Found, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let Some((first, rest)) = self.path.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Other);
        };
        let mut found = Found::Nothing { keys: self.keys };
        while let Some(is_it) = map.next_key_seed(Is(first))? {
            if is_it {
                found = map.next_value_seed(At { path: rest, keys: self.keys + 1 })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        let found = || Found::Text(Zeroizing::new(text.to_owned()));
        Ok(if self.path.is_empty() { found() } else { self.other() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other())
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        // A null at the end of the path is as good as nothing.
        Ok(Found::Nothing { keys: self.keys.saturating_sub(1) })
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Found, E> {
        Ok(self.other())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Found, E> {
        Ok(self.other())
    }
}

/// Whether a key is this one.
struct Is<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<bool, D::Error> {
        input.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Zeroizing, find};

    fn text(text: &str) -> Found {
        Found::Text(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_text_is_found_by_its_keys_and_nothing_else_is() {
        let document =
            br#"{"a": [1, {"b": "no"}], "data": {"b": null, "c": 1.5, "b": "y\"es", "d": "flat"}, "x": {}}"#;
        for (path, expected) in [
            (&["data", "b"][..], text("y\"es")),
            (&["data", "d"], text("flat")),
            (&["data", "c"], Found::Other),
            (&["data"], Found::Other),
            (&["a"], Found::Other),
            (&["data", "e"], Found::Nothing { keys: 1 }),
            (&["data", "d", "deeper"], Found::Nothing { keys: 2 }),
            (&["none", "d"], Found::Nothing { keys: 0 }),
            (&["a", "b"], Found::Nothing { keys: 1 }),
        ] {
            assert_eq!(find(document, path).expect("JSON"), expected, "{path:?}");
        }
        assert_eq!(find(br#"{"b": null}"#, &["b"]).expect("JSON"), Found::Nothing { keys: 0 });
    }

    #[test]
    fn what_is_not_json_or_nested_too_deeply_is_refused() {
        let deep = "[".repeat(100_000);
        for document in ["", "{", "{\"a\": \"b\"} more", "<html>", deep.as_str()] {
            assert!(find(document.as_bytes(), &["a"]).is_err());
        }
    }
}
