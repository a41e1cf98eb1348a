//! Which files are made of pages that a database rewrites in place, by how they begin: those of SQLite, PostgreSQL
//! and InnoDB (MySQL, MariaDB).
//!
//! Names and directories count for nothing, so that copies, streams and parts of a data directory are known as well.
//! What begins like such a file and isn't one is cut in another way, and nothing else comes of it.

use keepfast_format::chunker::PageBytes;

/// How SQLite's files begin.
const SQLITE: &[u8] = b"SQLite format 3\0";
/// The bytes 21 to 23 of SQLite's header, which are the same in each file.
const SQLITE_FRACTIONS: [u8; 3] = [64, 32, 32];

/// Bytes of the header of PostgreSQL's pages.
const POSTGRES_HEADER_BYTES: u16 = 24;
/// The layout of PostgreSQL's pages since 8.3; it shares two bytes with the page's size.
const POSTGRES_LAYOUT: u16 = 4;
/// The flags that PostgreSQL's pages have.
const POSTGRES_FLAGS: u16 = 7;
/// The size of PostgreSQL's pages, unless it was compiled for another.
const POSTGRES_PAGE_BYTES: u16 = 8 << 10;
/// This many of PostgreSQL's pages are looked at, as far as there are as many.
const POSTGRES_PAGES: usize = 16;

/// The type of the first page of an InnoDB tablespace.
const INNODB_FIRST_PAGE: u16 = 8;
/// The size of InnoDB's pages, unless the server was set up for another.
const INNODB_PAGE_BYTES: u32 = 16 << 10;
/// The flag of tablespaces of MariaDB (`full_crc32`) whose other flags have places of their own.
const INNODB_FULL_CRC32: u32 = 1 << 4;

/// The size of the pages of a file that begins with these bytes; `None` if it isn't known to have pages.
#[must_use]
pub fn page_bytes_of(start: &[u8]) -> Option<PageBytes> {
    sqlite(start).or_else(|| innodb(start)).or_else(|| postgres(start))
}

fn sqlite(start: &[u8]) -> Option<PageBytes> {
    if !start.starts_with(SQLITE) || start.get(21..24)? != SQLITE_FRACTIONS {
        return None;
    }
    match big_u16(start, 16)? {
        1 => PageBytes::new(64 << 10),
        bytes => PageBytes::new(bytes.into()),
    }
}

/// All pages that are looked at have a sound header, or none so far: PostgreSQL extends files by zeros.
fn postgres(start: &[u8]) -> Option<PageBytes> {
    let size = match little_u16(start, 18)? {
        0 => POSTGRES_PAGE_BYTES,
        word => word & 0xff00,
    };
    let page_bytes = PageBytes::new(size.into())?;
    let mut pages = start.chunks_exact(size.into()).take(POSTGRES_PAGES);
    let mut has_header = false;
    let all_fit = pages.all(|page| {
        let header = &page[..usize::from(POSTGRES_HEADER_BYTES)];
        let is_sound = is_postgres_header(header, size);
        has_header |= is_sound;
        is_sound || header.iter().all(|byte| *byte == 0)
    });
    (all_fit && has_header).then_some(page_bytes)
}

fn is_postgres_header(header: &[u8], size: u16) -> bool {
    let field = |at| little_u16(header, at).unwrap_or(u16::MAX);
    let (flags, lower, upper, special) = (field(10), field(12), field(14), field(16));
    field(18) == size | POSTGRES_LAYOUT
        && flags & !POSTGRES_FLAGS == 0
        && (POSTGRES_HEADER_BYTES..=upper).contains(&lower)
        && (upper..=size).contains(&special)
}

/// The first page describes a tablespace, and the second one is where the first says that it is.
fn innodb(start: &[u8]) -> Option<PageBytes> {
    let space = big_u32(start, 34)?;
    let describes =
        big_u32(start, 4)? == 0 && big_u16(start, 24)? == INNODB_FIRST_PAGE && big_u32(start, 38)? == space;
    if !describes {
        return None;
    }
    let flags = big_u32(start, 54)?;
    let is_second_at = |at: u32| {
        let second = start.get(usize::try_from(at).ok()?..)?;
        let is_of_space = big_u32(second, 34)? == space || is_compressed_by_pages(flags);
        Some(big_u32(second, 4)? == 1 && is_of_space)
    };
    // Older programs have set some flags in other ways, so the usual size is tried as well.
    let sizes = [innodb_page_bytes(flags), INNODB_PAGE_BYTES];
    let size = sizes.into_iter().find(|size| is_second_at(*size) == Some(true))?;
    PageBytes::new(size)
}

/// Whether pages of a tablespace with these flags are compressed from their headers on.
fn is_compressed_by_pages(flags: u32) -> bool {
    flags & INNODB_FULL_CRC32 != 0 && flags >> 5 & 7 != 0
}

/// The size of the pages of a tablespace with these flags, on disk.
fn innodb_page_bytes(flags: u32) -> u32 {
    // Sizes are numbers from 1 on, for 1 KiB and what is twice as much each time. None is the usual size.
    let of = |from: u32| match (flags >> from) & 0xf {
        0 => INNODB_PAGE_BYTES,
        size => 512 << size,
    };
    let is_compressed = flags >> 1 & 0xf != 0;
    match () {
        () if flags & INNODB_FULL_CRC32 != 0 => of(0),
        () if is_compressed => of(1),
        () => of(6),
    }
}

