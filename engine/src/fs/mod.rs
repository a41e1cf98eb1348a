//! The file system as the engine uses it: by handles of directories, following only links that it was told to
//! follow.

pub mod apply;
pub mod compare;
pub mod dir;
pub mod meta;
pub mod pattern_lines;
pub mod privileges;
pub mod relative;
pub mod select;
pub mod sources;
pub mod sparse;
mod steps;
