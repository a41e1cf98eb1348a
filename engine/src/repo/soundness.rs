//! Reading again what came damaged: the way from the store may have changed it, and not the
//! store. Only what comes damaged every time is damage.

use keepfast_format::FormatError;

use crate::error::{EngineError, Result};

/// How many times something is read before it is called damaged.
const READS: u32 = 3;

/// Reads something, and again while it isn't as it should be, a few times.
pub fn read_until<T>(mut read: impl FnMut() -> T, is_sound: impl Fn(&T) -> bool) -> T {
    let mut value = read();
    for _ in 1..READS {
        if is_sound(&value) {
            break;
        }
        value = read();
    }
    value
}

/// Reads and opens an object, and again if it came damaged.
pub fn read_until_sound<T>(read: impl FnMut() -> Result<T>) -> Result<T> {
    read_until(read, |result| !matches!(result, Err(EngineError::Damaged { .. })))
}

/// As [`read_until_sound`], for code that goes on without a damaged object. The inner error says what is wrong
/// with the object; the outer one, of a store that fails, says nothing about it.
pub fn judge<T>(read: impl FnMut() -> Result<T>) -> Result<Result<T, FormatError>> {
    match read_until_sound(read) {
        Ok(sound) => Ok(Ok(sound)),
        Err(EngineError::Damaged { source, .. }) => Ok(Err(source)),
        Err(error) => Err(error),
    }
}
