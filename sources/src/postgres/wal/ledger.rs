//! What a spool has given away: the sums of files that are in the repository, so that a server that archives one again
//! gets a true answer without the repository.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::super::segment::WalName;
use super::super::sum::Sum;
use super::owner::Owner;

/// A longer file isn't read. One has the segments of one middle number: at most 4096, and their labels.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A folder with a file for each group of segments: a line for each file of the log.
#[derive(Debug)]
pub(super) struct Ledger {
    folder: PathBuf,
    owner: Owner,
}

impl Ledger {
    pub(super) fn new(folder: PathBuf, owner: Owner) -> Self {
        Self { folder, owner }
    }

    /// The sum of a file that was given away.
    pub(super) fn sum(&self, name: WalName) -> io::Result<Option<Sum>> {
        let text = read(&self.file(name))?;
        let wanted = name.to_string();
        // The last line counts: a segment that was given away in part may be given away whole later.
        Ok(lines(&text).filter(|(name, _)| *name == wanted).last().map(|(_, sum)| sum))
    }

    /// Notes files that were given away, durably.
    pub(super) fn note(&self, files: &[(WalName, Sum)]) -> io::Result<()> {
        for (name, sum) in files {
            let path = self.file(*name);
            let mut file = self.owner.open(OpenOptions::new().create(true).append(true), &path)?;
            // A line that a crash cut off must not run into the next one.
            writeln!(file, "\n{name} {}", HEXLOWER.encode(sum))?;
            file.sync_all()?;
        }
        File::open(&self.folder)?.sync_all()
    }

    /// The newest segment that was given away whole: the last one of the last timeline.
    pub(super) fn newest(&self) -> io::Result<Option<WalName>> {
        let mut groups: Vec<String> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            groups.extend(entry?.file_name().into_string().ok().filter(|name| name.len() == 16));
        }
        groups.sort();
        for group in groups.iter().rev() {
            let text = read(&self.folder.join(group))?;
            let names = lines(&text).filter_map(|(name, _)| name.parse().ok());
            let newest = names.filter(|name| matches!(name, WalName::Segment(_))).max();
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }

    fn file(&self, name: WalName) -> PathBuf {
        self.folder.join(match name {
            WalName::History(_) => "histories".to_owned(),
            WalName::Segment(segment) | WalName::Partial(segment) | WalName::Label(segment, _) => {
                segment.group()
            }
        })
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(text)
}

fn lines(text: &str) -> impl Iterator<Item = (&str, Sum)> {
    text.lines().filter_map(|line| {
        let (name, sum) = line.split_once(' ')?;
        let sum = HEXLOWER.decode(sum.as_bytes()).ok()?;
        Some((name, sum.try_into().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::{Ledger, Owner};

    #[test]
    fn sums_are_found_again_and_a_line_that_was_cut_off_hides_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let owner = Owner::of(folder.path()).expect("its owner");
        let ledger = Ledger::new(folder.path().to_owned(), owner);
        let name = |text: &str| text.parse().expect(text);
        let (first, next) = (name("0000000100000000000000FF"), name("000000010000000100000000"));
        let history = name("00000002.history");
        assert_eq!((ledger.sum(first).expect("none"), ledger.newest().expect("none")), (None, None));
        ledger.note(&[(first, [1; 32]), (history, [9; 32])]).expect("a line");
        let file = folder.path().join("0000000100000000");
        let whole = std::fs::read_to_string(&file).expect("lines");
        std::fs::write(&file, format!("{whole}0000000100000000000000FE 0101")).expect("a cut line");
        ledger.note(&[(next, [2; 32]), (name("0000000100000000000000FD"), [3; 32])]).expect("lines");
        assert_eq!(ledger.sum(first).expect("a line"), Some([1; 32]));
        assert_eq!(ledger.sum(name("0000000100000000000000FE")).expect("none"), None);
        assert_eq!(ledger.sum(name("0000000100000000000000FD")).expect("a line"), Some([3; 32]));
        assert_eq!(ledger.sum(history).expect("a line"), Some([9; 32]));
        assert_eq!(ledger.newest().expect("a segment"), Some(next));
        ledger.note(&[(first, [4; 32])]).expect("a line");
        assert_eq!(ledger.sum(first).expect("a line"), Some([4; 32]));
    }
}