fn big_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn big_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn little_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{PageBytes, page_bytes_of};

    const LENGTH: usize = 256 << 10;

    fn bytes_of(file: &[u8]) -> Option<u32> {
        page_bytes_of(file).map(PageBytes::get)
    }

    fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn sqlite(page: u16) -> Vec<u8> {
        let mut file = vec![7; LENGTH];
        put(&mut file, 0, b"SQLite format 3\0");
        put(&mut file, 16, &page.to_be_bytes());
        put(&mut file, 18, &[1, 1, 0, 64, 32, 32]);
        file
    }

    #[test]
    fn sqlite_says_its_page_size() {
        for (said, page) in [(512, 512), (4096, 4096), (32_768, 32_768), (1, 65_536)] {
            assert_eq!(bytes_of(&sqlite(said)), Some(page));
        }
        for garbage in [0, 2, 256, 4095, 4097, u16::MAX] {
            assert_eq!(bytes_of(&sqlite(garbage)), None, "{garbage}");
        }
        let mut other = sqlite(4096);
        other[22] = 33;
        assert_eq!(bytes_of(&other), None);
        for length in 0..24 {
            assert_eq!(bytes_of(&sqlite(4096)[..length]), None);
        }
    }

    /// A relation of PostgreSQL of pages of this size, of which some were never written.
    fn postgres(page: u16, is_written: impl Fn(usize) -> bool) -> Vec<u8> {
        let mut file = vec![0; LENGTH];
        for (number, page_bytes) in
            file.chunks_exact_mut(page.into()).enumerate().filter(|(at, _)| is_written(*at))
        {
            page_bytes.fill(9);
            for (at, field) in (10..20).step_by(2).zip([4, 100, page / 2, page - 16, page | 4]) {
                put(page_bytes, at, &field.to_le_bytes());
            }
            put(page_bytes, 0, &number.to_le_bytes());
        }
        file
    }

    #[test]
    fn postgres_is_known_by_the_headers_of_its_pages() {
        for page in [1024, 8192, 32_768] {
            assert_eq!(bytes_of(&postgres(page, |_| true)), Some(page.into()));
        }
        assert_eq!(bytes_of(&postgres(8192, |number| number == 3)), Some(8192), "the first page is empty");
        assert_eq!(bytes_of(&postgres(8192, |_| false)), None, "there are only zeros");
        let lies: [(usize, u16); 7] =
            [(10, 8), (12, 23), (12, 5000), (14, 9000), (16, 8193), (18, 8192 | 5), (18, 4096 | 4)];
        for (at, lie) in lies {
            let mut file = postgres(8192, |_| true);
            put(&mut file, 3 * 8192 + at, &lie.to_le_bytes());
            assert_eq!(bytes_of(&file), None, "{lie} at {at}");
        }
        for word in [1, 4, 0xff04, 0x0204, u16::MAX] {
            let mut file = postgres(8192, |_| true);
            put(&mut file, 18, &word.to_le_bytes());
            assert_eq!(bytes_of(&file), None, "{word}");
        }
    }

    fn innodb(page: usize, flags: u32) -> Vec<u8> {
        let mut file = vec![0; LENGTH];
        for (number, page_bytes) in (0_u32..).zip(file.chunks_exact_mut(page)) {
            put(page_bytes, 4, &number.to_be_bytes());
            put(page_bytes, 24, &[0, if number == 0 { 8 } else { 5 }]);
            put(page_bytes, 34, &77_u32.to_be_bytes());
        }
        put(&mut file, 38, &77_u32.to_be_bytes());
        put(&mut file, 54, &flags.to_be_bytes());
        file
    }

    #[test]
    fn innodb_is_known_by_its_first_two_pages() {
        // MySQL's defaults; pages of 4 and 64 KiB; compressed to 8 KiB; MariaDB's defaults, and pages of 4 KiB.
        let kinds = [
            (16_384, 0x4021),
            (4096, 0x00e1),
            (65_536, 0x01e1),
            (8192, 0x0029),
            (16_384, 0x15),
            (4096, 0x13),
        ];
        for (page, flags) in kinds {
            assert_eq!(bytes_of(&innodb(page, flags)), u32::try_from(page).ok(), "{flags:#x}");
        }
        assert_eq!(
            bytes_of(&innodb(16_384, u32::MAX)),
            Some(16_384),
            "its flags say nothing, its second page does"
        );
        let compressed = |flags| {
            let mut file = innodb(16_384, flags);
            // The type of the page, and then what is compressed.
            put(&mut file, 16_384 + 24, b"\x80\x01\x78\x9c\xed\xdb\x3b\x11\xc0\x20\x00\x05\xc1\x97");
            bytes_of(&file)
        };
        assert_eq!([compressed(0x35), compressed(0x15)], [Some(16_384), None]);
        assert_eq!(bytes_of(&innodb(8192, 0)), None, "the second page isn't where it should be");
        for at in [4, 24, 34, 38, 16_384 + 4, 16_384 + 34] {
            let mut file = innodb(16_384, 0);
            file[at] ^= 1;
            assert_eq!(bytes_of(&file), None, "{at}");
        }
        assert_eq!(bytes_of(&innodb(16_384, 0)[..16_384 + 20]), None);
    }

    #[test]
    fn what_has_no_pages_is_not_taken_for_it() {
        let mut noise = vec![0; LENGTH];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        for file in [&noise[..], &[0; LENGTH], &[0xff; LENGTH], &[], b"SQLite format 3\0"] {
            assert_eq!(bytes_of(file), None);
        }
    }
}
