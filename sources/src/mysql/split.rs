//! Cuts the one stream that a dump is into a file for each table, and drops no byte of it: all files one after the other
//! are what the program wrote.
//!
//! A cut is made at a comment of the program, such as ``-- Table structure for table `orders` ``, on a line that no
//! statement reaches into: texts of users and bodies of routines may have lines that look the same. If one should get past
//! that, a table's file would be cut at a wrong place, and a restore of the whole would still be right.

use std::io::{self, Read};

use super::lexer::Lexer;

/// How much is read at once.
const READ_BYTES: usize = 256 << 10;
/// A comment with a name is shorter.
const LINE_BYTES_MAX: usize = 4 << 10;
/// The line by which newer programs keep a dump from running commands. Older clients take it for a wrong statement.
const SANDBOX: [&[u8]; 2] = [b"/*M!999999\\- ", b"/*!999999\\- "];

/// What a part of a dump is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heading {
    /// Settings for the session, and where the dump stands in the log.
    Head,
    /// A database begins, or goes on.
    Database(String),
    /// A table, with its rows and triggers. None if its name can't be read from the comment.
    Table(Option<String>),
    /// A sequence.
    Sequence(String),
    /// A view as a table without rows, so that other views can be made before it.
    StandIn(String),
    /// A view.
    View(String),
    /// Events of a database.
    Events,
    /// Functions and procedures of a database.
    Routines,
    /// Settings as they were.
    Tail,
}

/// Reads a dump part by part: [`Splitter::next_part`] begins one, and reading ends with it.
pub(super) struct Splitter<R> {
    input: R,
    buffer: Vec<u8>,
    /// What was read, and not given away.
    start: usize,
    /// Up to where it belongs to this part.
    end: usize,
    has_ended: bool,
    lexer: Lexer,
    upcoming: Option<Heading>,
    /// Rows alone are dumped: then no structure tells where a table begins.
    only_rows: bool,
    current: Option<Heading>,
    rows: u64,
}

impl<R: Read> Splitter<R> {
    /// Reads from a program. Its first line is left out if it is the one that keeps a dump in a sandbox.
    pub(super) fn new(input: R, only_rows: bool) -> Self {
        Self {
            input,
            buffer: Vec::with_capacity(2 * READ_BYTES),
            start: 0,
            end: 0,
            has_ended: false,
            lexer: Lexer::new(),
            upcoming: None,
            only_rows,
            current: None,
            rows: 0,
        }
    }

    /// Begins the next part, when the one before was read.
    pub(super) fn next_part(&mut self) -> io::Result<Option<Heading>> {
        let next = if self.current.is_none() {
            self.skip_sandbox()?;
            Some(Heading::Head)
        } else {
            self.upcoming.take()
        };
        if next.is_some() {
            self.current.clone_from(&next);
            self.rows = 0;
        }
        Ok(next)
    }

    /// The rows that were inserted in this part.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// What it reads from.
    pub(super) fn input(&self) -> &R {
        &self.input
    }

    fn skip_sandbox(&mut self) -> io::Result<()> {
        while !self.has_ended && self.buffer.len() < LINE_BYTES_MAX && !self.buffer.contains(&b'\n') {
            self.fill()?;
        }
        if SANDBOX.iter().any(|first| self.buffer.starts_with(first)) {
            let line = self.buffer.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            (self.start, self.end) = (line, line);
        }
        Ok(())
    }

    /// Reads more behind what is there.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.end -= self.start;
        self.start = 0;
        let have = self.buffer.len();
        self.buffer.resize(have + READ_BYTES, 0);
        let count = self.input.read(&mut self.buffer[have..]);
        self.buffer.truncate(have + count.as_ref().map_or(0, |count| *count));
        self.has_ended = count? == 0;
        Ok(())
    }

    /// Finds out what of that which was read belongs to this part.
    fn scan(&mut self) {
        while self.end < self.buffer.len() {
            let rest = &self.buffer[self.end..];
            if self.lexer.is_at_start() && matches!(rest[0], b'-' | b'/') {
                match line_of(rest, self.has_ended) {
                    Line::Unfinished => return,
                    Line::Whole(line) => {
                        if let Some(next) = heading(line, self.only_rows)
                            && self.begins(&next)
                        {
                            self.upcoming = Some(next);
                            return;
                        }
                    }
                    Line::Long => {}
                }
            }
            let advanced = self.lexer.advance(&self.buffer[self.end..]);
            self.end += advanced;
            self.rows += self.lexer.take_rows();
        }
    }

    /// Whether a heading begins a part, and isn't the one that began this part, or belongs to it.
    fn begins(&self, next: &Heading) -> bool {
        let is_first = self.start == self.end && self.current.as_ref() == Some(next);
        let is_same_table = matches!(next, Heading::Table(_)) && self.current.as_ref() == Some(next);
        let is_tail = *next == Heading::Tail && self.current == Some(Heading::Tail);
        !is_first && !is_same_table && !is_tail
    }
}

