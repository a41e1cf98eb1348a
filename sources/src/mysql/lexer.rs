//! Reads SQL as the makers' client does, far enough to know where statements begin and how many rows they insert.
//!
//! A dump is read in pieces of any length, so a state says what the next byte is part of. What is in quotes is skipped in
//! long steps.

use memchr::{memchr, memchr2};

/// The words by which a statement is known are within its first bytes.
const HEAD_BYTES: usize = 16;
/// A longer delimiter isn't one of a dump.
const DELIMITER_BYTES_MAX: usize = 64;

/// Where the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two statements.
    Between,
    /// In a line that is a comment, between two statements.
    Remark,
    /// In a statement.
    Statement,
    /// In quotes of this kind.
    Quoted(u8),
    /// Behind a backslash in such quotes.
    Escaped(u8),
    /// In a comment that ends with its line.
    LineComment,
    /// In a comment that `*/` ends.
    BlockComment,
    /// In the line that says what ends statements.
    DelimiterLine,
}

/// The reader.
#[derive(Debug)]
pub(super) struct Lexer {
    state: State,
    is_at_line_start: bool,
    delimiter: Vec<u8>,
    /// The first bytes of the statement.
    head: Vec<u8>,
    /// The last bytes outside of quotes, for what is told by more than one.
    before: [u8; 3],
    /// How much of the delimiter was read last.
    matched: usize,
    insert: Insert,
    rows: u64,
}

/// The rows of one statement.
#[derive(Debug, Default)]
struct Insert {
    depth: u32,
    parentheses: u64,
    names_columns: bool,
}

impl Lexer {
    /// At the beginning of a file.
    pub(super) fn new() -> Self {
        Self {
            state: State::Between,
            is_at_line_start: true,
            delimiter: b";".to_vec(),
            head: Vec::with_capacity(HEAD_BYTES),
            before: [0; 3],
            matched: 0,
            insert: Insert::default(),
            rows: 0,
        }
    }

    /// Whether the next byte is the first of a line that no statement reaches into.
    pub(super) fn is_at_start(&self) -> bool {
        self.state == State::Between && self.is_at_line_start
    }

    /// The rows that were inserted since this was asked last.
    pub(super) fn take_rows(&mut self) -> u64 {
        std::mem::take(&mut self.rows)
    }

