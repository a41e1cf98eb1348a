//! Reading again what came damaged: the way from the store may have spoilt it, and not the
//! store. Only what comes damaged every time is damage.

use crate::error::{EngineError, Result};

/// So often is something read before it is called damaged.
const READS: u32 = 3;

/// Reads and opens an object, again if it came damaged.
pub fn until_sound<T>(read: impl FnMut() -> Result<T>) -> Result<T> {
    until(read, |result| !matches!(result, Err(EngineError::Damaged { .. })))
}

/// Reads something, again if it isn't as it should be.
pub fn until<T>(mut read: impl FnMut() -> T, is_sound: impl Fn(&T) -> bool) -> T {
    let mut value = read();
    for _ in 1..READS {
        if is_sound(&value) {
            break;
        }
        value = read();
    }
    value
}
