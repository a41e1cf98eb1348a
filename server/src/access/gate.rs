//! Signing in, and finding out at each request who it is from.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keepfast_access::authority::Authority;
use keepfast_access::factor::CodeSecret;
use keepfast_access::grant;
use keepfast_access::name::user_name;
use keepfast_access::password;
use keepfast_access::session::SessionPolicy;
use keepfast_access::throttle::{Admission, Attempt, Guess, Throttle};
use keepfast_access::token::{Token, TokenKind};
use keepfast_store::{
    ApiToken, Label, NewSession, Session, SessionNumber, SignIn, Store, StoredSecret, TokenHash, User,
    UserName, UtcTime,
};
use serde_json::json;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::actor::Actor;
use super::error::Result;
use super::factors::code_hash;
use super::users::{hash_of, object};
use super::{hashed, in_turn, moment, random};
use crate::state::now;

/// Logins whose passwords wait to be compared, at most. A login that is refused for this is told so at once.
const WAITING_MAX: usize = 32;
/// The same from browsers in which someone has signed in before: strangers, however many, leave these places free.
const KNOWN_WAITING_MAX: usize = 32;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The address.
    pub address: IpAddr,
    /// What the program calls itself.
    pub agent: &'a str,
}

/// What a person signs in with.
pub struct Credentials<'a> {
    /// The user's name.
    pub name: &'a str,
    /// The password.
    pub password: Zeroizing<String>,
    /// A code of the second factor, or a recovery code.
    pub code: Option<&'a str>,
    /// The cookie by which the browser is known.
    pub device: Option<&'a str>,
}

/// A person who has signed in.
pub struct SignedIn {
    /// The user.
    pub user: User,
    /// The session.
    pub session: SessionNumber,
    /// The secret of the session, for a cookie.
    pub token: Zeroizing<String>,
    /// When the session ends, however it is used.
    pub expires: UtcTime,
    /// The cookie by which the browser is known from now on, if it wasn't.
    pub device: Option<Zeroizing<String>>,
}

/// Why a login is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInRefusal {
    /// The name, the password or the code is wrong; which one isn't said.
    Wrong,
    /// The password is right, and a code is needed too.
    CodeNeeded,
    /// There were too many attempts.
    Wait(Duration),
    /// The server compares too many passwords already.
    Busy,
}

/// Who a request is from.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user, as of now.
    pub user: User,
    /// What the sender may do, as of now.
    pub authority: Authority,
    /// By what it is known.
    pub proof: Proof,
    /// How the audit names the sender.
    pub actor: Actor,
}

/// By what the sender of a request is known.
#[derive(Debug, Clone)]
pub enum Proof {
    /// A session of a person.
    Session(Session),
    /// A token of the API.
    Token(ApiToken),
}

impl Caller {
    /// Whether the person has to show a password or a code again before something dangerous. A token needs no such proof:
    /// it was given its rights.
    #[must_use]
    pub fn needs_proof(&self, policy: &SessionPolicy) -> bool {
        match &self.proof {
            Proof::Session(session) => policy.needs_proof(moment(session.authenticated), moment(now())),
            Proof::Token(_) => false,
        }
    }
}

/// What logins of one server go through.
pub struct Gate {
    store: Store,
    policy: SessionPolicy,
    throttle: Mutex<Throttle>,
    began: Instant,
    waiting: Arc<Semaphore>,
    known_waiting: Arc<Semaphore>,
}

