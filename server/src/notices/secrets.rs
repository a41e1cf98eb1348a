//! Secrets of targets: read when they are needed, on threads that may wait, and kept for some minutes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keepfast_backend::Cancel;
use keepfast_notify::{SecretError, SecretFuture, SecretRef, Secrets};
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_operations::secret::{Purpose, SecretReader, SecretSource};
use zeroize::Zeroizing;

use super::convert::Held;

/// For how long a secret is used without being read again.
const KEPT_FOR: SignedDuration = SignedDuration::from_mins(5);
/// A command that prints a secret may take this long.
const READING_MAX: Duration = Duration::from_secs(30);

/// Secrets that were read some minutes ago at most.
#[derive(Default)]
pub struct SecretCache {
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    source: SecretSource,
    secret: Zeroizing<String>,
    read: Timestamp,
}

impl SecretCache {
    fn get(&self, source: &SecretSource, now: Timestamp) -> Option<Zeroizing<String>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // One from the future was read before the clock was set back.
        kept.retain(|kept| kept.read <= now && now.duration_since(kept.read) < KEPT_FOR);
        kept.iter().find(|kept| kept.source == *source).map(|kept| kept.secret.clone())
    }

    fn keep(&self, source: SecretSource, secret: Zeroizing<String>, read: Timestamp) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.source != source);
        kept.push(Kept { source, secret, read });
    }

    fn forget(&self, source: &SecretSource) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|kept| kept.source != *source);
    }
}

/// Ends the reading of a secret that no one waits for any more.
struct EndWithCaller(Cancel);

impl Drop for EndWithCaller {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The secrets of one target.
pub struct TargetSecrets {
    held: BTreeMap<SecretRef, Held>,
    cache: Arc<SecretCache>,
    children: Children,
    now: Timestamp,
    used_kept: AtomicBool,
}

impl TargetSecrets {
    /// Those that a target names. `children` is how commands are started that print one.
    #[must_use]
    pub fn new(
        held: BTreeMap<SecretRef, Held>,
        cache: Arc<SecretCache>,
        children: Children,
        now: Timestamp,
    ) -> Self {
        Self { held, cache, children, now, used_kept: AtomicBool::new(false) }
    }

    /// Forgets what was kept of them, so that they are read again. Whether one was used that was read before.
    pub fn read_again(&self) -> bool {
        for held in self.held.values() {
            if let Held::Secret(source) = held {
                self.cache.forget(source);
            }
        }
        self.used_kept.swap(false, Ordering::Relaxed)
    }

    async fn find(&self, reference: &SecretRef) -> Result<Zeroizing<String>, SecretError> {
        let name = &reference.0;
        let source = match self.held.get(reference) {
            Some(Held::Plain(text)) => return Ok(Zeroizing::new(text.clone())),
            Some(Held::Secret(source)) => source.clone(),
            None => return Err(SecretError(format!("the target has no {name}"))),
        };
        if let Some(secret) = self.cache.get(&source, self.now) {
            self.used_kept.store(true, Ordering::Relaxed);
            return Ok(secret);
        }
        let cancel = Cancel::new();
        // The caller may have no more time itself.
        let _end = EndWithCaller(cancel.clone());
        let (children, ends) = (self.children.clone(), cancel.clone());
        let (what, place) = (name.clone(), source.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let reader = SecretReader { what: &what, children: &children, cancel: &ends };
            reader.password(&place, Purpose::Open).map_err(|error| SecretError(with_causes(&error)))
        });
        let secret = match tokio::time::timeout(READING_MAX, reading).await {
            Ok(Ok(read)) => read?,
            Ok(Err(_)) => return Err(SecretError(format!("the thread that reads the {name} has ended"))),
            Err(_) => {
                return Err(SecretError(format!(
                    "reading the {name} took longer than {} s",
                    READING_MAX.as_secs()
                )));
            }
        };
        self.cache.keep(source, secret.clone(), self.now);
        Ok(secret)
    }
}

impl Secrets for TargetSecrets {
    fn secret<'a>(&'a self, reference: &'a SecretRef) -> SecretFuture<'a> {
        Box::pin(self.find(reference))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::Arc;

    use jiff::{SignedDuration, Timestamp};
    use keepfast_notify::{SecretRef, Secrets};
    use keepfast_operations::child::Children;
    use keepfast_operations::secret::SecretSource;

    use super::{Held, SecretCache, TargetSecrets};

    /// A secret is read again after minutes, and at once where it was refused.
    #[tokio::test]
    async fn secrets_are_kept_for_minutes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let cache = Arc::new(SecretCache::default());
        let name = SecretRef("token".to_owned());
        let start = Timestamp::constant(1_800_000_000, 0);
        let secrets = |minutes| {
            let held = BTreeMap::from([(name.clone(), Held::Secret(SecretSource::File(file.clone())))]);
            let now = start + SignedDuration::from_mins(minutes);
            TargetSecrets::new(held, Arc::clone(&cache), Children::default(), now)
        };
        let read = async |secrets: &TargetSecrets| match secrets.secret(&name).await {
            Ok(secret) => secret.to_string(),
            Err(error) => error.to_string(),
        };
        fs::write(&file, "one\n").expect("a file");
        assert_eq!(read(&secrets(0)).await, "one");
        fs::write(&file, "two\n").expect("a file");
        let kept = secrets(4);
        assert_eq!(read(&kept).await, "one");
        assert!(kept.read_again() && !kept.read_again(), "it had been read before");
        assert_eq!(read(&kept).await, "two");
        fs::write(&file, "three\n").expect("a file");
        assert_eq!(read(&secrets(8)).await, "two");
        assert_eq!(read(&secrets(9)).await, "three");
        assert_eq!(read(&secrets(-60)).await, "three", "the clock was set back");
        fs::remove_file(&file).expect("a file");
        assert!(read(&secrets(20)).await.contains("the token file"), "it says what can't be read");
    }
}
