//! The write-once protocol as a model, explored exhaustively.

pub mod collector;
pub mod compactor;
pub mod mutant;
pub mod properties;
pub mod protocol;
pub mod reader;
pub mod rules;
pub mod state;
pub mod store;
pub mod writer;

pub use mutant::Mutant;
pub use protocol::{Exploration, Protocol};
pub use rules::Bounds;
