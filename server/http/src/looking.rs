//! Looking into repositories for a request: on a thread that may wait, not on those that answer requests; a few at a time; and
//! no longer than someone waits for the answer.

use keepfast_api::error::ErrorCode;
use keepfast_backend::Cancel;
use keepfast_server::ServerError;
use keepfast_server::browse::Browser;

use crate::answer::{Failure, Result};
use crate::state::Shared;

/// Ends what is done for a request when no one waits for it any more.
#[derive(Default)]
pub struct EndsWith(Cancel);

impl EndsWith {
    /// What ends it.
    pub fn cancel(&self) -> Cancel {
        self.0.clone()
    }
}

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Looks into a repository.
///
/// # Errors
/// `work` fails, or too much is looked at already.
pub async fn look<T: Send + 'static>(
    api: &Shared,
    repository: &str,
    work: impl FnOnce(&Browser<'_>) -> Result<T, ServerError> + Send + 'static,
) -> Result<T> {
    let ends = EndsWith::default();
    // A request waits for its turn as long as any answer may take.
    let Ok(seat) = api.looks.looks.clone().acquire_owned().await else { return Err(busy()) };
    let (of, repository, cancel) = (api.clone(), repository.to_owned(), ends.cancel());
    let looking = tokio::task::spawn_blocking(move || {
        let config = of.config();
        let warm = &of.inside.warm;
        let done = work(&Browser { config: &config, warm, repository: &repository, cancel });
        // Not before: a client that hangs up doesn't end the look at once.
        drop(seat);
        done
    });
    match looking.await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ServerError::Ended { what: "a look into a repository" }.into()),
    }
}

/// Too much is asked for at once.
pub fn busy() -> Failure {
    Failure::new(ErrorCode::Unavailable, "Many people read from repositories at this moment.")
        .retry_after_s(5)
}
