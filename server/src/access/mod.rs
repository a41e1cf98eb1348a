//! Who may do what, with the state behind it: users and their rights, signing in, sessions, tokens, the audit. The rules are
//! those of `keepfast-access`; here they meet what is stored, the clock and randomness. Both the API and the commands do
//! these things here, so that each of them is in the audit.

mod actor;
mod approvals;
mod audit;
mod elsewhere;
mod error;
mod factors;
mod gate;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
mod tokens;
mod users;

pub use actor::Actor;
pub use approvals::{
    ApprovalDocument, Deciding, Decision, Matter, Told, approval_waits, ask_approval, decide_approval,
    use_approval,
};
pub use audit::{
    AuditDocument, ComparedDocument, Exported, VerdictDocument, WrongAnchor, anchor_of, audit_page,
    export_header, export_page, verify, verify_stored,
};
pub use elsewhere::{grants_of_groups, provider, user_of_identity};
pub use error::{AccessError, Result};
pub use factors::{Enrolment, begin_second_factor, confirm_second_factor, remove_second_factor, renew_codes};
pub use gate::{Caller, Credentials, Gate, Proof, SignInRefusal, SignedIn, Surroundings};
pub use tokens::{MadeToken, TokenDocument, TokenWish, make_token, revoke_token, token_list, token_number};
pub use users::{
    NewUserWish, UserDocument, add_user, change_grants, end_sessions, find_user, list_users, remove_user,
    set_disabled, set_password, set_up, setup_token,
};

use keepfast_access::moment::Moment;
use keepfast_store::UtcTime;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// An instant of the state, as the rules have it.
fn moment(at: UtcTime) -> Moment {
    Moment::from_micros(at.as_micros())
}

/// Random bytes.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(AccessError::Random)?;
    Ok(bytes)
}

/// Passwords that are hashed at once; each takes 19 MiB and a processor.
const HASHED_AT_ONCE: usize = 2;
static TURNS: Semaphore = Semaphore::const_new(HASHED_AT_ONCE);

async fn hashed(password: Zeroizing<String>) -> Result<keepfast_store::StoredSecret> {
    let salt = random()?;
    Ok(in_turn(move || keepfast_access::password::hash(&password, salt)).await??.into())
}

/// Hashes a password, away from the threads that serve others. The turn lasts as long as the work: a caller that is given
/// up, such as a client that hangs up, doesn't let the next one in before.
async fn in_turn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let turn = TURNS.acquire().await.map_err(|_| AccessError::Stopping)?;
    let working = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    working.await.map_err(|_| AccessError::Stopping)
}
