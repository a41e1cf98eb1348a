//! What knows users: signing in and out, the first user, sessions and tokens.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::request::Parts;
use jiff::Timestamp;
use keepfast_access::factor::{self, CodeSecret};
use keepfast_access::grant::{self, Grant};
use keepfast_access::moment::Moment;
use keepfast_access::name::user_name;
use keepfast_access::password::{self, Compared, SALT_BYTES};
use keepfast_access::session::SessionPolicy;
use keepfast_access::throttle::{Admission, Attempt, Guess, Throttle};
use keepfast_access::token::{TOKEN_BYTES, Token, TokenKind};
use keepfast_api::error::ErrorCode;
use keepfast_api::session::{Proof, Setup, SignIn};
use keepfast_server::state::{random_name, stored};
use keepfast_store::{
    AuditAction, AuditNote, Label, NewSession, NewUser, Store, StoredSecret, TokenHash, User, UserAdded,
    UserId, UserName, UtcTime,
};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{By, Caller};
use crate::answer::{Failure, Result};

/// Passwords that are computed at once: each takes 19 MiB.
const HASHING_MAX: usize = 2;
/// How long a sign-in waits for its turn.
const HASHING_WITHIN: Duration = Duration::from_secs(10);

/// From where a request comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct From {
    /// The address; nothing over a socket in the file system.
    pub address: Option<IpAddr>,
    /// What the program calls itself.
    pub agent: String,
}

impl From {
    /// That of a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// As it is recorded.
    #[must_use]
    pub fn label(&self) -> Label {
        self.address.map_or_else(|| Label::from("local"), |address| Label::from(address.to_string()))
    }
}

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self::of(&parts.extensions))
    }
}

/// A user who has just signed in.
pub struct SignedIn {
    /// The secret of the session.
    pub session: Zeroizing<String>,
    /// The secret by which the browser is known from now on.
    pub device: Zeroizing<String>,
    /// The user.
    pub caller: Caller,
}

/// What knows users.
pub struct Gate {
    store: Store,
    throttle: Mutex<Throttle>,
    hashing: Semaphore,
    /// Since when attempts are counted: by a clock that never jumps.
    since: Instant,
}

