//! The relying party: this server, which relies on what an issuer says.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::OidcError;
use crate::fetch::{address, client, get, get_by, post};
use crate::keys::{KeySet, Signed};
use crate::token::{Expected, Token};

/// Random bytes of a login: for the state, the nonce and the verifier.
pub const RANDOM_BYTES: usize = 96;
/// What the issuer says of itself is read again after this many seconds.
const KNOWN_FOR_SECONDS: u64 = 3600;
/// Keys are read again after this many seconds if one is missing: a stranger's token must not make this server ask all the
/// time.
const KEYS_AGAIN_SECONDS: u64 = 30;
/// Groups of a person that are taken, at most.
const GROUPS_MAX: usize = 1000;

/// The issuer, and how it knows this server.
pub struct Provider {
    /// Its address, as it calls itself.
    pub issuer: String,
    /// This server's name there.
    pub client_id: String,
    /// And its password.
    pub client_secret: Zeroizing<String>,
    /// To where it sends browsers back: an address of this server.
    pub redirect: String,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// Where groups are in what it says.
    pub groups_claim: String,
    /// Authorities of its certificate, besides those of the system: PEM.
    pub authorities: Option<String>,
}

/// A login that has begun: what its browser keeps.
pub struct Pending(Zeroizing<[u8; RANDOM_BYTES]>);

impl Pending {
    /// For a cookie that only this server reads, over a protected connection, for ten minutes.
    #[must_use]
    pub fn to_cookie(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64URL_NOPAD.encode(&*self.0))
    }

    /// From that cookie.
    #[must_use]
    pub fn from_cookie(text: &str) -> Option<Self> {
        if text.len() != RANDOM_BYTES / 3 * 4 {
            return None;
        }
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    fn part(&self, which: usize) -> Zeroizing<String> {
        let third = RANDOM_BYTES / 3;
        Zeroizing::new(BASE64URL_NOPAD.encode(&self.0[which * third..(which + 1) * third]))
    }

    fn state(&self) -> Zeroizing<String> {
        self.part(0)
    }

    fn nonce(&self) -> Zeroizing<String> {
        self.part(1)
    }

    fn verifier(&self) -> Zeroizing<String> {
        self.part(2)
    }
}

/// A login that begins.
pub struct Begun {
    /// To where the browser goes.
    pub address: String,
    /// What it keeps.
    pub pending: Pending,
}

/// What the browser brings back in the query. It can't be printed: its code is a secret until it is used.
#[derive(Clone, Default)]
pub struct Returned {
    /// The code.
    pub code: Option<String>,
    /// The state.
    pub state: Option<String>,
    /// Which issuer it comes from (RFC 9207).
    pub issuer: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

/// Who someone is, as the issuer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer.
    pub issuer: String,
    /// What it calls the person, for ever.
    pub subject: String,
    /// The name for signing in there, if it says one. It can change, and belong to someone else later.
    pub user_name: Option<String>,
    /// The name for people.
    pub display: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Tokens {
    id_token: String,
    #[serde(default)]
    access_token: Option<String>,
}

#[derive(Default)]
struct Known {
    metadata: Option<(u64, Metadata)>,
    keys: Option<(u64, KeySet)>,
}

/// This server, which relies on what an issuer says.
pub struct RelyingParty {
    provider: Provider,
    client: Client,
    known: Mutex<Known>,
}

impl RelyingParty {
    /// Nothing is asked of the issuer yet.
    ///
    /// # Errors
    /// An address isn't protected, or certificates can't be read.
    pub fn new(provider: Provider) -> Result<Self, OidcError> {
        address("the issuer", &provider.issuer)?;
        address("the address of this server", &provider.redirect)?;
        let client = client(provider.authorities.as_deref())?;
        Ok(Self { provider, client, known: Mutex::default() })
    }

