//! What is asked twice and happens once: a caller that doesn't know whether its request has arrived sends it again with the
//! same `Idempotency-Key`.
//!
//! The id of what is made follows from the caller and the key. So the state, which has each id once, is what decides, also
//! among several servers and after a crash; nothing has to be remembered.

use axum::http::HeaderMap;
use data_encoding::HEXLOWER;
use keepfast_api::error::ErrorCode;
use keepfast_server::state::random_name;
use keepfast_store::RunId;

use crate::answer::{Failure, Result};
use crate::guard::Caller;

/// The header.
const HEADER: &str = "idempotency-key";
/// What ids are hashed for.
const CONTEXT: &str = "keepfast 2026-11-29 id from an idempotency key";
/// Bytes of a key, at most.
const KEY_BYTES_MAX: usize = 200;
/// Bytes of an id.
const ID_BYTES: usize = 16;

/// The id of a run that a request makes: random, unless the request has a key. `doing` keeps keys of different kinds of
/// requests apart.
///
/// # Errors
/// The key is no key, or the system gives no random numbers.
pub fn run_id(headers: &HeaderMap, caller: &Caller, doing: &str) -> Result<RunId> {
    let Some(key) = headers.get(HEADER) else { return Ok(RunId::new(random_name()?)?) };
    let key = key.as_bytes();
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.iter().all(u8::is_ascii_graphic) {
        let detail = format!("An Idempotency-Key has 1 to {KEY_BYTES_MAX} visible ASCII characters.");
        return Err(Failure::new(ErrorCode::InvalidRequest, detail));
    }
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for part in [doing.as_bytes(), caller.user().id.as_str().as_bytes(), key] {
        // Each part behind its length: no two requests are one string of bytes.
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    Ok(RunId::new(HEXLOWER.encode(&hasher.finalize().as_bytes()[..ID_BYTES]))?)
}
