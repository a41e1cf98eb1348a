//! Which files are cut how, by where they are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::chunk::cutting::CuttingChoice;

/// How files are cut, by paths in the snapshot. For a file, the longest path counts that it is at or below; a file
/// that is below none is [`CuttingChoice::Auto`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CuttingRules(Vec<(PathBuf, CuttingChoice)>);

impl CuttingRules {
    /// Rules for what is at and below these absolute paths.
    #[must_use]
    pub fn new(rules: Vec<(PathBuf, CuttingChoice)>) -> Self {
        Self(rules)
    }

    /// The same for all files.
    #[must_use]
    pub fn all(choice: CuttingChoice) -> Self {
        Self(vec![(PathBuf::from("/"), choice)])
    }

    /// The choice for the file that has this path.
    pub(super) fn choice(&self, path: impl FnOnce() -> Vec<u8>) -> CuttingChoice {
        if self.0.is_empty() {
            return CuttingChoice::default();
        }
        let path = path();
        let path = Path::new(OsStr::from_bytes(&path));
        let above = self.0.iter().filter(|(rule, _)| path.starts_with(rule));
        let nearest = above.max_by_key(|(rule, _)| rule.components().count());
        nearest.map_or_else(CuttingChoice::default, |(_, choice)| *choice)
    }
}

#[cfg(test)]
mod tests {
    use keepfast_format::chunker::PageBytes;

    use super::{CuttingChoice, CuttingRules};

    #[test]
    fn the_longest_path_above_a_file_counts() {
        let pages = CuttingChoice::Pages(PageBytes::new(8192).expect("a page's size"));
        let rules = [("/srv/db/", pages), ("/srv", CuttingChoice::ByContent), ("/srv/db/log", pages)];
        let rules =
            CuttingRules::new(rules.into_iter().map(|(path, choice)| (path.into(), choice)).collect());
        let of = |rules: &CuttingRules, path: &str| rules.choice(|| path.as_bytes().to_vec());
        assert_eq!(of(&rules, "/srv/db/base/1"), pages);
        assert_eq!(of(&rules, "/srv/db"), pages);
        assert_eq!(of(&rules, "/srv/dbs/base/1"), CuttingChoice::ByContent);
        assert_eq!(of(&rules, "/home/x"), CuttingChoice::Auto);
        assert_eq!(of(&CuttingRules::all(pages), "/home/x"), pages);
        assert_eq!(CuttingRules::default().choice(|| unreachable!("no path is needed")), CuttingChoice::Auto);
    }
}
