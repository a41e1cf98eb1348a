//! The beginning of an answer over HTTP, which explains its status to people.

use reqwest::Response;

/// The beginning of an answer: this many bytes of it, at most. The status alone says what came of a request; what follows only explains
/// it, so that an answer which breaks off is none the worse.
pub async fn beginning_of(answer: &mut Response, bytes_max: usize) -> String {
    let mut read = Vec::new();
    while let Ok(Some(part)) = answer.chunk().await {
        let room = bytes_max - read.len();
        read.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() >= room {
            break;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}
