//! What a drill does with a repository: it restores files of a snapshot and compares them, and starts databases that are in
//! it. What is asked and how answers are judged is `keepfast-drills`.

pub mod databases;
pub mod files;
pub mod heard;

/// A part of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A snapshot is chosen.
    Choosing,
    /// Files are restored.
    Restoring,
    /// What was restored is compared.
    Comparing,
    /// Databases are started and asked.
    Databases,
    /// A byte of a copy is flipped, and has to be found.
    Corrupting,
    /// The evidence is stored.
    Keeping,
}

impl Step {
    /// A stable name for machines.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Choosing => "choosing",
            Self::Restoring => "restore",
            Self::Comparing => "verify",
            Self::Databases => "databases",
            Self::Corrupting => "corruption",
            Self::Keeping => "evidence",
        }
    }
}
