//! The retention policy at the command line: its flags, and its verdicts for people and scripts.

mod arguments;
mod render;

pub use arguments::Keep;
pub use render::{table, to_json};
