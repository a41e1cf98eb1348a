//! Reads a binary log event by event, far enough to know whether it is whole: each event has a checksum, and the last one
//! names the next log.

use std::fmt;
use std::io::{self, Read};

use crate::error::{Result, SourceError};

const MAGIC: [u8; 4] = [0xfe, b'b', b'i', b'n'];
const HEADER_BYTES: usize = 19;
/// Servers write no longer events than this.
const EVENT_BYTES_MAX: u32 = 1 << 30;
/// Events that are looked into are shorter; others are passed over.
const KEPT_BYTES_MAX: usize = 64 << 10;
const STOP: u8 = 3;
const ROTATE: u8 = 4;
const FORMAT: u8 = 15;
const ENCRYPTED: u8 = 164;
/// The flag of a log that is being written. The checksum is made without it.
const IN_USE: u16 = 1;
const CHECKSUM_BYTES: usize = 4;
const CRC32: u8 = 1;

/// The name of a binary log: a text, a dot and a number that counts on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogName {
    base: String,
    number: u64,
    text: String,
}

impl LogName {
    /// Reads a name, such as `binlog.000007`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (base, digits) = text.rsplit_once('.')?;
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let is_plain = !base.is_empty() && !base.contains(['/', '\0']) && !base.starts_with(['.', '-']);
        let number = digits.parse().ok().filter(|_| is_number && is_plain)?;
        Some(Self { base: base.to_owned(), number, text: text.to_owned() })
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether another log is the next after this one.
    #[must_use]
    pub fn is_before(&self, next: &Self) -> bool {
        self.base == next.base && self.number.checked_add(1) == Some(next.number)
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Sorts the names of logs, and refuses a gap between them.
pub fn in_order<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Vec<LogName>> {
    let mut logs: Vec<LogName> = names.into_iter().filter_map(LogName::read).collect();
    logs.sort();
    match logs.windows(2).find(|pair| !pair[0].is_before(&pair[1])) {
        Some(pair) => Err(SourceError::Missing {
            object: format!("the binary log after {}", pair[0]),
            why: format!("the next one that is there is {}", pair[1]),
        }),
        None => Ok(logs),
    }
}

/// What a binary log says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFacts {
    /// The time of its first event, in seconds since 1970.
    pub first: Option<u32>,
    /// The latest time of an event.
    pub latest: Option<u32>,
    /// How many events it has.
    pub events: u64,
    /// Whether the server has ended it: the log of a server that was killed has no end.
    pub is_ended: bool,
    /// The log that it names as the next.
    pub next: Option<String>,
    /// Whether its events have checksums. They were compared then.
    pub has_checksums: bool,
}

/// Reads a whole log and compares its checksums.
pub fn examine(name: &str, log: &mut dyn Read) -> Result<LogFacts> {
    let mut reader = Reader { name, log, at: 0 };
    let mut magic = [0; 4];
    if !reader.fill(&mut magic)? || magic != MAGIC {
        return Err(reader.wrong("it doesn't begin as a binary log"));
    }
    let mut facts = LogFacts::default();
    while reader.event(&mut facts)? {}
    if facts.events == 0 {
        return Err(reader.wrong("it has no event"));
    }
    Ok(facts)
}

struct Reader<'a> {
    name: &'a str,
    log: &'a mut dyn Read,
    at: u64,
}

