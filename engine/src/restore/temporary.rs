//! Names of files that aren't complete: what has its own name is. They begin alike, so that what a
//! killed restore has left can be told from what is the user's.

use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{EngineError, Result};

/// How every such name begins.
const PREFIX: &str = ".keepfast-restore-";

/// The names that one restore gives.
pub struct TemporaryNames {
    /// With what no other restore has.
    own: String,
    next: AtomicU64,
}

/// The number of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Temporary(u64);

impl TemporaryNames {
    /// Names that no other restore gives.
    pub fn new() -> Result<Self> {
        let mut random = [0; 6];
        getrandom::fill(&mut random).map_err(EngineError::NoRandomBytes)?;
        let own = random.iter().fold(PREFIX.to_owned(), |own, byte| format!("{own}{byte:02x}"));
        Ok(Self { own: own + "-", next: AtomicU64::new(0) })
    }

    /// The next number.
    pub fn draw(&self) -> Temporary {
        Temporary(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The name of a number.
    pub fn name(&self, Temporary(number): Temporary) -> CString {
        let mut name = String::with_capacity(self.own.len() + 16);
        name.push_str(&self.own);
        // Writing to a string doesn't fail.
        let _ = std::fmt::Write::write_fmt(&mut name, format_args!("{number:x}"));
        CString::new(name).unwrap_or_default()
    }

    /// Whether a name is one of this restore's.
    pub fn is_own(&self, name: &[u8]) -> bool {
        name.starts_with(self.own.as_bytes())
    }
}

/// Whether a name is one that a restore may have given.
pub fn is_one(name: &[u8]) -> bool {
    name.starts_with(PREFIX.as_bytes())
}
