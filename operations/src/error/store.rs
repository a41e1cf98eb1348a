//! Why a store can't have a repository.

/// A store that can't be trusted with a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Not even a single writer can use it.
    #[error("{location} can't hold a repository: {flaws}")]
    Unfit {
        /// Where it is.
        location: String,
        /// What it does, and what was seen of that.
        flaws: String,
    },
    /// A single writer can use it, and no more.
    #[error(
        "{location} can't be trusted with a repository: {flaws}. Two runs that write at the same time would destroy \
         each other's work without noticing"
    )]
    OnlyOneWriter {
        /// Where it is.
        location: String,
        /// What it does, and what was seen of that.
        flaws: String,
    },
}
