//! Pages of lists.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Rows of a page, at most.
pub const LIMIT_MAX: u16 = 500;
/// Rows of a page if nothing is said.
pub const LIMIT_USUAL: u16 = 100;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// Its rows.
    pub items: Vec<T>,
    /// What `after` takes for the next page; null on the last one. A server alone knows what it says.
    pub next: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// What the page before has as `next`; the first page without it.
    pub after: Option<String>,
    /// Rows of the page. As CSV, rows in all.
    #[param(minimum = 1, maximum = 500, default = 100)]
    pub limit: Option<u32>,
}

/// What can be a row of a table.
pub trait Row: Serialize {
    /// The columns, in their order: the path of a field, with a dot between its parts.
    const COLUMNS: &'static [&'static str];
}
