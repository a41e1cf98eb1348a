//! What tests of this crate share: facts of a machine that has zones and nothing else.

use std::ffi::OsString;

use crate::files::Facts;

pub(crate) struct NoFacts;

impl Facts for NoFacts {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn is_zone(&self, name: &str) -> bool {
        ["UTC", "Europe/Paris"].contains(&name)
    }

    fn zones(&self) -> Vec<String> {
        vec!["UTC".to_owned(), "Europe/Paris".to_owned()]
    }
}
