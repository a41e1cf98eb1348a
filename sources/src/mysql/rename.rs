//! Gives a database another name while its dump is read back. Only statements of the dump itself are changed, at places
//! that no statement reaches into: texts of users, and what routines say, stay as they are.

use super::client::quoted;
use super::lexer::Lexer;

/// The statements of a dump that name its database.
const STATEMENTS: [&[u8]; 4] =
    [b"USE ", b"CREATE DATABASE ", b"ALTER DATABASE ", b"/*!40000 DROP DATABASE IF EXISTS "];
/// Lines with these statements are shorter.
const LINE_BYTES_MAX: usize = 4 << 10;

/// Changes the name in what is passed through it.
pub(super) struct Renamer {
    lexer: Lexer,
    from: Vec<u8>,
    to: Vec<u8>,
    pending: Vec<u8>,
}

impl Renamer {
    /// From one name to another.
    pub(super) fn new(from: &str, to: &str) -> Self {
        let (from, to) = (quoted(from).into_bytes(), quoted(to).into_bytes());
        Self { lexer: Lexer::new(), from, to, pending: Vec::new() }
    }

    /// Passes bytes on. The last of them may wait for more, until it is the end.
    pub(super) fn pass(&mut self, bytes: &[u8], is_end: bool, out: &mut Vec<u8>) {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        while at < self.pending.len() {
            let rest = &self.pending[at..];
            if self.lexer.is_at_start() && may_name(rest) {
                let within = &rest[..rest.len().min(LINE_BYTES_MAX)];
                match memchr::memchr(b'\n', within) {
                    Some(end) => {
                        let renamed = self.renamed(&rest[..end]);
                        let mut read = 0;
                        while read < end {
                            read += self.lexer.advance(&rest[read..end]);
                        }
                        out.extend_from_slice(renamed.as_deref().unwrap_or(&rest[..end]));
                        at += end;
                        continue;
                    }
                    None if within.len() < LINE_BYTES_MAX && !is_end => break,
                    None => {}
                }
            }
            let read = self.lexer.advance(rest);
            out.extend_from_slice(&rest[..read]);
            at += read;
        }
        self.pending.drain(..at);
    }

    fn renamed(&self, line: &[u8]) -> Option<Vec<u8>> {
        STATEMENTS.iter().find(|statement| line.starts_with(statement))?;
        let at = memchr::memchr(b'`', line)?;
        let behind = line.get(at..)?.strip_prefix(self.from.as_slice())?;
        // Then the name goes on.
        if behind.first() == Some(&b'`') {
            return None;
        }
        Some([&line[..at], &self.to, behind].concat())
    }
}

/// Whether a line is, or may turn out to be, one of the statements.
fn may_name(rest: &[u8]) -> bool {
    STATEMENTS.iter().any(|statement| {
        let length = statement.len().min(rest.len());
        rest[..length] == statement[..length]
    })
}

#[cfg(test)]
mod tests {
    use super::Renamer;

    #[test]
    fn only_the_dumps_own_statements_get_the_new_name() {
        let dump = "-- Current Database: `a`\nCREATE DATABASE /*!32312 IF NOT EXISTS*/ `a` /*!40100 x */;\n\nUSE `a`;\n\
            INSERT INTO `t` VALUES ('\nUSE `a`;\n');\nUSE `a``b`;\nALTER DATABASE `a` CHARACTER SET utf8mb4 ;\n\
            DELIMITER ;;\nCREATE PROCEDURE p() begin\nUSE `a`;\nend ;;\nDELIMITER ;\nU";
        let wanted = dump
            .replacen("EXISTS*/ `a`", "EXISTS*/ `b``c`", 1)
            .replacen("\n\nUSE `a`;", "\n\nUSE `b``c`;", 1)
            .replacen("ALTER DATABASE `a`", "ALTER DATABASE `b``c`", 1);
        for step in [1, 7, 1000] {
            let (mut renamer, mut out) = (Renamer::new("a", "b`c"), Vec::new());
            for piece in dump.as_bytes().chunks(step) {
                renamer.pass(piece, false, &mut out);
            }
            renamer.pass(b"", true, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), wanted, "in steps of {step}");
        }
    }
}
