//! What an operation asked of its store.

use keepfast_backend::Traffic;
use serde::Serialize;

/// Requests to a store, and bytes of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TrafficDocument {
    /// Requests of all kinds.
    pub requests: u64,
    /// Requests that write.
    pub puts: u64,
    /// Requests that read.
    pub gets: u64,
    /// Pages of listings.
    pub lists: u64,
    /// Requests that remove.
    pub deletes: u64,
    /// How many of all these repeated one that failed.
    pub retries: u64,
    /// Bytes sent.
    pub bytes_up: u64,
    /// Bytes received.
    pub bytes_down: u64,
}

impl From<Traffic> for TrafficDocument {
    fn from(traffic: Traffic) -> Self {
        Self {
            requests: traffic.requests(),
            puts: traffic.puts,
            gets: traffic.gets,
            lists: traffic.lists,
            deletes: traffic.deletes,
            retries: traffic.retries,
            bytes_up: traffic.bytes_up,
            bytes_down: traffic.bytes_down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Traffic, TrafficDocument};

    #[test]
    fn its_fields_keep_their_names_and_order() {
        let traffic =
            Traffic { puts: 1, gets: 2, lists: 3, deletes: 4, retries: 5, bytes_up: 6, bytes_down: 7 };
        assert_eq!(
            serde_json::to_string(&TrafficDocument::from(traffic)).expect("a document"),
            r#"{"requests":10,"puts":1,"gets":2,"lists":3,"deletes":4,"retries":5,"bytes_up":6,"bytes_down":7}"#
        );
    }
}
