//! All of an answer over HTTP, within bounds.

use reqwest::Response;
use zeroize::Zeroizing;

/// Why an answer wasn't read.
#[derive(Debug, thiserror::Error)]
pub enum UnreadAnswer {
    /// It is longer than the caller takes.
    #[error("the answer has more than {bytes_max} bytes")]
    TooLarge {
        /// What the caller takes.
        bytes_max: usize,
    },
    /// It ended early.
    #[error("the answer ended early")]
    CutOff(#[source] reqwest::Error),
}

/// All of an answer, which has at most this many bytes. It is wiped from memory with the value; what the connection's own
/// buffers have of it isn't.
///
/// # Errors
/// The answer is too large, or ends early.
pub async fn read_whole(answer: &mut Response, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, UnreadAnswer> {
    // Memory that never moves: what is left behind by a vector that grows isn't wiped.
    let mut read = Zeroizing::new(Vec::with_capacity(bytes_max));
    while let Some(part) = answer.chunk().await.map_err(UnreadAnswer::CutOff)? {
        if part.len() > bytes_max - read.len() {
            return Err(UnreadAnswer::TooLarge { bytes_max });
        }
        read.extend_from_slice(&part);
    }
    Ok(read)
}
