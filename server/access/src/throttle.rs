//! How fast anyone may guess. No one is ever locked out by what others do.
//!
//! - A password is counted by account and address together: who guesses at an account slows themselves down, and not the
//!   person whose account it is.
//! - A browser that has signed in before is counted by itself: even someone at the same address doesn't slow it down.
//! - All passwords from one address are counted too, more generously: for who tries one password at many accounts.
//! - Codes of the second factor are counted by account alone, because only who knows the password gets so far.
//!
//! An attempt is counted before it is carried out, so that a thousand at once are a thousand; success takes it back. What
//! is refused isn't counted, so that waiting ends.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Entries that are kept: more push out those that are longest unused.
const ENTRIES_MAX: usize = 20_000;
/// Without an attempt for this long, all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
/// After this many attempts by an account and an address, or of codes, each next one waits.
const FREE_ATTEMPTS: u32 = 5;
/// The same for all attempts from an address.
const FREE_OF_ADDRESS: u32 = 50;
/// The longest wait of an account and an address.
const WAIT_MAX: Duration = Duration::from_mins(15);
/// The longest wait of an address: others may be behind it who have done nothing.
const WAIT_OF_ADDRESS_MAX: Duration = Duration::from_mins(1);
/// What keys are made for.
const KEY_CONTEXT: &str = "keepfast 2026-11-29 throttle";

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// A password.
    Password,
    /// A code of the second factor, or a recovery code, of someone whose password was right.
    Code,
}

/// An attempt to sign in.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The account; it needn't exist.
    pub account: &'a str,
    /// From where.
    pub address: IpAddr,
    /// The hash of the browser's cookie, if the account's user has signed in with it before: the caller has checked that.
    pub device: Option<&'a str>,
    /// What is tried.
    pub guess: Guess,
}

/// Whether an attempt may be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, and is counted.
    Admitted,
    /// Not before this long.
    Refused {
        /// How long to wait.
        wait: Duration,
        /// Whether it is the first one that is refused since an attempt was admitted: once is enough to be told.
        is_first: bool,
    },
}

/// What is known of attempts. It is bounded, and one server's own.
#[derive(Debug, Default)]
pub struct Throttle {
    entries: HashMap<Key, Entry>,
}

type Key = [u8; 16];

#[derive(Debug, Clone, Copy)]
struct Entry {
    attempts: u32,
    /// When the last one was admitted.
    last: Duration,
    refused_since: bool,
}

/// What an attempt is counted by.
struct Counted {
    own: Key,
    of_address: Option<Key>,
}

impl Throttle {
    /// With no attempts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether an attempt may be carried out at `now`, a reading of a clock that never jumps. If so, it counts as failed until
    /// [`Self::succeeded`].
    pub fn admit(&mut self, attempt: &Attempt<'_>, now: Duration) -> Admission {
        let Counted { own, of_address } = counted(attempt);
        let own_wait = self.wait(&own, now, FREE_ATTEMPTS, WAIT_MAX);
        let address_wait = of_address
            .map_or(Duration::ZERO, |key| self.wait(&key, now, FREE_OF_ADDRESS, WAIT_OF_ADDRESS_MAX));
        let wait = own_wait.max(address_wait);
        if wait > Duration::ZERO {
            let slower = if own_wait >= address_wait { Some(own) } else { of_address };
            let entry = slower.and_then(|key| self.entries.get_mut(&key));
            let is_first = entry.is_some_and(|entry| !std::mem::replace(&mut entry.refused_since, true));
            return Admission::Refused { wait, is_first };
        }
        for key in [Some(own), of_address].into_iter().flatten() {
            self.count(key, now);
        }
        Admission::Admitted
    }

