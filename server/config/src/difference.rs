//! What is different between two configurations: definitions that appear, change and vanish, with their values.

use std::collections::{BTreeMap, BTreeSet};

use crate::effective::{Effective, Line, path_of};

/// A definition that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is: `plan`, `route`.
    pub section: String,
    /// Its name; empty for what there is one of.
    pub name: String,
    /// Whether it was there before.
    pub was_there: bool,
    /// Whether it is there now.
    pub is_there: bool,
    /// The values that are different, by their paths.
    pub values: Vec<ValueDifference>,
}

/// A value that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueDifference {
    /// Its path: `plan.www.retention.daily`.
    pub path: String,
    /// How it was, as TOML.
    pub before: Option<String>,
    /// How it is.
    pub after: Option<String>,
}

impl Difference {
    /// The definition's path: `plan.www`.
    #[must_use]
    pub fn path(&self) -> String {
        path_of(&self.section, &self.name)
    }
}

/// All definitions that say something else, in the order of their paths.
#[must_use]
pub fn differences(before: &Effective, after: &Effective) -> Vec<Difference> {
    let names: BTreeSet<(&str, &str)> = before.keys().chain(after.keys()).collect();
    let different = names
        .into_iter()
        .filter(|(section, name)| before.hash_of(section, name) != after.hash_of(section, name));
    different.map(|(section, name)| of(before, after, section, name)).collect()
}

fn of(before: &Effective, after: &Effective, section: &str, name: &str) -> Difference {
    let lines = |of: &Effective| -> BTreeMap<String, String> {
        let path = path_of(section, name);
        of.lines(&path).into_iter().map(|Line { path, value, .. }| (path, value)).collect()
    };
    let (was, is) = (lines(before), lines(after));
    let paths: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let values = paths.into_iter().filter(|path| was.get(*path) != is.get(*path)).map(|path| {
        ValueDifference { path: path.clone(), before: was.get(path).cloned(), after: is.get(path).cloned() }
    });
    Difference {
        section: section.to_owned(),
        name: name.to_owned(),
        was_there: before.hash_of(section, name).is_some(),
        is_there: after.hash_of(section, name).is_some(),
        values: values.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io;
    use std::path::{Path, PathBuf};

    use super::differences;
    use crate::config::Config;
    use crate::files::{Facts, Files, Limits};
    use crate::load::load;

    struct One(String);

    impl Files for One {
        fn read(&self, _: &Path, _: usize) -> io::Result<Vec<u8>> {
            Ok(self.0.clone().into_bytes())
        }

        fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
    }

    impl Facts for One {
        fn variable(&self, _: &str) -> Option<OsString> {
            None
        }
    }

    fn config(more: &str) -> Config {
        let text = format!(
            "version = 1\n[repository.main]\nurl = '/m'\npassword = {{ file = '/p' }}\n\
             [template.t]\nretention = {{ daily = 7, at_least = 1 }}\n{more}"
        );
        let files = One(text);
        load(Path::new("k.toml"), &files, &files, &Limits::default()).config.expect("no error")
    }

    #[test]
    fn what_a_template_changes_is_a_change_of_each_plan() {
        let plan = |name: &str, more: &str| {
            format!("[plan.{name}]\nrepository = 'main'\nsource = [{{ files = ['/a'] }}]\n{more}\n")
        };
        let before = config(&(plan("www", "inherits = ['t']") + &plan("gone", "")));
        let after = config(&(plan("www", "rpo = '1d'") + &plan("new", "")));
        let found = differences(&before.effective, &after.effective);
        let told: Vec<_> = found.iter().map(|one| (one.path(), one.was_there, one.is_there)).collect();
        let expected = [("plan.gone", true, false), ("plan.new", false, true), ("plan.www", true, true)];
        assert_eq!(told, expected.map(|(path, was, is)| (path.to_owned(), was, is)));
        let daily = found[2].values.iter().find(|value| value.path == "plan.www.retention.daily");
        assert_eq!(
            daily.map(|value| (value.before.as_deref(), value.after.as_deref())),
            Some((Some("7"), None))
        );
        assert!(found[2].values.iter().any(|value| value.path == "plan.www.rpo"));
        assert!(differences(&after.effective, &after.effective).is_empty());
    }
}