impl Gate {
    /// The gate of a server. What it knows of attempts is its own.
    #[must_use]
    pub fn new(store: Store, policy: SessionPolicy) -> Self {
        Self {
            store,
            policy,
            throttle: Mutex::default(),
            began: Instant::now(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            known_waiting: Arc::new(Semaphore::new(KNOWN_WAITING_MAX)),
        }
    }

    /// How long sessions last.
    #[must_use]
    pub fn policy(&self) -> &SessionPolicy {
        &self.policy
    }

    /// Signs a person in.
    pub async fn sign_in(
        &self,
        shown: Credentials<'_>,
        from: Surroundings<'_>,
    ) -> Result<Result<SignedIn, SignInRefusal>> {
        // A name that can't be one is guessed at like any other.
        let cut = &shown.name[..shown.name.floor_char_boundary(64)];
        let name = user_name(shown.name).unwrap_or_else(|_| cut.to_owned());
        let known = match UserName::new(name.as_str()) {
            Ok(known) => self.store.sign_in(&known).await?,
            Err(_) => None,
        };
        let device = self.known_device(known.as_ref(), shown.device).await?;
        let attempt = |guess| Attempt {
            account: &name,
            address: from.address,
            device: device.as_ref().map(TokenHash::as_str),
            guess,
        };
        if let Some(refusal) = self.admit(&attempt(Guess::Password), &name, from).await? {
            return Ok(Err(refusal));
        }
        let waiting = if device.is_some() { &self.known_waiting } else { &self.waiting };
        let Ok(_place) = Arc::clone(waiting).try_acquire_owned() else {
            // It wasn't tried.
            self.succeeded(&attempt(Guess::Password));
            return Ok(Err(SignInRefusal::Busy));
        };
        let able = known.filter(|known| known.user.disabled.is_none());
        let stored = able.as_ref().and_then(|able| able.password.clone());
        let compared = self.compare(shown.password.clone(), stored.clone()).await?;
        let Some(able) = able.filter(|_| compared.is_right) else {
            self.note_refusal(&name, from, "password").await?;
            return Ok(Err(SignInRefusal::Wrong));
        };
        self.succeeded(&attempt(Guess::Password));
        if let (true, Some(old)) = (compared.is_outdated, stored) {
            let new = hashed(shown.password).await?;
            self.store.replace_password_hash(&able.user.id, &old, &new).await?;
        }
        if let Some(secret) = &able.totp {
            let Some(code) = shown.code else { return Ok(Err(SignInRefusal::CodeNeeded)) };
            if let Some(refusal) = self.admit(&attempt(Guess::Code), &name, from).await? {
                return Ok(Err(refusal));
            }
            if !self.use_code(&able.user, secret, code, from).await? {
                self.note_refusal(&name, from, "code").await?;
                return Ok(Err(SignInRefusal::Wrong));
            }
            self.succeeded(&attempt(Guess::Code));
        }
        let signed_in = self.begin(able.user, device.is_some(), from).await?;
        Ok(signed_in.ok_or(SignInRefusal::Wrong))
    }

    /// Begins a session of a user who is known in another way: the first user, or one whom an issuer of OpenID Connect
    /// knows. Nothing if the user is disabled.
    pub async fn begin_session(&self, user: User, from: Surroundings<'_>) -> Result<Option<SignedIn>> {
        self.begin(user, false, from).await
    }

    /// Whose session has this secret.
    pub async fn session(&self, text: &str, address: IpAddr) -> Result<Option<Caller>> {
        let Some(token) = Token::parse(TokenKind::Session, text) else { return Ok(None) };
        let now = now();
        let found = self.store.use_session(now, &hash_of(&token)?, self.policy.idle).await?;
        Ok(found.map(|(session, user)| Caller {
            authority: Authority::of_user(grant::from_document(&user.grants)),
            actor: Actor::user(user.name.as_str(), &address.to_string()),
            proof: Proof::Session(session),
            user,
        }))
    }

    /// Whose token of the API this is.
    pub async fn token(&self, text: &str, address: IpAddr) -> Result<Option<Caller>> {
        let Some(token) = Token::parse(TokenKind::Api, text) else { return Ok(None) };
        let origin = address.to_string();
        let found = self.store.use_token(now(), &hash_of(&token)?, &Label::from(origin.as_str())).await?;
        Ok(found.map(|(token, user)| Caller {
            authority: Authority::of_token(
                grant::from_document(&user.grants),
                grant::from_document(&token.grants),
            ),
            actor: Actor::token(token.name.as_str(), user.name.as_str(), &origin),
            proof: Proof::Token(token),
            user,
        }))
    }

    /// Ends the session with this secret; nothing if it is over.
    pub async fn sign_out(&self, text: &str, address: IpAddr) -> Result<()> {
        let Some(Caller { user, proof: Proof::Session(session), actor, .. }) =
            self.session(text, address).await?
        else {
            return Ok(());
        };
        let note = actor.note(now(), "session.end", &object(&user.name), None, None);
        self.store.end_session(&user.id, session.number, &note).await?;
        Ok(())
    }

    /// The person of a session shows who they are again: by a code where there is a second factor, else by the password.
    pub async fn prove_again(
        &self,
        caller: &Caller,
        shown: Zeroizing<String>,
        from: Surroundings<'_>,
    ) -> Result<Result<(), SignInRefusal>> {
        let Proof::Session(session) = &caller.proof else { return Ok(Err(SignInRefusal::Wrong)) };
        let name = caller.user.name.as_str();
        let Some(facts) = self.store.sign_in(&caller.user.name).await? else {
            return Ok(Err(SignInRefusal::Wrong));
        };
        // Who has a session can't lock its user out, nor be locked out by others: each session is counted by itself.
        let number = serde_json::to_string(&session.number).unwrap_or_default();
        let guess = if facts.totp.is_some() { Guess::Code } else { Guess::Password };
        let attempt = Attempt { account: name, address: from.address, device: Some(&number), guess };
        if let Some(refusal) = self.admit(&attempt, name, from).await? {
            return Ok(Err(refusal));
        }
        let is_right = match &facts.totp {
            Some(secret) => self.use_code(&facts.user, secret, &shown, from).await?,
            None => self.compare(shown, facts.password).await?.is_right,
        };
        if !is_right {
            self.note_refusal(name, from, "proof").await?;
            return Ok(Err(SignInRefusal::Wrong));
        }
        self.succeeded(&attempt);
        let now = now();
        let note = caller.actor.note(now, "session.prove", &object(&caller.user.name), None, None);
        let is_there = self.store.authenticate_again(now, session.number, &note).await?;
        Ok(if is_there { Ok(()) } else { Err(SignInRefusal::Wrong) })
    }

    async fn begin(
        &self,
        user: User,
        is_known_device: bool,
        from: Surroundings<'_>,
    ) -> Result<Option<SignedIn>> {
        let token = Token::from_random(TokenKind::Session, random()?);
        let device = match is_known_device {
            true => None,
            false => Some(Token::from_random(TokenKind::Device, random()?)),
        };
        let now = now();
        let expires = now.plus(self.policy.absolute);
        let until = now.plus(self.policy.device);
        let device_hash = device.as_ref().map(hash_of).transpose()?;
        let origin = from.address.to_string();
        let new = NewSession {
            hash: hash_of(&token)?,
            user: user.id.clone(),
            expires,
            origin: Label::from(origin.as_str()),
            agent: Label::from(from.agent),
            device: device_hash.map(|hash| (hash, until)),
        };
        let by = Actor::user(user.name.as_str(), &origin);
        let after = json!({ "agent": new.agent, "known_browser": is_known_device });
        let note = by.note(now, "session.begin", &object(&user.name), None, Some(after));
        let Some(session) = self.store.begin_session(now, &new, &note).await? else { return Ok(None) };
        let device = device.map(|device| device.text());
        Ok(Some(SignedIn { user, session, token: token.text(), expires, device }))
    }

    /// The hash of the browser's cookie, if the user has signed in with it before.
    async fn known_device(&self, known: Option<&SignIn>, shown: Option<&str>) -> Result<Option<TokenHash>> {
        let token = shown.and_then(|shown| Token::parse(TokenKind::Device, shown));
        let (Some(known), Some(token)) = (known, token) else { return Ok(None) };
        let hash = hash_of(&token)?;
        let is_known = self.store.is_known_device(now(), &hash, &known.user.id).await?;
        Ok(is_known.then_some(hash))
    }

    /// Counts an attempt; the refusal, if there were too many. The first one that is refused is in the audit, the others
    /// aren't: their number is the attacker's choice.
    async fn admit(
        &self,
        attempt: &Attempt<'_>,
        name: &str,
        from: Surroundings<'_>,
    ) -> Result<Option<SignInRefusal>> {
        let admission = {
            let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
            throttle.admit(attempt, self.began.elapsed())
        };
        let Admission::Refused { wait, is_first } = admission else { return Ok(None) };
        if is_first {
            self.note_refusal(name, from, "too many attempts").await?;
        }
        Ok(Some(SignInRefusal::Wait(wait)))
    }

    fn succeeded(&self, attempt: &Attempt<'_>) {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded(attempt);
    }

    async fn compare(
        &self,
        shown: Zeroizing<String>,
        stored: Option<StoredSecret>,
    ) -> Result<password::Compared> {
        let comparing = move || password::compare(&shown, stored.as_ref().map(StoredSecret::reveal));
        Ok(in_turn(comparing).await??)
    }

    /// Uses a code of the second factor or a recovery code up.
    async fn use_code(
        &self,
        user: &User,
        secret: &StoredSecret,
        code: &str,
        from: Surroundings<'_>,
    ) -> Result<bool> {
        let now = now();
        let secret = CodeSecret::from_stored(secret.reveal())?;
        if let Some(step) = secret.step_of(code, moment(now).as_seconds()) {
            return Ok(self.store.use_totp_step(&user.id, step).await?);
        }
        let Some(hash) = code_hash(user, code)? else { return Ok(false) };
        let by = Actor::user(user.name.as_str(), &from.address.to_string());
        let note = by.note(now, "user.recovery_code_used", &object(&user.name), None, None);
        Ok(self.store.use_recovery_code(now, &user.id, &hash, &note).await?)
    }

    async fn note_refusal(&self, name: &str, from: Surroundings<'_>, why: &str) -> Result<()> {
        let by = Actor::stranger(&from.address.to_string());
        let after = json!({ "because": why });
        let note = by.note(now(), "session.refuse", &format!("user:{name}"), None, Some(after));
        Ok(self.store.audit(&note).await?)
    }
}