impl Gate {
    /// That of a state.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            throttle: Mutex::new(Throttle::new()),
            hashing: Semaphore::new(HASHING_MAX),
            since: Instant::now(),
        }
    }

    /// Whether there are no users yet.
    ///
    /// # Errors
    /// The state can't be read.
    pub async fn needs_setup(&self) -> Result<bool> {
        Ok(!self.store.has_users().await?)
    }

    /// The user of a session.
    ///
    /// # Errors
    /// The state can't be read.
    pub async fn session(&self, secret: &str, from: &From, now: Timestamp) -> Result<Option<Caller>> {
        let Some(token) = Token::parse(TokenKind::Session, secret) else { return Ok(None) };
        let used = self.store.use_session(stored(now), &hash(&token)?, SessionPolicy::USUAL.idle).await?;
        let known = used.filter(|(session, _)| !is_over(session.created, session.seen, now));
        Ok(known.map(|(session, user)| Caller::new(user, By::Session(session), from.label(), now)))
    }

    /// The user of a token of the API.
    ///
    /// # Errors
    /// The state can't be read.
    pub async fn token(&self, secret: &str, from: &From, now: Timestamp) -> Result<Option<Caller>> {
        let Some(token) = Token::parse(TokenKind::Api, secret) else { return Ok(None) };
        let used = self.store.use_token(stored(now), &hash(&token)?, &from.label()).await?;
        Ok(used.map(|(token, user)| Caller::new(user, By::Token(token), from.label(), now)))
    }

    /// Makes the first user with the token that the server has printed, and signs that user in.
    ///
    /// # Errors
    /// The token is wrong or used, there are users, or name or password can't be ones.
    pub async fn set_up(&self, setup: Setup, from: &From, now: Timestamp) -> Result<SignedIn> {
        let unprocessable = |why: &dyn std::fmt::Display| Failure::unprocessable(&why.to_string());
        let name = user_name(&setup.user).map_err(|fault| unprocessable(&fault))?;
        password::check(&setup.password, &name).map_err(|fault| unprocessable(&fault))?;
        let token = Token::parse(TokenKind::Setup, &setup.token).ok_or_else(wrong)?;
        self.admit("", from, None, Guess::Password)?;
        let new = NewUser {
            id: UserId::new(random_name()?)?,
            name: UserName::new(&*name)?,
            display: Label::from(&*setup.user),
            grants: grant::to_document(&[Grant::everything()]),
            is_admin: true,
            password: Some(self.hash_password(setup.password).await?),
        };
        let note = note(now, &format!("user {name}"), from, "user.set_up", &format!("user:{name}"))?;
        match self.store.set_up(stored(now), &hash(&token)?, &new, &note).await? {
            UserAdded::Added(user) => self.begin(user, from, None, now).await,
            UserAdded::NotFirst => Err(Failure::new(ErrorCode::AlreadySetUp, "Sign in as one of the users.")),
            UserAdded::NoToken => Err(wrong()),
            UserAdded::NameTaken | UserAdded::TooMany => {
                Err(Failure::unprocessable("the user can't be added"))
            }
        }
    }

    /// Signs a user in. `device` is the secret of the browser's own cookie.
    ///
    /// # Errors
    /// User, password or code is wrong, a code is needed, or there were too many attempts.
    pub async fn sign_in(
        &self,
        form: SignIn,
        device: Option<&str>,
        from: &From,
        now: Timestamp,
    ) -> Result<SignedIn> {
        let SignIn { user: typed, password, code } = form;
        // A name that can't be one has no user, and is answered as late as any other.
        let name = user_name(&typed).unwrap_or_default();
        let found = match UserName::new(&*name) {
            Ok(name) => self.store.sign_in(&name).await?,
            Err(_) => None,
        };
        let device = device.and_then(|device| Token::parse(TokenKind::Device, device));
        let device = device.as_ref().map(hash).transpose()?;
        let device = match (&found, device) {
            (Some(found), Some(device)) => {
                let is_known = self.store.is_known_device(stored(now), &device, &found.user.id).await?;
                Some(device).filter(|_| is_known)
            }
            _ => None,
        };
        self.throttled(&name, from, device.as_ref(), Guess::Password, now).await?;
        let stored_hash = found.as_ref().and_then(|found| found.password.clone());
        let compared = self.compare(password.clone(), stored_hash.clone()).await?;
        let Some(found) = found.filter(|found| compared.is_right && found.user.disabled.is_none()) else {
            return Err(self.refused(&name, from, now).await?);
        };
        if let Some(totp) = &found.totp {
            let code = code.ok_or_else(|| {
                Failure::new(ErrorCode::SecondFactorNeeded, "Send the code that your device shows as `code`.")
            })?;
            self.throttled(&name, from, device.as_ref(), Guess::Code, now).await?;
            if !self.uses_code(&found.user, totp, &code, from, now).await? {
                return Err(self.refused(&name, from, now).await?);
            }
            self.succeeded(&name, from, device.as_ref(), Guess::Code);
        }
        self.succeeded(&name, from, device.as_ref(), Guess::Password);
        if let Some(old) = stored_hash.filter(|_| compared.is_outdated) {
            let new = self.hash_password(password).await?;
            self.store.replace_password_hash(&found.user.id, &old, &new).await?;
        }
        self.begin(found.user, from, device, now).await
    }

    /// The user of a session shows the password again.
    ///
    /// # Errors
    /// It is wrong, or there were too many attempts; or a token asks.
    pub async fn prove(&self, caller: &Caller, proof: Proof, from: &From, now: Timestamp) -> Result<()> {
        let By::Session(session) = caller.by() else {
            return Err(Failure::unprocessable("a token has no password"));
        };
        let name = caller.name().to_string();
        self.throttled(&name, from, None, Guess::Password, now).await?;
        let stored_hash = self.store.sign_in(caller.name()).await?.and_then(|found| found.password);
        if !self.compare(proof.password, stored_hash).await?.is_right {
            return Err(self.refused(&name, from, now).await?);
        }
        self.succeeded(&name, from, None, Guess::Password);
        let note = caller.note("session.prove", &format!("user:{name}"), None, None)?;
        match self.store.authenticate_again(stored(now), session.number, &note).await? {
            true => Ok(()),
            false => Err(super::not_signed_in()),
        }
    }

    /// Ends the caller's session.
    ///
    /// # Errors
    /// The state can't be written.
    pub async fn sign_out(&self, caller: &Caller) -> Result<()> {
        if let By::Session(session) = caller.by() {
            let note = caller.note("session.end", &format!("user:{}", caller.name()), None, None)?;
            self.store.end_session(&caller.user().id, session.number, &note).await?;
        }
        Ok(())
    }

    async fn begin(
        &self,
        user: User,
        from: &From,
        device: Option<TokenHash>,
        now: Timestamp,
    ) -> Result<SignedIn> {
        let session = Token::from_random(TokenKind::Session, random()?);
        let browser = Token::from_random(TokenKind::Device, random()?);
        let policy = SessionPolicy::USUAL;
        let moment = Moment::from_micros(stored(now).as_micros());
        let at = |length: Duration| UtcTime::from_micros(moment.plus(length).as_micros());
        let new = NewSession {
            hash: hash(&session)?,
            user: user.id.clone(),
            expires: at(policy.absolute),
            origin: from.label(),
            agent: Label::from(&*from.agent),
            device: Some((hash(&browser)?, at(policy.device))),
        };
        let by_known_browser = if device.is_some() { " by a known browser" } else { "" };
        let who = format!("user {}{by_known_browser}", user.name);
        let note = note(now, &who, from, "session.begin", &format!("user:{}", user.name))?;
        // Who is disabled at this moment has no session.
        self.store.begin_session(stored(now), &new, &note).await?.ok_or_else(wrong)?;
        let secret = session.text();
        let caller = self.session(&secret, from, now).await?.ok_or_else(super::not_signed_in)?;
        Ok(SignedIn { session: secret, device: browser.text(), caller })
    }

    /// Whether a code of the device or a recovery code is right; it is used up.
    async fn uses_code(
        &self,
        user: &User,
        totp: &StoredSecret,
        code: &str,
        from: &From,
        now: Timestamp,
    ) -> Result<bool> {
        let secret = CodeSecret::from_stored(totp.reveal()).map_err(|error| Failure::internal(&error))?;
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        if let Some(step) = secret.step_of(code, seconds) {
            return Ok(self.store.use_totp_step(&user.id, step).await?);
        }
        let Some(recovery) = factor::recovery_hash(user.id.as_str(), code) else { return Ok(false) };
        let name = &user.name;
        let note = note(now, &format!("user {name}"), from, "recovery_code.use", &format!("user:{name}"))?;
        Ok(self.store.use_recovery_code(stored(now), &user.id, &TokenHash::new(recovery)?, &note).await?)
    }

    /// Counts an attempt, and records it if it is the first one that comes too early.
    async fn throttled(
        &self,
        account: &str,
        from: &From,
        device: Option<&TokenHash>,
        guess: Guess,
        now: Timestamp,
    ) -> Result<()> {
        match self.admit(account, from, device, guess) {
            Ok(()) => Ok(()),
            Err(Refused { failure, is_first }) => {
                if is_first {
                    let note = note(now, "stranger", from, "session.throttle", &format!("user:{account}"))?;
                    self.store.audit(&note).await?;
                }
                Err(failure)
            }
        }
    }

    fn admit(
        &self,
        account: &str,
        from: &From,
        device: Option<&TokenHash>,
        guess: Guess,
    ) -> std::result::Result<(), Refused> {
        let attempt = attempt(account, from, device, guess);
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        match throttle.admit(&attempt, self.since.elapsed()) {
            Admission::Admitted => Ok(()),
            Admission::Refused { wait, is_first } => {
                let seconds = wait.as_secs().saturating_add(1);
                let failure = Failure::new(
                    ErrorCode::TooManyRequests,
                    format!("There were too many attempts. Try again in {seconds} s."),
                );
                Err(Refused { failure: failure.retry_after_s(seconds), is_first })
            }
        }
    }

    fn succeeded(&self, account: &str, from: &From, device: Option<&TokenHash>, guess: Guess) {
        let attempt = attempt(account, from, device, guess);
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded(&attempt);
    }

    async fn refused(&self, account: &str, from: &From, now: Timestamp) -> Result<Failure> {
        let note = note(now, "stranger", from, "session.refuse", &format!("user:{account}"))?;
        self.store.audit(&note).await?;
        Ok(wrong())
    }

    /// The hash of a password. It takes memory and time, so that few are computed at once.
    ///
    /// # Errors
    /// There are too many others, or no memory.
    pub async fn hash_password(&self, password: String) -> Result<StoredSecret> {
        let mut salt = [0; SALT_BYTES];
        fill(&mut salt)?;
        self.compute(move || password::hash(&password, salt)).await.map(StoredSecret::from)
    }

    async fn compare(&self, password: String, stored: Option<StoredSecret>) -> Result<Compared> {
        self.compute(move || password::compare(&password, stored.as_ref().map(StoredSecret::reveal))).await
    }

    async fn compute<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> std::result::Result<T, password::HashFault> + Send + 'static,
    ) -> Result<T> {
        let busy =
            || Failure::new(ErrorCode::Unavailable, "Many people sign in at this moment.").retry_after_s(5);
        let turn = timeout(HASHING_WITHIN, self.hashing.acquire()).await;
        let _turn = turn.ok().and_then(std::result::Result::ok).ok_or_else(busy)?;
        let computed = spawn_blocking(compute).await.map_err(|error| Failure::internal(&error))?;
        computed.map_err(|error| Failure::internal(&error))
    }
}

