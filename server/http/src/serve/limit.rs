//! How many requests an address may send: generous for a person with many pages open, too few to keep a server busy.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Requests that may come at once.
const BURST: f64 = 600.0;
/// Requests in a second after that.
const PER_SECOND: f64 = 100.0;
/// Addresses that are remembered; where more come, those that may send everything again are forgotten first.
const ADDRESSES_MAX: usize = 10_000;

/// What addresses have sent.
#[derive(Debug)]
pub struct RequestLimit {
    begun: Instant,
    left: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Bucket {
    fn at(self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        (self.left + passed * PER_SECOND).min(BURST)
    }
}

impl RequestLimit {
    /// No one has sent anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self { begun: Instant::now(), left: Mutex::default() }
    }

    /// Whether one more request of an address is answered.
    #[must_use]
    pub fn takes(&self, address: IpAddr) -> bool {
        self.takes_at(address, self.begun.elapsed())
    }

    fn takes_at(&self, address: IpAddr, now: Duration) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() >= ADDRESSES_MAX && !left.contains_key(&network(address)) {
            left.retain(|_, bucket| bucket.at(now) < BURST);
            if left.len() >= ADDRESSES_MAX {
                // Only an attack has this many: each of them begins again, which is no more than others have.
                left.clear();
            }
        }
        let bucket = left.entry(network(address)).or_insert(Bucket { left: BURST, at: now });
        *bucket = Bucket { left: bucket.at(now), at: now };
        let takes = bucket.left >= 1.0;
        if takes {
            bucket.left -= 1.0;
        }
        takes
    }
}

/// A customer of IPv6 has a network of 64 bits at least.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(long) => {
            let [a, b, c, d, ..] = long.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::RequestLimit;

    #[test]
    fn an_address_that_sends_too_much_waits_and_no_other_does() {
        let limit = RequestLimit::new();
        let [one, other] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
        let at = Duration::from_secs(1);
        let taken = (0..1000).filter(|_| limit.takes_at(one, at)).count();
        assert_eq!(taken, 600);
        assert!(limit.takes_at(other, at));
        let taken = (0..1000).filter(|_| limit.takes_at(one, at + Duration::from_secs(1))).count();
        assert_eq!(taken, 100);
    }
}
