//! What is asked of a database that was restored, and how the answer is judged.

use serde::{Deserialize, Serialize};

/// A question, and whether the answer is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was asked, such as `rows of public.orders` or `amcheck`.
    pub name: String,
    /// What should be found; none if any answer that isn't an error is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found.
    pub found: String,
    /// Whether that is right.
    pub is_right: bool,
}

impl Check {
    /// Two values that should be the same.
    #[must_use]
    pub fn equal(name: impl Into<String>, expected: impl ToString, found: impl ToString) -> Self {
        let (expected, found) = (expected.to_string(), found.to_string());
        let is_right = expected == found;
        Self { name: name.into(), expected: Some(expected), found, is_right }
    }

    /// Something that was asked and found no fault, or this one.
    #[must_use]
    pub fn sound(name: impl Into<String>, fault: Option<String>) -> Self {
        let is_right = fault.is_none();
        Self {
            name: name.into(),
            expected: None,
            found: fault.unwrap_or_else(|| "sound".to_owned()),
            is_right,
        }
    }
}
