//! Mail: the subject, and the page that mail programs show. Its text is [`super::text`].

use askama::Template;

use crate::text::clip;

use super::{ItemView, View, colour};

/// Longer subjects are cut by what shows them.
const SUBJECT_CHARS_MAX: usize = 150;

/// The subject: one line, whatever names are in it.
#[must_use]
pub fn subject(view: &View) -> String {
    clip(&format!("[{}] {}: {}", view.server, view.tone.word(), view.title), SUBJECT_CHARS_MAX)
}

/// A page without anything from elsewhere: no pictures, types or scripts. Colours are for light and dark; programs
/// that know neither show the light ones.
#[derive(Template)]
#[template(path = "mail.html")]
struct Page<'v> {
    view: &'v View,
    notes: Vec<String>,
    when: String,
    many: bool,
}

/// The page of a mail.
#[must_use]
pub fn html(view: &View) -> String {
    let page = Page { view, notes: view.notes(), when: view.when(), many: view.items.len() > 1 };
    page.render().expect("writing to a string doesn't fail")
}

impl ItemView {
    fn colour(&self) -> String {
        format!("#{:06x}", colour(self.tone))
    }
}
