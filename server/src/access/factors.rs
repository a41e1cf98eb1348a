//! The second factor of a user: begun, confirmed by a first code, and ended.

use keepfast_access::factor::{CodeSecret, RECOVERY_CODES, recovery_code, recovery_hash};
use keepfast_store::{Store, StoredSecret, TokenHash, User};
use zeroize::Zeroizing;

use super::actor::Actor;
use super::error::{AccessError, Result};
use super::users::object;
use super::{moment, random};
use crate::state::now;

/// What a user is shown to set a device up.
pub struct Enrolment {
    /// What the user types into the device.
    pub secret: Zeroizing<String>,
    /// What the device reads as a picture.
    pub address: Zeroizing<String>,
}

/// Begins with a second factor; codes aren't asked for before one was shown.
pub async fn begin_second_factor(store: &Store, user: &User, issuer: &str) -> Result<Enrolment> {
    let secret = CodeSecret::from_random(random()?);
    let stored = secret.to_stored();
    store.begin_totp(&user.id, &StoredSecret::from(stored.to_string())).await?;
    Ok(Enrolment { address: secret.address(issuer, user.name.as_str()), secret: stored })
}

/// The first code of a device: from now on codes are asked for. Returns the recovery codes, which are shown this once.
pub async fn confirm_second_factor(
    store: &Store,
    by: &Actor,
    user: &User,
    code: &str,
) -> Result<Vec<Zeroizing<String>>> {
    let no_factor = || AccessError::NoFactor { name: user.name.to_string() };
    let pending = store.pending_totp(&user.id).await?.ok_or_else(no_factor)?;
    let now = now();
    let secret = CodeSecret::from_stored(pending.reveal())?;
    let step = secret.step_of(code, moment(now).as_seconds()).ok_or(AccessError::WrongCode)?;
    let (codes, hashes) = new_codes(user)?;
    let note = by.note(now, "user.second_factor", &object(&user.name), None, None);
    if store.confirm_totp(now, &user.id, &pending, step, &hashes, &note).await? {
        Ok(codes)
    } else {
        Err(no_factor())
    }
}

/// Gives a user other recovery codes, which are shown this once; the old ones aren't valid any more.
pub async fn renew_codes(store: &Store, by: &Actor, user: &User) -> Result<Vec<Zeroizing<String>>> {
    if !user.has_totp {
        return Err(AccessError::NoFactor { name: user.name.to_string() });
    }
    let (codes, hashes) = new_codes(user)?;
    let note = by.note(now(), "user.recovery_codes", &object(&user.name), None, None);
    store.replace_recovery_codes(&user.id, &hashes, &note).await?;
    Ok(codes)
}

/// Codes aren't asked for any more.
pub async fn remove_second_factor(store: &Store, by: &Actor, user: &User) -> Result<()> {
    let note = by.note(now(), "user.second_factor_off", &object(&user.name), None, None);
    if store.remove_totp(&user.id, &note).await? {
        Ok(())
    } else {
        Err(AccessError::NoFactor { name: user.name.to_string() })
    }
}

fn new_codes(user: &User) -> Result<(Vec<Zeroizing<String>>, Vec<TokenHash>)> {
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    let mut hashes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        let code = recovery_code(random()?);
        hashes.extend(code_hash(user, &code)?);
        codes.push(code);
    }
    Ok((codes, hashes))
}

/// The hash of what a person typed as a recovery code, if it can be one.
pub(super) fn code_hash(user: &User, typed: &str) -> Result<Option<TokenHash>> {
    let hash = recovery_hash(user.id.as_str(), typed);
    hash.map(|hash| TokenHash::new(hash.as_str()).map_err(AccessError::name("a recovery code"))).transpose()
}
