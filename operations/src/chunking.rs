//! How files are cut into chunks, as people and requests say it: `auto`, `content`, `pages:8KiB`.

use std::fmt;
use std::path::PathBuf;

use keepfast_engine::archive::CuttingRules;
use keepfast_engine::chunk::cutting::CuttingChoice;
use keepfast_format::chunker::PageBytes;
use serde::{Deserialize, Serialize};

use crate::error::{OperationsError, Result, TextError};
use crate::units;

/// What the size of pages begins with.
const PAGES: &str = "pages:";

/// How files are cut into chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Chunking {
    /// At pages what begins as a file of a database does; everything else by content.
    #[default]
    Auto,
    /// By content.
    Content,
    /// At pages of this size.
    Pages(PageBytes),
}

impl Chunking {
    /// Reads `auto`, `content` or `pages:SIZE`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "content" => Ok(Self::Content),
            _ => {
                let size = text.strip_prefix(PAGES).and_then(|size| units::size(size).ok());
                let page = size.and_then(|size| u32::try_from(size).ok()).and_then(PageBytes::new);
                Ok(page.map(Self::Pages).ok_or(TextError::Chunking)?)
            }
        }
    }

    /// As the engine takes it.
    #[must_use]
    pub fn choice(self) -> CuttingChoice {
        match self {
            Self::Auto => CuttingChoice::Auto,
            Self::Content => CuttingChoice::ByContent,
            Self::Pages(page) => CuttingChoice::Pages(page),
        }
    }
}

impl fmt::Display for Chunking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Content => formatter.write_str("content"),
            Self::Pages(page) => write!(formatter, "{PAGES}{}", page.get()),
        }
    }
}

impl TryFrom<String> for Chunking {
    type Error = OperationsError;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Chunking> for String {
    fn from(chunking: Chunking) -> Self {
        chunking.to_string()
    }
}

/// How the files are cut that are at and below a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkingBelow {
    /// The path, as the snapshot has it. Of several above a file, the longest counts.
    pub path: PathBuf,
    /// How they are cut.
    pub chunking: Chunking,
}

/// What the engine goes by.
#[must_use]
pub fn rules(chunking: &[ChunkingBelow]) -> CuttingRules {
    CuttingRules::new(chunking.iter().map(|below| (below.path.clone(), below.chunking.choice())).collect())
}

#[cfg(test)]
mod tests {
    use super::{Chunking, PageBytes};

    #[test]
    fn pages_have_a_size_that_pages_can_have() {
        let pages = |bytes| Chunking::Pages(PageBytes::new(bytes).expect("a page's size"));
        let known = [
            ("auto", Chunking::Auto),
            ("content", Chunking::Content),
            ("pages:512", pages(512)),
            ("pages:8KiB", pages(8192)),
            ("pages:64k", pages(65_536)),
        ];
        for (text, chunking) in known {
            assert_eq!(Chunking::parse(text).expect(text), chunking);
            let json = serde_json::to_string(&chunking).expect("it is a text");
            assert_eq!(serde_json::from_str::<Chunking>(&json).expect(&json), chunking);
        }
        for wrong in [
            "",
            "Auto",
            "pages",
            "pages:",
            "pages:0",
            "pages:256",
            "pages:5000",
            "pages:1M",
            "pages:unlimited",
        ] {
            let error = Chunking::parse(wrong).expect_err(wrong);
            assert!(error.is_wrong_input() && error.to_string().contains("pages:8KiB"), "{error}");
        }
    }
}
