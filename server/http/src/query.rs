//! Reading what stands behind the question mark of an address.

use axum::http::Uri;
use keepfast_api::error::ErrorCode;
use serde::de::DeserializeOwned;

use crate::answer::failure::{Failure, Result};

/// What stands behind the question mark of an address.
///
/// # Errors
/// It isn't as it has to be.
pub fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T> {
    let text = uri.query().unwrap_or_default();
    serde_urlencoded::from_str(text).map_err(|error| {
        Failure::new(ErrorCode::InvalidRequest, format!("The query can't be read: {error}."))
    })
}