    /// Reads bytes, at most up to the next line that no statement reaches into; returns how many.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let rest = &bytes[at..];
            at += match self.state {
                State::Remark | State::LineComment => match memchr(b'\n', rest) {
                    Some(end) => {
                        self.state = self.after_line_comment();
                        end + usize::from(self.state == State::Between)
                    }
                    None => rest.len(),
                },
                State::Quoted(quote) => self.skip_quoted(quote, rest),
                State::Escaped(quote) => {
                    self.state = State::Quoted(quote);
                    1
                }
                State::BlockComment => self.skip_comment(rest),
                State::DelimiterLine => {
                    self.delimiter_byte(*byte);
                    1
                }
                State::Between => {
                    self.between(*byte);
                    1
                }
                State::Statement => match self.plain_bytes(rest) {
                    0 => {
                        self.statement(*byte);
                        1
                    }
                    plain => {
                        (self.before, self.matched) = ([0; 3], 0);
                        plain
                    }
                },
            };
            if at > 0 && bytes[at - 1] == b'\n' && self.state == State::Between {
                self.is_at_line_start = true;
                return at;
            }
        }
        at
    }

    fn after_line_comment(&mut self) -> State {
        if self.state == State::Remark { State::Between } else { State::Statement }
    }

    fn skip_quoted(&mut self, quote: u8, rest: &[u8]) -> usize {
        // A name in backticks has no backslashes.
        let end = if quote == b'`' { memchr(quote, rest) } else { memchr2(quote, b'\\', rest) };
        match end {
            Some(end) => {
                self.state = if rest[end] == quote { State::Statement } else { State::Escaped(quote) };
                end + 1
            }
            None => rest.len(),
        }
    }

    /// A comment that a statement begins with is no part of it.
    fn skip_comment(&mut self, rest: &[u8]) -> usize {
        let Some(slash) = memchr(b'/', rest) else {
            self.before[2] = rest.last().copied().unwrap_or_default();
            return rest.len();
        };
        let last = slash.checked_sub(1).map_or(self.before[2], |last| rest[last]);
        self.before[2] = b'/';
        if last == b'*' {
            self.state = if self.head.is_empty() { State::Between } else { State::Statement };
            self.before = [0; 3];
        }
        slash + 1
    }

    /// How many bytes follow that mean nothing to this reader: most of a row of numbers.
    fn plain_bytes(&self, rest: &[u8]) -> usize {
        if self.head.len() < HEAD_BYTES {
            return 0;
        }
        let first = self.delimiter.first().copied().unwrap_or(b';');
        let means_something = |byte: u8| {
            matches!(
                byte,
                b'\''
                    | b'"'
                    | b'`'
                    | b'('
                    | b')'
                    | b'#'
                    | b'-'
                    | b'/'
                    | b'*'
                    | b'!'
                    | b'M'
                    | b' '
                    | b'\t'
                    | b'\n'
            ) || byte == first
        };
        rest.iter().position(|byte| means_something(*byte)).unwrap_or(rest.len())
    }

    fn between(&mut self, byte: u8) {
        if self.head.is_empty() && byte.is_ascii_whitespace() {
            self.is_at_line_start = byte == b'\n';
            return;
        }
        self.is_at_line_start = false;
        if self.head.is_empty() && byte == b'#' {
            self.state = State::Remark;
            return;
        }
        self.begin();
        self.statement(byte);
    }

    fn begin(&mut self) {
        self.state = State::Statement;
        self.head.clear();
        self.before = [0; 3];
        self.matched = 0;
        self.insert = Insert::default();
    }

    fn end(&mut self) {
        if self.is_insert() {
            self.rows += self.insert.parentheses.saturating_sub(u64::from(self.insert.names_columns));
        }
        self.state = State::Between;
        self.head.clear();
    }

    fn is_insert(&self) -> bool {
        self.head.starts_with(b"INSERT ") || self.head.starts_with(b"REPLACE ")
    }

    fn statement(&mut self, byte: u8) {
        if self.head.len() < HEAD_BYTES {
            self.head.push(byte);
            if self.is_word_of_the_client() {
                return;
            }
        }
        match byte {
            b'\'' | b'"' | b'`' => {
                self.insert.names_columns |=
                    byte == b'`' && self.insert.depth == 1 && self.insert.parentheses == 1;
                self.state = State::Quoted(byte);
            }
            b'(' => {
                self.insert.depth = self.insert.depth.saturating_add(1);
                self.insert.parentheses += u64::from(self.insert.depth == 1);
            }
            b')' => self.insert.depth = self.insert.depth.saturating_sub(1),
            b'#' => self.state = State::LineComment,
            b' ' | b'\t' | b'\n' if self.before[1..] == *b"--" => {
                self.state = if byte == b'\n' { State::Statement } else { State::LineComment };
            }
            // `/*!` and `/*M!` are statements for some servers, and no comments.
            _ if self.before[1..] == *b"/*" && !matches!(byte, b'!' | b'M') => {
                self.state = State::BlockComment
            }
            _ if self.before == *b"/*M" && byte != b'!' => self.state = State::BlockComment,
            _ => {}
        }
        if self.state == State::BlockComment && self.head.len() <= 4 && self.head.starts_with(b"/*") {
            self.head.clear();
        }
        self.before = [self.before[1], self.before[2], byte];
        self.match_delimiter(byte);
    }

    /// A comment between two statements, and the line that changes the delimiter, are no statements.
    fn is_word_of_the_client(&mut self) -> bool {
        if self.head == b"-- " || self.head == b"--\n" || self.head == b"--\t" {
            self.state = if self.head.ends_with(b"\n") { State::Between } else { State::Remark };
            self.head.clear();
            return true;
        }
        if self.head.eq_ignore_ascii_case(b"delimiter ") {
            self.state = State::DelimiterLine;
            self.delimiter.clear();
            self.head.clear();
            return true;
        }
        false
    }

    fn delimiter_byte(&mut self, byte: u8) {
        if byte == b'\n' {
            let length = self.delimiter.trim_ascii_end().len();
            self.delimiter.truncate(length);
            if self.delimiter.is_empty() {
                self.delimiter.push(b';');
            }
            self.state = State::Between;
        } else if self.delimiter.len() < DELIMITER_BYTES_MAX {
            self.delimiter.push(byte);
        }
    }

    fn match_delimiter(&mut self, byte: u8) {
        if self.state != State::Statement {
            self.matched = 0;
        } else if self.delimiter.get(self.matched) == Some(&byte) {
            self.matched += 1;
            if self.matched == self.delimiter.len() {
                self.end();
                self.matched = 0;
            }
        } else {
            self.matched = usize::from(self.delimiter.first() == Some(&byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lexer;

    /// The lines that no statement reaches into, read in steps of this many bytes, and the rows.
    fn read(text: &str, step: usize) -> (Vec<&str>, u64) {
        let mut lexer = Lexer::new();
        let (mut at, mut starts) = (0, Vec::new());
        while at < text.len() {
            if lexer.is_at_start() {
                starts.push(text[at..].lines().next().unwrap_or_default());
            }
            let end = (at + step).min(text.len());
            let read = lexer.advance(&text.as_bytes()[at..end]);
            assert!(read > 0);
            at += read;
        }
        (starts, lexer.take_rows())
    }

    fn each_step(text: &str, starts: &[&str], rows: u64) {
        for step in [1, 2, 3, 7, 4096] {
            assert_eq!(read(text, step), (starts.to_vec(), rows), "in steps of {step}");
        }
    }

    #[test]
    fn rows_are_counted_outside_of_texts() {
        each_step(
            "INSERT INTO `t(` VALUES\n(1,'a),(\\'),(', NULL),\n(2,0xAB,-1.5e3);\n",
            &["INSERT INTO `t(` VALUES"],
            2,
        );
        each_step(
            "INSERT INTO `t` (`a`, `b)(`) VALUES (1,'\\\\'),(2,''),(3,'(');\n",
            &["INSERT INTO `t` (`a`, `b)(`) VALUES (1,'\\\\'),(2,''),(3,'(');"],
            3,
        );
        each_step("CREATE TABLE `t` (a int);\n", &["CREATE TABLE `t` (a int);"], 0);
    }

    #[test]
    fn lines_within_statements_are_none_of_the_dumps_own() {
        let routine = "DELIMITER ;;\nCREATE PROCEDURE `p`()\nbegin\n-- Table structure for table `evil`\n\
            # it's\n/* Current ' Database */ select ';;' ;\nend ;;\nDELIMITER ;\n-- Table structure for table `t`\n";
        each_step(
            routine,
            &["DELIMITER ;;", "CREATE PROCEDURE `p`()", "DELIMITER ;", "-- Table structure for table `t`"],
            0,
        );
        let texts = "INSERT INTO t VALUES ('\n-- Table structure for table `x`\n');\n--\n-- it's\n/* it's\n; */\n/*!1 select 'a\n;'*/;\nx;\n";
        each_step(texts, &["INSERT INTO t VALUES ('", "--", "-- it's", "/* it's", "/*!1 select 'a", "x;"], 1);
    }

    #[test]
    fn a_minus_is_no_comment() {
        each_step("select 1--1, 2 --\n'a';\nx;\n", &["select 1--1, 2 --", "x;"], 0);
        each_step("/*M!1 x */;\n/**/ y;\nz", &["/*M!1 x */;", "/**/ y;", "z"], 0);
    }
}