    /// Begins a login. `now` are seconds since the beginning of 1970.
    ///
    /// # Errors
    /// The issuer can't be asked, or is another one.
    pub async fn begin(&self, random: [u8; RANDOM_BYTES], now: u64) -> Result<Begun, OidcError> {
        let pending = Pending(Zeroizing::new(random));
        let metadata = self.metadata(now).await?;
        let mut url = address("the issuer's address for logins", &metadata.authorization_endpoint)?;
        let challenge = digest(&SHA256, pending.verifier().as_bytes());
        let mut scopes = vec!["openid"];
        scopes.extend(self.provider.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid"));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.provider.client_id)
            .append_pair("redirect_uri", &self.provider.redirect)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", &pending.state())
            .append_pair("nonce", &pending.nonce())
            .append_pair("code_challenge", &BASE64URL_NOPAD.encode(challenge.as_ref()))
            .append_pair("code_challenge_method", "S256");
        Ok(Begun { address: url.into(), pending })
    }

    /// Ends a login: who someone is. `now` are seconds since the beginning of 1970.
    ///
    /// # Errors
    /// It is another login, the issuer says no or can't be asked, or its token can't be trusted.
    pub async fn finish(
        &self,
        pending: &Pending,
        returned: &Returned,
        now: u64,
    ) -> Result<Identity, OidcError> {
        // First of all: nothing that a stranger has put together is looked at further.
        if returned.state.as_deref() != Some(pending.state().as_str()) {
            return Err(OidcError::AnotherLogin);
        }
        let metadata = self.metadata(now).await?;
        match &returned.issuer {
            Some(issuer) if *issuer != self.provider.issuer => return Err(OidcError::AnotherLogin),
            None if metadata.authorization_response_iss_parameter_supported => {
                return Err(OidcError::AnotherLogin);
            }
            _ => {}
        }
        if let Some(error) = &returned.error {
            let plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
            let reason = error.chars().filter(plain).take(64).collect();
            return Err(OidcError::Denied { reason });
        }
        let code = returned.code.as_deref().ok_or(OidcError::AnotherLogin)?;
        let tokens = self.exchange(&metadata, code, pending).await?;
        let read = Token::read(&tokens.id_token)?;
        self.check_signature(&read, &metadata, now).await?;
        let expected = Expected {
            issuer: &self.provider.issuer,
            client: &self.provider.client_id,
            nonce: &pending.nonce(),
            now,
        };
        let (subject, mut claims) = read.claims(&expected)?;
        if let (true, Some(access)) = (self.says_too_little(&claims), &tokens.access_token) {
            self.ask_more(&metadata, access, &subject, &mut claims).await?;
        }
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Identity {
            issuer: self.provider.issuer.clone(),
            subject,
            user_name: text("preferred_username").or_else(|| text("email")),
            display: text("name"),
            groups: groups(&claims, &self.provider.groups_claim),
        })
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        code: &str,
        pending: &Pending,
    ) -> Result<Tokens, OidcError> {
        let url = address("the issuer's address for tokens", &metadata.token_endpoint)?;
        let Provider { client_id, client_secret, redirect, .. } = &self.provider;
        let verifier = pending.verifier();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect.as_str()),
            ("code_verifier", verifier.as_str()),
        ];
        let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
        // What holds if the issuer says nothing.
        let basic = methods.is_none_or(|methods| methods.iter().any(|one| one == "client_secret_basic"));
        let user = if basic {
            Some((client_id.as_str(), client_secret.as_str()))
        } else {
            fields.extend([("client_id", client_id.as_str()), ("client_secret", client_secret.as_str())]);
            None
        };
        post(&self.client, &url, "the ID token", user, &fields).await
    }

    /// Whether an ID token lacks something that is used here: some issuers put little into it.
    fn says_too_little(&self, claims: &Map<String, Value>) -> bool {
        let lacks = |name: &str| claims.get(name).is_none_or(Value::is_null);
        lacks(&self.provider.groups_claim) || lacks("name") || (lacks("preferred_username") && lacks("email"))
    }

    /// Adds what the issuer says of the person who has this access token, which is of no use afterwards. What the ID token
    /// says stays: that is signed. Nothing happens if the issuer has no address for it.
    async fn ask_more(
        &self,
        metadata: &Metadata,
        access: &str,
        subject: &str,
        claims: &mut Map<String, Value>,
    ) -> Result<(), OidcError> {
        let Some(endpoint) = &metadata.userinfo_endpoint else { return Ok(()) };
        let url = address("the issuer's address for what it knows of people", endpoint)?;
        let more: Map<String, Value> =
            get_by(&self.client, &url, "what it knows of a person", access).await?;
        // OpenID Connect Core, section 5.3.2: else it may be another person's access token.
        if more.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(OidcError::AnotherPerson);
        }
        for (name, value) in more {
            let said = claims.entry(name).or_insert(Value::Null);
            if said.is_null() {
                *said = value;
            }
        }
        Ok(())
    }

    async fn check_signature(
        &self,
        token: &Token<'_>,
        metadata: &Metadata,
        now: u64,
    ) -> Result<(), OidcError> {
        let url = address("the issuer's address for keys", &metadata.jwks_uri)?;
        let known = self.known(|known| known.keys.clone());
        let (read, keys) = match known.filter(|(read, _)| is_fresh(*read, now, KNOWN_FOR_SECONDS)) {
            Some(known) => known,
            None => (now, self.read_keys(&url, now).await?),
        };
        let mut signed = token.signed_by(&keys);
        if signed == Signed::NoKey && !is_fresh(read, now, KEYS_AGAIN_SECONDS) {
            signed = token.signed_by(&self.read_keys(&url, now).await?);
        }
        match signed {
            Signed::Yes => Ok(()),
            Signed::No => Err(OidcError::Token { problem: "its signature is wrong" }),
            Signed::NoKey => {
                Err(OidcError::Token { problem: "it is signed by a key that the issuer doesn't have" })
            }
        }
    }

    async fn read_keys(&self, url: &Url, now: u64) -> Result<KeySet, OidcError> {
        let keys: KeySet = get(&self.client, url, "its keys").await?;
        self.known(|known| known.keys = Some((now, keys.clone())));
        Ok(keys)
    }

    async fn metadata(&self, now: u64) -> Result<Metadata, OidcError> {
        let known = self.known(|known| known.metadata.clone());
        if let Some((_, metadata)) = known.filter(|(read, _)| is_fresh(*read, now, KNOWN_FOR_SECONDS)) {
            return Ok(metadata);
        }
        let issuer = self.provider.issuer.trim_end_matches('/');
        let url = address("the issuer", &format!("{issuer}/.well-known/openid-configuration"))?;
        let metadata: Metadata = get(&self.client, &url, "what it offers").await?;
        if metadata.issuer != self.provider.issuer {
            let expected = self.provider.issuer.clone();
            return Err(OidcError::AnotherIssuer { found: metadata.issuer, expected });
        }
        self.known(|known| known.metadata = Some((now, metadata.clone())));
        Ok(metadata)
    }

    fn known<T>(&self, doing: impl FnOnce(&mut Known) -> T) -> T {
        doing(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether something that was read then is new enough; a clock that was set back makes it old.
fn is_fresh(read: u64, now: u64, seconds: u64) -> bool {
    now.checked_sub(read).is_some_and(|age| age < seconds)
}

fn groups(claims: &Map<String, Value>, claim: &str) -> Vec<String> {
    match claims.get(claim) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => {
            all.iter().filter_map(Value::as_str).take(GROUPS_MAX).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}
