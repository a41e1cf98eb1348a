//! Texts of a dump: as they are, as numbers, or compressed by LZF.

/// A longer text isn't read: a server takes none unless it was told to.
pub const TEXT_BYTES_MAX: u64 = 512 << 20;
/// How much memory is taken before anything of a compressed text was read.
const FIRST_BYTES: usize = 1 << 20;

/// Reads a text from its encoding, all of it.
pub fn decoded(encoding: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = encoding.split_first()?;
    let signed = |number: i64| Some(number.to_string().into_bytes());
    match first {
        0xC0 => signed(i8::from_le_bytes(rest.try_into().ok()?).into()),
        0xC1 => signed(i16::from_le_bytes(rest.try_into().ok()?).into()),
        0xC2 => signed(i32::from_le_bytes(rest.try_into().ok()?).into()),
        0xC3 => {
            let (packed, rest) = length(rest)?;
            let (unpacked, rest) = length(rest)?;
            if u64::try_from(rest.len()).ok()? != packed || unpacked > TEXT_BYTES_MAX {
                return None;
            }
            lzf(rest, usize::try_from(unpacked).ok()?)
        }
        _ => {
            let (bytes, rest) = length(encoding)?;
            (u64::try_from(rest.len()).ok()? == bytes).then(|| rest.to_vec())
        }
    }
}

/// A length at the beginning of bytes, and what follows it.
fn length(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first {
        0x00..=0x3F => Some((u64::from(*first), rest)),
        0x40..=0x7F => {
            let (second, rest) = rest.split_first()?;
            Some((u64::from(first & 0x3F) << 8 | u64::from(*second), rest))
        }
        0x80 => rest.split_first_chunk().map(|(number, rest)| (u32::from_be_bytes(*number).into(), rest)),
        0x81 => rest.split_first_chunk().map(|(number, rest)| (u64::from_be_bytes(*number), rest)),
        _ => None,
    }
}

/// Unpacks: runs of bytes as they are, and copies of what came before.
fn lzf(mut packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut unpacked = Vec::with_capacity(length.min(FIRST_BYTES));
    while let Some((control, rest)) = packed.split_first() {
        let control = usize::from(*control);
        packed = rest;
        if control < 32 {
            let (run, rest) = packed.split_at_checked(control + 1)?;
            unpacked.extend_from_slice(run);
            packed = rest;
        } else {
            let mut count = control >> 5;
            if count == 7 {
                let (more, rest) = packed.split_first()?;
                count += usize::from(*more);
                packed = rest;
            }
            let (low, rest) = packed.split_first()?;
            packed = rest;
            let back = ((control & 0x1F) << 8 | usize::from(*low)) + 1;
            let start = unpacked.len().checked_sub(back)?;
            // A copy may reach into itself.
            for at in start..start + count + 2 {
                unpacked.push(*unpacked.get(at)?);
            }
        }
        if unpacked.len() > length {
            return None;
        }
    }
    (unpacked.len() == length).then_some(unpacked)
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn texts_numbers_and_compressed_texts_are_read() {
        let text =
            |encoding: &[u8]| decoded(encoding).map(|text| String::from_utf8_lossy(&text).into_owned());
        assert_eq!(text(b"\x03abc").as_deref(), Some("abc"));
        assert_eq!(text(b"\x40\x03abc").as_deref(), Some("abc"));
        assert_eq!(text(b"\x80\x00\x00\x00\x03abc").as_deref(), Some("abc"));
        assert_eq!(text(b"\xC0\xFE").as_deref(), Some("-2"));
        assert_eq!(text(b"\xC2\x00\x00\x00\x80").as_deref(), Some("-2147483648"));
        // "ab", then twelve bytes from two back.
        assert_eq!(text(b"\xC3\x06\x0e\x01ab\xe0\x03\x01").as_deref(), Some("ababababababab"));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for encoding in [
            b"".as_slice(),
            b"\x03ab",
            b"\x03abcd",
            b"\xC1\x00",
            b"\xC4\x00",
            b"\xC3\x03\x05\x20\x05a",
            b"\xC3\x02\x09\x00a",
            b"\xC3\x02\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x00a",
        ] {
            assert_eq!(decoded(encoding), None, "{encoding:?}");
        }
    }
}
