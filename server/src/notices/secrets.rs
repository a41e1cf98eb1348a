//! Secrets of targets: read when they are needed, on threads that may wait, and kept for some minutes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keepfast_backend::Cancel;
use keepfast_notify::{SecretError, SecretFuture, SecretRef, Secrets};
use keepfast_operations::child::Children;
use keepfast_operations::error::with_causes;
use keepfast_operations::secret::{Purpose, SecretCache, SecretReader};
use zeroize::Zeroizing;

use super::convert::Held;

/// A command that prints a secret may take this long.
const READING_MAX: Duration = Duration::from_secs(30);

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
    used_kept: AtomicBool,
}

impl TargetSecrets {
    /// Those that a target names. `children` is how commands are started that print one.
    #[must_use]
    pub fn new(held: BTreeMap<SecretRef, Held>, cache: Arc<SecretCache>, children: Children) -> Self {
        Self { held, cache, children, used_kept: AtomicBool::new(false) }
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
        if self.cache.get(&source).is_some() {
            self.used_kept.store(true, Ordering::Relaxed);
        }
        let cancel = Cancel::new();
        // The caller may have no more time itself.
        let _end = EndWithCaller(cancel.clone());
        let (children, ends) = (self.children.clone(), cancel.clone());
        let (what, cache) = (name.clone(), Arc::clone(&self.cache));
        let reading = tokio::task::spawn_blocking(move || {
            let reader = SecretReader { what: &what, children: &children, cancel: &ends };
            reader
                .password_by(Some(&cache), &source, Purpose::Open)
                .map_err(|error| SecretError(with_causes(&error)))
        });
        match tokio::time::timeout(READING_MAX, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(_)) => Err(SecretError(format!("the thread that reads the {name} has ended"))),
            Err(_) => {
                Err(SecretError(format!("reading the {name} took longer than {} s", READING_MAX.as_secs())))
            }
        }
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
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use keepfast_notify::{SecretRef, Secrets};
    use keepfast_operations::child::Children;
    use keepfast_operations::secret::{SecretCache, SecretSource};

    use super::{Held, TargetSecrets};

    /// A secret is read again after minutes, and at once where it was refused.
    #[tokio::test]
    async fn secrets_are_kept_for_minutes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        let (begun, minutes) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let shown = Arc::clone(&minutes);
        let clock = move || begun + Duration::from_secs(60 * shown.load(Ordering::Relaxed));
        let cache = Arc::new(SecretCache::new(SecretCache::USUAL_LIFETIME, Arc::new(clock)));
        let name = SecretRef("token".to_owned());
        let at = |minute| {
            minutes.store(minute, Ordering::Relaxed);
            let held = BTreeMap::from([(name.clone(), Held::Secret(SecretSource::File(file.clone())))]);
            TargetSecrets::new(held, Arc::clone(&cache), Children::default())
        };
        let read = async |secrets: &TargetSecrets| match secrets.secret(&name).await {
            Ok(secret) => secret.to_string(),
            Err(error) => error.to_string(),
        };
        fs::write(&file, "one\n").expect("a file");
        assert_eq!(read(&at(0)).await, "one");
        fs::write(&file, "two\n").expect("a file");
        let kept = at(4);
        assert_eq!(read(&kept).await, "one");
        assert!(kept.read_again() && !kept.read_again(), "it had been read before");
        assert_eq!(read(&kept).await, "two");
        fs::write(&file, "three\n").expect("a file");
        assert_eq!(read(&at(8)).await, "two");
        assert_eq!(read(&at(9)).await, "three");
        fs::remove_file(&file).expect("a file");
        assert!(read(&at(20)).await.contains("the token file"), "it says what can't be read");
    }
}