    /// An attempt that was admitted has succeeded: it and those before it don't count. Of those from the address only this
    /// one, or a person with an account could guess at others for ever.
    pub fn succeeded(&mut self, attempt: &Attempt<'_>) {
        let Counted { own, of_address } = counted(attempt);
        self.entries.remove(&own);
        if let Some(entry) = of_address.and_then(|key| self.entries.get_mut(&key)) {
            entry.attempts = entry.attempts.saturating_sub(1);
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    fn wait(&self, key: &Key, now: Duration, free: u32, longest: Duration) -> Duration {
        let Some(entry) = self.entries.get(key).filter(|entry| !is_forgotten(entry, now)) else {
            return Duration::ZERO;
        };
        let Some(doublings) = entry.attempts.checked_sub(free) else { return Duration::ZERO };
        let wait = Duration::from_secs(1u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(longest);
        (entry.last + wait).saturating_sub(now)
    }

    fn count(&mut self, key: Key, now: Duration) {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        let entry = self.entries.entry(key).or_insert(Entry { attempts: 0, last: now, refused_since: false });
        if is_forgotten(entry, now) {
            entry.attempts = 0;
        }
        // Longer than this no wait gets, and the number must not grow until a shift by it is none.
        entry.attempts = (entry.attempts + 1).min(FREE_OF_ADDRESS + 32);
        (entry.last, entry.refused_since) = (now, false);
    }

    /// Drops what is forgotten, or else an eighth: those that slow no one down first, and of these the ones that are longest
    /// unused. So it isn't needed at each attempt, and a flood of addresses doesn't wash out who has guessed much.
    fn make_room(&mut self, now: Duration) {
        self.entries.retain(|_, entry| !is_forgotten(entry, now));
        if self.entries.len() < ENTRIES_MAX {
            return;
        }
        let rank = |entry: &Entry| (entry.attempts >= FREE_ATTEMPTS, entry.last);
        let mut ranks: Vec<_> = self.entries.values().map(rank).collect();
        let (_, edge, _) = ranks.select_nth_unstable(ENTRIES_MAX / 8);
        let edge = *edge;
        self.entries.retain(|_, entry| rank(entry) > edge);
    }
}

fn is_forgotten(entry: &Entry, now: Duration) -> bool {
    now.saturating_sub(entry.last) >= FORGOTTEN_AFTER
}

fn counted(attempt: &Attempt<'_>) -> Counted {
    let Attempt { account, address, device, guess } = attempt;
    let network = network(*address);
    match (guess, device) {
        (Guess::Code, None) => Counted { own: key(&["code", account]), of_address: None },
        (Guess::Code, Some(device)) => {
            Counted { own: key(&["code of device", account, device]), of_address: None }
        }
        (Guess::Password, Some(device)) => {
            Counted { own: key(&["device", account, device]), of_address: None }
        }
        (Guess::Password, None) => {
            Counted { own: key(&["pair", account, &network]), of_address: Some(key(&["address", &network])) }
        }
    }
}

/// Of fixed size, however long a name is that a stranger sends.
fn key(parts: &[&str]) -> Key {
    let mut hasher = blake3::Hasher::new_derive_key(KEY_CONTEXT);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

/// What an address stands for: one of IPv4, or the network of 64 bits that a customer of IPv6 has at least.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            format!("{}/64", Ipv6Addr::from_bits(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::{Admission, Attempt, ENTRIES_MAX, Guess, Throttle};

    fn attempt<'a>(account: &'a str, address: &str) -> Attempt<'a> {
        let address: IpAddr = address.parse().expect("an address");
        Attempt { account, address, device: None, guess: Guess::Password }
    }

    fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn is_admitted(throttle: &mut Throttle, attempt: &Attempt<'_>, now: Duration) -> bool {
        throttle.admit(attempt, now) == Admission::Admitted
    }

    #[test]
    fn delays_grow_and_waiting_ends_them() {
        let mut throttle = Throttle::new();
        let ann = attempt("ann", "192.0.2.1");
        for _ in 0..5 {
            assert!(is_admitted(&mut throttle, &ann, second(0)));
        }
        let mut now = second(0);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let Admission::Refused { wait, is_first } = throttle.admit(&ann, now) else { panic!("too fast") };
            assert!(is_first, "told once");
            let again = throttle.admit(&ann, now);
            assert_eq!(again, Admission::Refused { wait, is_first: false }, "what is refused isn't counted");
            waits.push(wait.as_secs());
            now += wait;
            assert!(is_admitted(&mut throttle, &ann, now));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert!(is_admitted(&mut throttle, &ann, now + second(86_400)), "all is forgotten after a day");
        assert!(is_admitted(&mut throttle, &ann, now + second(86_400)));
    }

    #[test]
    fn others_never_lock_a_person_out() {
        let mut throttle = Throttle::new();
        for number in 0..10_000u32 {
            let address = format!("198.51.{}.{}", number / 250 % 250, number % 250);
            throttle.admit(&attempt("ann", &address), second(1));
        }
        let ann = attempt("ann", "192.0.2.1");
        assert!(is_admitted(&mut throttle, &ann, second(1)), "another address");
        // An attacker behind the same address slows everyone there, but not the browser that is known.
        for _ in 0..1000 {
            throttle.admit(&ann, second(2));
        }
        assert!(!is_admitted(&mut throttle, &ann, second(2)));
        let known = Attempt { device: Some("cookie"), ..ann };
        assert!(is_admitted(&mut throttle, &known, second(2)));
        // Someone who has stolen the cookie is slowed down all the same.
        for _ in 0..10 {
            throttle.admit(&known, second(2));
        }
        assert!(!is_admitted(&mut throttle, &known, second(2)));
        assert!(is_admitted(&mut throttle, &Attempt { device: Some("other"), ..ann }, second(2)));
    }

    #[test]
    fn one_password_at_many_accounts_is_slowed_down_too() {
        let mut throttle = Throttle::new();
        let names: Vec<String> = (0..100).map(|number| format!("user{number}")).collect();
        let admitted =
            names.iter().filter(|name| is_admitted(&mut throttle, &attempt(name, "192.0.2.1"), second(1)));
        assert_eq!(admitted.count(), 50);
        let Admission::Refused { wait, .. } = throttle.admit(&attempt("ann", "192.0.2.1"), second(1)) else {
            panic!("too fast")
        };
        assert!(wait <= Duration::from_mins(1), "others may be behind the address");
        assert!(is_admitted(&mut throttle, &attempt("ann", "192.0.2.2"), second(1)));
    }

    #[test]
    fn a_customer_of_ipv6_is_one_address() {
        let mut throttle = Throttle::new();
        let admitted = (0..100).filter(|number| {
            let address = format!("2001:db8:1:2::{number:x}");
            is_admitted(&mut throttle, &attempt("ann", &address), second(1))
        });
        assert_eq!(admitted.count(), 5);
        assert!(is_admitted(&mut throttle, &attempt("ann", "2001:db8:1:3::1"), second(1)));
        for _ in 0..5 {
            throttle.admit(&attempt("bob", "192.0.2.1"), second(1));
        }
        assert!(
            !is_admitted(&mut throttle, &attempt("bob", "::ffff:192.0.2.1"), second(1)),
            "the same address"
        );
    }

    #[test]
    fn success_clears_the_own_count_and_no_one_elses() {
        let mut throttle = Throttle::new();
        let (ann, bob) = (attempt("ann", "192.0.2.1"), attempt("bob", "192.0.2.1"));
        for _ in 0..5 {
            throttle.admit(&ann, second(0));
            throttle.admit(&bob, second(0));
        }
        throttle.succeeded(&ann);
        assert!(is_admitted(&mut throttle, &ann, second(0)));
        assert!(!is_admitted(&mut throttle, &bob, second(0)));
        // A person with an account can't guess at others for ever by signing in between.
        let mut throttle = Throttle::new();
        let mut guesses = 0;
        for number in 0..1000 {
            let name = format!("user{number}");
            if !is_admitted(&mut throttle, &attempt(&name, "192.0.2.1"), second(0)) {
                break;
            }
            guesses += 1;
            if is_admitted(&mut throttle, &ann, second(0)) {
                throttle.succeeded(&ann);
            }
        }
        assert!(guesses <= 50, "{guesses}");
    }

    #[test]
    fn codes_are_counted_by_account_wherever_they_come_from() {
        let mut throttle = Throttle::new();
        let admitted = (0..200).filter(|number| {
            let address = format!("198.51.100.{number}");
            let code = Attempt { guess: Guess::Code, ..attempt("ann", &address) };
            is_admitted(&mut throttle, &code, second(1))
        });
        assert_eq!(admitted.count(), 5);
        assert!(
            is_admitted(&mut throttle, &attempt("ann", "192.0.2.1"), second(1)),
            "a password isn't a code"
        );
    }

    #[test]
    fn memory_is_bounded_and_recent_attackers_stay_known() {
        let mut throttle = Throttle::new();
        let ann = attempt("ann", "192.0.2.1");
        for number in 0..100_000u64 {
            let address = format!("2001:db8:{:x}:{:x}::1", number >> 16, number & 0xffff);
            throttle.admit(&attempt(&"x".repeat(1000), &address), Duration::from_micros(number));
            if number % 1000 == 0 {
                throttle.admit(&ann, Duration::from_micros(number));
            }
            assert!(throttle.entries() <= ENTRIES_MAX);
        }
        assert!(!is_admitted(&mut throttle, &ann, Duration::from_micros(100_000)));
    }
}
