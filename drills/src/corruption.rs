//! A drill of the check itself: one byte of a copy is flipped, and the check has to find that, and nothing else.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use keepfast_sources::check::Check;

use crate::verdict::Part;

/// The name of this part of a drill.
pub const PART: &str = "corruption";

/// Which bits of the byte are flipped: each of them, so that no byte stays what it is.
const FLIPPED: u8 = 0xff;

/// Flips a byte of a file, chosen by the seed. Returns where it is; nothing if the file is empty.
pub fn flip(file: &Path, seed: u64) -> io::Result<Option<u64>> {
    let file = OpenOptions::new().read(true).write(true).open(file)?;
    let bytes = file.metadata()?.len();
    if bytes == 0 {
        return Ok(None);
    }
    let at = seed % bytes;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ FLIPPED], at)?;
    file.sync_all()?;
    Ok(Some(at))
}

/// What a check has said of a copy: the objects that it found damaged or missing.
pub type Findings = BTreeSet<String>;

/// Judges what the check has found before and after the byte of `object` was flipped. A copy has only some of the
/// repository's packs, so what is missing is found before, too; what is new must be this object alone.
#[must_use]
pub fn judge(object: &str, at: u64, before: &Findings, after: &Findings) -> Part {
    let (before, after) = (objects(before), objects(after));
    let new: Vec<&str> = after.difference(&before).copied().collect();
    let listed = |names: &[&str]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Part::of(
        PART,
        vec![
            Check::equal("the copy was sound there before", false, before.contains(object)),
            Check::equal(format!("found after byte {at} of {object} was flipped"), object, listed(&new)),
        ],
    )
}

/// The objects of findings: a check says of a pack which frame of it is damaged, as in `packs/…, frame 0`.
fn objects(findings: &Findings) -> BTreeSet<&str> {
    findings.iter().map(|found| found.split_once(',').map_or(found.as_str(), |(object, _)| object)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Findings, flip, judge};
    use crate::verdict::Verdict;

    #[test]
    fn one_byte_is_flipped() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pack");
        fs::write(&file, [0; 100]).expect("written");
        assert_eq!(flip(&file, 142).expect("flipped"), Some(42));
        let bytes = fs::read(&file).expect("read");
        assert_eq!((bytes.len(), bytes[42]), (100, 0xff));
        assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 1);
        fs::write(&file, []).expect("written");
        assert_eq!(flip(&file, 142).expect("nothing to flip"), None);
    }

    #[test]
    fn exactly_the_flipped_object_must_be_found() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Findings>();
        let verdict =
            |before: &[&str], after: &[&str]| judge("packs/a", 3, &set(before), &set(after)).verdict;
        assert_eq!(verdict(&["packs/missing"], &["packs/missing", "packs/a"]), Verdict::Pass);
        assert_eq!(
            verdict(&[], &["packs/a", "packs/a, frame 0"]),
            Verdict::Pass,
            "a frame is a part of its pack"
        );
        assert_eq!(verdict(&["packs/missing"], &["packs/missing"]), Verdict::Fail, "it isn't found");
        assert_eq!(verdict(&[], &["packs/a", "packs/b"]), Verdict::Fail, "more is found");
        assert_eq!(verdict(&[], &["packs/b"]), Verdict::Fail, "another one is found");
        assert_eq!(verdict(&["packs/a"], &["packs/a"]), Verdict::Fail, "it was damaged before");
        let part = judge("packs/a", 3, &set(&[]), &set(&[]));
        assert_eq!(
            part.problems(),
            ["corruption: found after byte 3 of packs/a was flipped: nothing and not packs/a"]
        );
    }
}
