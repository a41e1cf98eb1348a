//! What handlers answer: documents, lists, and why a request isn't carried out.

pub mod csv;
pub mod document;
pub mod failure;
pub mod file;
pub mod list;

pub use document::Document;
pub use failure::{Failure, Result};
pub use list::{Listed, Pages};