struct Refused {
    failure: Failure,
    is_first: bool,
}

impl std::convert::From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        refused.failure
    }
}

fn attempt<'a>(account: &'a str, from: &From, device: Option<&'a TokenHash>, guess: Guess) -> Attempt<'a> {
    let address = from.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Attempt { account, address, device: device.map(TokenHash::as_str), guess }
}

fn is_over(created: UtcTime, seen: UtcTime, now: Timestamp) -> bool {
    let moment = |time: UtcTime| Moment::from_micros(time.as_micros());
    SessionPolicy::USUAL.is_over(moment(created), moment(seen), moment(stored(now)))
}

/// Which of the two is wrong isn't said.
fn wrong() -> Failure {
    Failure::new(ErrorCode::WrongCredentials, "Something of what you sent is wrong.")
}

fn hash(token: &Token) -> Result<TokenHash> {
    Ok(TokenHash::new(token.hash())?)
}

/// Random bytes of a token.
///
/// # Errors
/// The system gives none.
pub fn random() -> Result<[u8; TOKEN_BYTES]> {
    let mut bytes = [0; TOKEN_BYTES];
    fill(&mut bytes)?;
    Ok(bytes)
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| Failure::internal(&keepfast_server::ServerError::Random(error)))
}

fn note(now: Timestamp, who: &str, from: &From, action: &str, object: &str) -> Result<AuditNote> {
    Ok(AuditNote {
        at: stored(now),
        who: Label::from(who),
        origin: from.label(),
        action: AuditAction::new(action)?,
        object: Label::from(object),
        before: None,
        after: None,
    })
}
