//! Secrets that were read a short time ago. A process that never ends needs them again and again, and Vault or a
//! person shall not be asked each time; and after minutes a secret that was changed counts.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::source::SecretSource;
use crate::host::monotonic;

/// No more secrets are kept at once. A configuration has fewer.
const SECRETS_MAX: usize = 1024;

/// A clock that never goes back.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Secrets by their references, for minutes. A caller that is refused with a secret from here forgets it
/// ([`Self::forget`]), and reads it again.
pub struct SecretCache {
    lifetime: Duration,
    clock: Clock,
    kept: Mutex<HashMap<SecretSource, Kept>>,
}

impl fmt::Debug for SecretCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretCache(…)")
    }
}

struct Kept {
    bytes: Zeroizing<Vec<u8>>,
    read_at: Instant,
}

/// Of the usual lifetime, by this machine's clock that never goes back.
impl Default for SecretCache {
    fn default() -> Self {
        Self::new(Self::USUAL_LIFETIME, Arc::new(monotonic))
    }
}

impl SecretCache {
    /// What a server uses: changed secrets count after five minutes.
    pub const USUAL_LIFETIME: Duration = Duration::from_secs(300);

    /// Keeps nothing yet. A secret is used for this long at most after it was read.
    #[must_use]
    pub fn new(lifetime: Duration, clock: Clock) -> Self {
        Self { lifetime, clock, kept: Mutex::default() }
    }

    /// A secret, if it was read a short time ago.
    #[must_use]
    pub fn get(&self, source: &SecretSource) -> Option<Zeroizing<Vec<u8>>> {
        self.young().get(source).map(|kept| kept.bytes.clone())
    }

    /// Keeps a secret that was read just now.
    pub fn keep(&self, source: &SecretSource, bytes: &Zeroizing<Vec<u8>>) {
        let read_at = (self.clock)();
        let mut kept = self.young();
        if kept.len() >= SECRETS_MAX {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.read_at).map(|(source, _)| source.clone());
            oldest.and_then(|source| kept.remove(&source));
        }
        kept.insert(source.clone(), Kept { bytes: bytes.clone(), read_at });
    }

    /// Forgets a secret that was refused. Returns whether it was kept, so that reading it again may help.
    pub fn forget(&self, source: &SecretSource) -> bool {
        self.young().remove(source).is_some()
    }

    /// What is kept, without what is too old. A secret behind a descriptor has no age: a pipe can't be read again.
    fn young(&self) -> MutexGuard<'_, HashMap<SecretSource, Kept>> {
        let now = (self.clock)();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|source, kept| {
            matches!(source, SecretSource::FileDescriptor(_))
                || now.saturating_duration_since(kept.read_at) < self.lifetime
        });
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::{SECRETS_MAX, SecretCache, SecretSource, Zeroizing};

    fn bytes(text: &str) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(text.as_bytes().to_owned())
    }

    fn cache() -> (SecretCache, Arc<AtomicU64>) {
        let (begun, seconds) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let shown = Arc::clone(&seconds);
        let clock = move || begun + Duration::from_secs(shown.load(Ordering::Relaxed));
        (SecretCache::new(SecretCache::USUAL_LIFETIME, Arc::new(clock)), seconds)
    }

    #[test]
    fn a_secret_is_kept_for_minutes_or_until_it_is_refused() {
        let (cache, seconds) = cache();
        let (file, other) = (SecretSource::File("/a".into()), SecretSource::File("/b".into()));
        assert!(cache.get(&file).is_none() && !cache.forget(&file));
        cache.keep(&file, &bytes("horse"));
        seconds.store(299, Ordering::Relaxed);
        assert_eq!(cache.get(&file), Some(bytes("horse")));
        assert!(cache.get(&other).is_none());
        seconds.store(300, Ordering::Relaxed);
        assert!(cache.get(&file).is_none() && !cache.forget(&file), "too old");
        cache.keep(&file, &bytes("battery"));
        assert!(cache.forget(&file) && cache.get(&file).is_none(), "refused");
    }

    #[test]
    fn what_can_be_read_only_once_is_kept_until_it_is_refused() {
        let (cache, seconds) = cache();
        let pipe = SecretSource::FileDescriptor(3);
        cache.keep(&pipe, &bytes("horse"));
        seconds.store(1_000_000, Ordering::Relaxed);
        assert_eq!(cache.get(&pipe), Some(bytes("horse")));
        assert!(cache.forget(&pipe) && cache.get(&pipe).is_none());
    }

    #[test]
    fn the_number_of_secrets_is_bounded_and_the_oldest_goes_first() {
        let (cache, seconds) = cache();
        let variable = |number: usize| SecretSource::Environment(format!("S{number}"));
        for number in 0..=SECRETS_MAX {
            seconds.store(u64::from(number > 0), Ordering::Relaxed);
            cache.keep(&variable(number), &bytes("x"));
        }
        assert!(cache.get(&variable(0)).is_none() && cache.get(&variable(SECRETS_MAX)).is_some());
    }
}
