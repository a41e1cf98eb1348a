//! Who is connected, and who has to go when there is no place left.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::Limits;

/// A century, more or less: for what has no limit.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The places of a listener.
#[derive(Clone)]
pub struct Places {
    taken: Arc<Mutex<Taken>>,
    at_most: usize,
    per_address: usize,
}

#[derive(Default)]
struct Taken {
    next: u64,
    by_number: BTreeMap<u64, (Option<IpAddr>, Arc<Shared>)>,
}

/// What a connection and the listener know of it.
struct Shared {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Clone, Copy)]
struct State {
    /// A request was received, and its answer isn't taken yet.
    is_busy: bool,
    since: Instant,
    is_wanted_by_another: bool,
}

/// A place. It is free again when this value is dropped.
pub struct Place {
    places: Places,
    number: u64,
    shared: Arc<Shared>,
}

/// A request is answered as long as this value lives.
pub struct Busy {
    shared: Arc<Shared>,
}

impl Places {
    /// This many, and of one address this many.
    pub fn new(at_most: usize, per_address: usize) -> Self {
        Self { taken: Arc::default(), at_most, per_address }
    }

    /// Takes a place, from a connection without a request if there is no other: from the one that has had none for the
    /// longest time. `None` if all are busy.
    pub fn take(&self, address: Option<IpAddr>) -> Option<Place> {
        let mut taken = self.taken();
        let is_same = |other: &Option<IpAddr>| address.is_some() && *other == address;
        let of_address = taken.by_number.values().filter(|(other, _)| is_same(other)).count();
        if address.is_some() && of_address >= self.per_address {
            taken.free_one(is_same)?;
        }
        if taken.by_number.len() >= self.at_most {
            taken.free_one(|_| true)?;
        }
        let number = taken.next;
        taken.next += 1;
        let state = State { is_busy: false, since: Instant::now(), is_wanted_by_another: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), wake: Notify::new() });
        taken.by_number.insert(number, (address, Arc::clone(&shared)));
        Some(Place { places: self.clone(), number, shared })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Frees the place of the connection that has had no request for the longest time.
    fn free_one(&mut self, is_meant: impl Fn(&Option<IpAddr>) -> bool) -> Option<()> {
        let idle = self.by_number.iter().filter(|(_, (address, _))| is_meant(address));
        let idle = idle.map(|(number, (_, shared))| (*number, shared.state()));
        let idle = idle.filter(|(_, state)| !state.is_busy);
        let (number, _) = idle.min_by_key(|(number, state)| (state.since, *number))?;
        let (_, shared) = self.by_number.remove(&number)?;
        shared.change(|state| state.is_wanted_by_another = true);
        Some(())
    }
}

impl Shared {
    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        // It is kept for a connection that doesn't wait at this moment.
        self.wake.notify_one();
    }
}

impl Place {
    /// A request was received.
    pub fn begin(&self) -> Busy {
        self.shared.change(|state| (state.is_busy, state.since) = (true, Instant::now()));
        Busy { shared: Arc::clone(&self.shared) }
    }

    /// When the connection has to end if nothing changes; `None` if it has to end now.
    pub fn until(&self, limits: &Limits) -> Option<Instant> {
        let State { is_busy, since, is_wanted_by_another } = self.shared.state();
        let within = if is_busy { limits.answer_within.unwrap_or(FOR_EVER) } else { limits.head_within };
        (!is_wanted_by_another).then(|| since + within)
    }

    /// Whether it is past the time at which the connection has to end.
    pub fn is_over(&self, limits: &Limits) -> bool {
        self.until(limits).is_none_or(|until| until <= Instant::now())
    }

    /// Waits until [`Self::until`] may be another instant.
    pub async fn changed(&self) {
        self.shared.wake.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by_number.remove(&self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.shared.change(|state| (state.is_busy, state.since) = (false, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::{Limits, Places};

    const LIMITS: Limits = Limits {
        head_bytes: 8192,
        head_fields: 10,
        body_bytes: 0,
        head_within: Duration::from_secs(10),
        answer_within: None,
        taken_within: Duration::from_secs(10),
        connections: 3,
        connections_per_address: 2,
    };

    fn address(last: u8) -> Option<IpAddr> {
        Some(Ipv4Addr::new(10, 0, 0, last).into())
    }

    #[tokio::test]
    async fn the_connection_without_a_request_for_the_longest_time_makes_place() {
        let places = Places::new(3, 2);
        let [one, two] = [1, 2].map(|last| places.take(address(last)).expect("a place"));
        let three = places.take(None).expect("a place");
        let busy = one.begin();
        let four = places.take(address(4)).expect("that of two");
        assert!(two.is_over(&LIMITS) && !one.is_over(&LIMITS) && !three.is_over(&LIMITS));
        drop(two);
        let busy = [busy, three.begin(), four.begin()];
        assert!(places.take(address(5)).is_none(), "all are busy");
        drop(busy);
        assert!(places.take(address(5)).is_some() && one.is_over(&LIMITS));
    }

    #[tokio::test]
    async fn an_address_has_a_part_of_the_places_and_takes_none_of_others() {
        let places = Places::new(10, 2);
        let other = places.take(address(2)).expect("a place");
        let first = places.take(address(1)).expect("a place");
        let second = places.take(address(1)).expect("a place");
        let third = places.take(address(1)).expect("that of the first");
        assert!(first.is_over(&LIMITS) && !second.is_over(&LIMITS) && !other.is_over(&LIMITS));
        let _busy = [second.begin(), third.begin()];
        assert!(places.take(address(1)).is_none());
        assert!(places.take(address(2)).is_some());
    }
}