impl Reader<'_> {
    fn wrong(&self, why: &str) -> SourceError {
        SourceError::Dump { object: self.name.to_owned(), why: format!("{why} (at byte {})", self.at) }
    }

    /// Fills the buffer; false if the log has ended before its first byte.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let mut have = 0;
        while have < buffer.len() {
            match self.log.read(&mut buffer[have..]) {
                Ok(0) if have == 0 => return Ok(false),
                Ok(0) => return Err(self.wrong("it ends within an event")),
                Ok(count) => have += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(SourceError::Transfer { object: self.name.to_owned(), source }),
            }
        }
        Ok(true)
    }

    fn event(&mut self, facts: &mut LogFacts) -> Result<bool> {
        let mut header = [0; HEADER_BYTES];
        if !self.fill(&mut header)? {
            return Ok(false);
        }
        let Header { time, kind, bytes, flags } = Header::read(&header);
        let header_bytes = u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX);
        if !(header_bytes..=EVENT_BYTES_MAX).contains(&bytes) {
            return Err(self.wrong("an event has a length that none has"));
        }
        let body_bytes = usize::try_from(bytes - header_bytes).unwrap_or(usize::MAX);
        let mut crc = crc32fast::Hasher::new();
        if kind == FORMAT && flags & IN_USE != 0 {
            header[17..19].copy_from_slice(&(flags & !IN_USE).to_le_bytes());
        }
        crc.update(&header);
        let (start, stored) = self.body(body_bytes, kind == FORMAT, facts, &mut crc)?;
        if facts.has_checksums && stored != Some(crc.finalize()) {
            return Err(self.wrong("the checksum of an event is wrong"));
        }
        facts.events += 1;
        facts.is_ended = matches!(kind, STOP | ROTATE);
        if kind == ROTATE {
            facts.next = start.get(8..).map(|name| String::from_utf8_lossy(name).into_owned());
        }
        if kind == ENCRYPTED {
            return Err(SourceError::Unsupported {
                object: self.name.to_owned(),
                why: "it is encrypted, and its key is known to its server alone".to_owned(),
            });
        }
        if time > 0 {
            facts.first = facts.first.or(Some(time));
            facts.latest = facts.latest.max(Some(time));
        }
        self.at += u64::from(bytes);
        Ok(true)
    }

    /// Reads the body of an event: its first bytes without the checksum, and the checksum.
    fn body(
        &mut self,
        bytes: usize,
        is_format: bool,
        facts: &mut LogFacts,
        crc: &mut crc32fast::Hasher,
    ) -> Result<(Vec<u8>, Option<u32>)> {
        let mut start: Vec<u8> = Vec::new();
        let mut last: Vec<u8> = Vec::new();
        let mut left = bytes;
        let mut buffer = vec![0; bytes.min(KEPT_BYTES_MAX)];
        while left > 0 {
            let step = left.min(KEPT_BYTES_MAX);
            if !self.fill(&mut buffer[..step])? {
                return Err(self.wrong("it ends within an event"));
            }
            left -= step;
            // The checksum may lie across two steps, so that the last bytes wait for the next.
            last.extend_from_slice(&buffer[..step]);
            let keep = if left > 0 { last.len().saturating_sub(8) } else { 0 };
            if left > 0 {
                if start.is_empty() {
                    start.extend_from_slice(&last[..keep]);
                }
                crc.update(&last[..keep]);
                last.drain(..keep);
            }
        }
        if is_format {
            let kind = last.len().checked_sub(CHECKSUM_BYTES + 1).map(|at| last[at]);
            facts.has_checksums = kind == Some(CRC32);
        }
        if !facts.has_checksums {
            if start.is_empty() {
                start = last;
            }
            return Ok((start, None));
        }
        let Some(end) = last.len().checked_sub(CHECKSUM_BYTES) else {
            return Err(self.wrong("an event has no checksum"));
        };
        crc.update(&last[..end]);
        let stored = <[u8; 4]>::try_from(&last[end..]).ok().map(u32::from_le_bytes);
        if start.is_empty() {
            start.extend_from_slice(&last[..end]);
        }
        Ok((start, stored))
    }
}

struct Header {
    time: u32,
    kind: u8,
    bytes: u32,
    flags: u16,
}

impl Header {
    fn read(header: &[u8; HEADER_BYTES]) -> Self {
        let [t0, t1, t2, t3, kind, _, _, _, _, b0, b1, b2, b3, _, _, _, _, f0, f1] = *header;
        Self {
            time: u32::from_le_bytes([t0, t1, t2, t3]),
            kind,
            bytes: u32::from_le_bytes([b0, b1, b2, b3]),
            flags: u16::from_le_bytes([f0, f1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LogName, examine, in_order};

    #[test]
    fn a_gap_between_logs_is_named() {
        let names = ["binlog.000010", "binlog.000009", "index"];
        let logs = in_order(names).expect("they follow");
        assert_eq!(logs.iter().map(LogName::as_str).collect::<Vec<_>>(), ["binlog.000009", "binlog.000010"]);
        let error = in_order(["b.000001", "b.000003"]).expect_err("a gap").to_string();
        assert!(error.contains("after b.000001") && error.contains("b.000003"), "{error}");
        assert!(in_order(["b.999999", "b.1000000"]).is_ok());
        assert_eq!(LogName::read("../x.000001"), None);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        for (bytes, why) in [
            (b"".as_slice(), "doesn't begin"),
            (b"\xfebin", "no event"),
            (b"\xfebin\0\0", "within an event"),
            (&[b"\xfebin".as_slice(), &[0; 19]].concat(), "a length that none has"),
            (&[b"\xfebin".as_slice(), &[0; 9], &[255, 0, 0, 0], &[0; 6]].concat(), "within an event"),
        ] {
            let error = examine("b.000001", &mut &*bytes).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
