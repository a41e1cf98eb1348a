//! Mail: the subject, and the page that mail programs show. Its text is [`super::text`].

use askama::Template;

use crate::text::clip;

use super::{ItemView, View, colour, text};

/// Longer subjects are cut by what shows them.
const SUBJECT_CHARS_MAX: usize = 150;

/// Larger mails are refused by some servers, and read by no one.
const TEXT_BYTES_MAX: usize = 100_000;

/// Of more items than this many, a list stands at the top.
const LISTED_MIN: usize = 2;

/// As much of a message as a mail has.
#[must_use]
pub fn for_mail(view: &View) -> View {
    view.clone().fitted(|view| text(view).len() <= TEXT_BYTES_MAX)
}

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
    many: bool,
    /// There are many items, so a list of them stands at the top.
    listed: bool,
}

/// The page of a mail.
#[must_use]
pub fn html(view: &View) -> String {
    let page =
        Page { view, notes: view.notes(), many: view.items.len() > 1, listed: view.items.len() > LISTED_MIN };
    page.render().expect("writing to a string doesn't fail")
}

impl ItemView {
    fn colour(&self) -> String {
        format!("#{:06x}", colour(self.tone))
    }
}
