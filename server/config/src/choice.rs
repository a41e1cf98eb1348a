//! What is told of a word that is none of those that a key takes.

use crate::decode::{Context, shortened};
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, nearest};
use crate::schema::Alternative;
use crate::tree::Node;

pub(crate) fn tell_no_choice(node: &Node, text: &str, words: &[Alternative], context: &mut Context<'_>) {
    let known = nearest(text, words.iter().map(|word| word.name));
    let names: Vec<String> = words.iter().map(|word| format!("`{}`", word.name)).collect();
    let message = format!("`{}` is none of {}", shortened(text), names.join(", "));
    context.tell(Diagnostic::new(Code::Choice, message).at(node.origin).suggest(known));
}