impl<R: Read> Read for Splitter<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.start == self.end {
            if self.upcoming.is_some() {
                return Ok(0);
            }
            self.scan();
            if self.start < self.end || self.upcoming.is_some() {
                continue;
            }
            if self.has_ended {
                return Ok(0);
            }
            self.fill()?;
        }
        let count = into.len().min(self.end - self.start);
        into[..count].copy_from_slice(&self.buffer[self.start..self.start + count]);
        self.start += count;
        Ok(count)
    }
}

enum Line<'b> {
    Whole(&'b [u8]),
    Unfinished,
    Long,
}

fn line_of(rest: &[u8], is_last: bool) -> Line<'_> {
    let within = &rest[..rest.len().min(LINE_BYTES_MAX)];
    match memchr::memchr(b'\n', within) {
        Some(end) => Line::Whole(&rest[..end]),
        None if within.len() == LINE_BYTES_MAX => Line::Long,
        None if is_last => Line::Whole(rest),
        None => Line::Unfinished,
    }
}

fn heading(line: &[u8], only_rows: bool) -> Option<Heading> {
    let line = str::from_utf8(line).ok()?;
    if line == "/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;" {
        return Some(Heading::Tail);
    }
    let comment = line.strip_prefix("-- ")?;
    let named = |prefix: &str| comment.strip_prefix(prefix);
    if comment.starts_with("The deferred gtid setting for slave") {
        return Some(Heading::Tail);
    }
    if let Some(name) = named("Current Database: ") {
        return name_of(name).map(Heading::Database);
    }
    if let Some(name) = named("Table structure for table ") {
        return Some(Heading::Table(name_of(name)));
    }
    if let Some(name) = named("Dumping data for table ").filter(|_| only_rows) {
        return Some(Heading::Table(name_of(name)));
    }
    if let Some(name) = named("Sequence structure for ") {
        return name_of(name).map(Heading::Sequence);
    }
    let stand_in = named("Temporary table structure for view ");
    if let Some(name) = stand_in.or_else(|| named("Temporary view structure for view ")) {
        return name_of(name).map(Heading::StandIn);
    }
    if let Some(name) = named("Final view structure for view ") {
        return name_of(name).map(Heading::View);
    }
    if named("Dumping events for database ").is_some() {
        return Some(Heading::Events);
    }
    named("Dumping routines for database ").map(|_| Heading::Routines)
}

/// A name in backticks. One with a line break goes on in the next line, and isn't read.
fn name_of(text: &str) -> Option<String> {
    let inner = text.trim_end().strip_prefix('`')?.strip_suffix('`')?;
    Some(inner.replace("``", "`"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{Heading, Splitter};

    /// Gives few bytes at once.
    struct Slow<'t>(&'t [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn parts(text: &str, step: usize, only_rows: bool) -> Vec<(Heading, String, u64)> {
        let mut splitter = Splitter::new(Slow(text.as_bytes(), step), only_rows);
        let mut parts = Vec::new();
        while let Some(heading) = splitter.next_part().expect("it is read") {
            let mut part = String::new();
            splitter.read_to_string(&mut part).expect("text");
            parts.push((heading, part, splitter.rows()));
        }
        parts
    }

    const DUMP: &str = "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump\nSET x;\n\n--\n\
        -- Current Database: `a``b`\n--\n\nUSE `a``b`;\n\n--\n-- Table structure for table `t`\n--\n\
        CREATE TABLE `t` (\n  `a` text COMMENT '\n-- Table structure for table `no`\n'\n);\n\
        --\n-- Dumping data for table `t`\n--\nINSERT INTO `t` VALUES\n('x'),\n('\n-- Current Database: `no`\n');\n\
        --\n-- Table structure for table `u`\n--\n--\n-- Dumping routines for database 'a'\n--\nDELIMITER ;;\n\
        CREATE PROCEDURE p() begin\n-- Table structure for table `evil`\nend ;;\nDELIMITER ;\n\
        /*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;\n\n-- Dump completed\n";

    #[test]
    fn each_table_has_a_part_and_all_parts_are_the_dump() {
        for step in [1, 5, 64, 100_000] {
            let parts = parts(DUMP, step, false);
            let headings: Vec<&Heading> = parts.iter().map(|(heading, ..)| heading).collect();
            let table = |name: &str| Heading::Table(Some(name.to_owned()));
            let database = Heading::Database("a`b".to_owned());
            let wanted = [Heading::Head, database, table("t"), table("u"), Heading::Routines, Heading::Tail];
            assert_eq!(headings, wanted.iter().collect::<Vec<_>>(), "in steps of {step}");
            let all: String = parts.iter().map(|(_, text, _)| text.as_str()).collect();
            assert_eq!(all, DUMP.split_once('\n').expect("a line").1);
            assert_eq!(parts.iter().map(|(.., rows)| *rows).collect::<Vec<_>>(), [0, 0, 2, 0, 0, 0]);
        }
    }

    #[test]
    fn rows_alone_are_parts_too() {
        let text = "SET x;\n-- Dumping data for table `t`\nINSERT INTO t VALUES (1);\n-- Dumping data for table `u`\n";
        let parts = parts(text, 10, true);
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[1].2, 1);
    }

    #[test]
    fn a_dump_that_is_cut_off_ends() {
        for cut in 0..DUMP.len() {
            let parts = parts(&DUMP[..cut], 50, false);
            assert!(!parts.is_empty());
        }
    }
}
