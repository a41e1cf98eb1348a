//! What managed files would change: the definitions as they are read from all files, with some texts in the place of what
//! stands in the folder. Nothing is written.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keepfast_config::config::Config;
use keepfast_config::diagnostic::render::Report;
use keepfast_config::difference::{Difference, differences};
use keepfast_config::files::{Files, Limits};
use keepfast_config::load::{Loaded, load};

use super::Texts;
use super::folder::Folder;
use crate::definitions::ThisMachine;

/// What managed files would change.
#[derive(Debug)]
pub struct Checked {
    /// What is followed now.
    pub before: Arc<Config>,
    /// What would be; nothing if there is an error.
    pub after: Option<Arc<Config>>,
    /// What is wrong with it.
    pub report: Report,
    /// What would be different.
    pub differences: Vec<Difference>,
}

/// This machine's files, some of which say something else.
struct Overlay<'o> {
    folder: &'o Path,
    texts: BTreeMap<PathBuf, Option<&'o str>>,
}

impl Files for Overlay<'_> {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        match self.texts.get(path) {
            Some(Some(text)) => Ok(text.as_bytes().to_vec()),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => ThisMachine.read(path, bytes_max),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        if folder != self.folder {
            return ThisMachine.list(folder);
        }
        // It may not be there before the first file is.
        let mut found = ThisMachine.list(folder).unwrap_or_default();
        found.retain(|path| !self.texts.contains_key(path));
        found.extend(self.texts.iter().filter(|(_, text)| text.is_some()).map(|(path, _)| path.clone()));
        Ok(found)
    }
}

/// Looks at the definitions as if texts were written. What is followed is compared with, unless files were changed by hand
/// since and are right: then these.
#[must_use]
pub fn check(first_file: &Path, followed: &Arc<Config>, texts: &Texts) -> Checked {
    let read = |texts: &Texts| {
        let folder = Folder::beside(first_file);
        let named = texts.iter().map(|(name, text)| (folder.file(name), text.as_deref()));
        let overlay = Overlay { folder: folder.path(), texts: named.collect() };
        load(first_file, &overlay, &ThisMachine, &Limits::default())
    };
    let before = read(&Texts::new()).config.map_or_else(|| Arc::clone(followed), Arc::new);
    let Loaded { config, report } = read(texts);
    let after = config.map(Arc::new);
    let found = after.as_ref().map(|after| differences(&before.effective, &after.effective));
    Checked { before, after, report, differences: found.unwrap_or_default() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::{Texts, check};
    use crate::definitions;
    use crate::managed::{Folder, ManagedName};

    #[test]
    fn texts_stand_in_the_place_of_files_that_are_not_touched() {
        let desk = tempfile::tempdir().unwrap();
        let first = desk.path().join("keepfast.toml");
        let text = "version = 1\n[server]\ndefinitions = 'files+managed'\n[repository.main]\nurl = '/m'\n\
                    password = { file = '/p' }\n";
        fs::write(&first, text).unwrap();
        let followed = Arc::new(definitions::read(&first).config.unwrap());
        let plan =
            |name: &str| format!("[plan.{name}]\nrepository = 'main'\nsource = [{{ files = ['/a'] }}]\n");
        let (one, other) = (ManagedName::new("one").unwrap(), ManagedName::new("other").unwrap());
        let paths = |texts: &Texts| {
            let checked = check(&first, &followed, texts);
            let told = checked.report.to_json();
            assert!(checked.after.is_some(), "{told}");
            checked.differences.iter().map(|one| (one.path(), one.is_there)).collect::<Vec<_>>()
        };
        let www = Texts::from([(one.clone(), Some(plan("www")))]);
        assert_eq!(paths(&www), [("plan.www".to_owned(), true)]);
        let folder = Folder::beside(&first);
        assert!(!folder.path().exists(), "nothing is written");
        folder.write(&one, &plan("www")).unwrap();
        assert_eq!(paths(&www), []);
        let moved = Texts::from([(one.clone(), None), (other.clone(), Some(plan("db")))]);
        assert_eq!(paths(&moved), [("plan.db".to_owned(), true), ("plan.www".to_owned(), false)]);
        let twice = Texts::from([(other, Some(plan("www")))]);
        assert!(check(&first, &followed, &twice).after.is_none());
        // Files that people write are never overlaid.
        let hooked =
            Texts::from([(one, Some(plan("www") + "[[plan.www.hook]]\non = 'after'\nrun = ['id']\n"))]);
        assert!(check(&first, &followed, &hooked).after.is_none());
    }
}
