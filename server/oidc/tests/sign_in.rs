//! Signing in against a provider that the tests start, which signs what it is told to: one right way, and each lie that a
//! relying party has to notice.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use keepfast_oidc::{Identity, OidcError, Pending, Provider, RANDOM_BYTES, RelyingParty, Returned};
use serde_json::{Value, json};
use zeroize::Zeroizing;

const NOW: u64 = 1_800_000_000;
const CODE: &str = "code/with signs&=";
const ACCESS: &str = "access-token.of~the+person";

/// How a token is signed.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Rs256,
    Ps256,
    Es256,
    Rs512,
    Ps384,
    /// Ed25519.
    EdDsa,
    /// With the client's password.
    Hs256,
    None,
    /// RS256 in name, and a key that no one knows.
    Stranger,
}

/// What the provider does.
struct Ways {
    by: By,
    kid: &'static str,
    /// Changes of the claims; `null` takes one away.
    claims: Value,
    metadata: Value,
    /// The keys that it publishes.
    published: Vec<&'static str>,
    header: Value,
    /// Changes the token at the end.
    bend: fn(String) -> String,
    key_reads: u32,
    /// What it knows of the person, and how often it was asked.
    person: Value,
    person_reads: u32,
    /// What the login asked for.
    nonce: String,
    challenge: String,
}

struct Keys {
    rsa: RsaKeyPair,
    other: RsaKeyPair,
    curve: EcdsaKeyPair,
    edwards: Ed25519KeyPair,
}

#[derive(Clone)]
struct Shared {
    ways: Arc<Mutex<Ways>>,
    keys: Arc<Keys>,
    issuer: String,
}

struct Lab {
    shared: Shared,
    party: RelyingParty,
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

fn rsa_key(kid: &str, pair: &RsaKeyPair) -> Value {
    // In DER: the modulus of 2048 bits behind a zero, then the exponent.
    let public = pair.public_key().as_ref();
    let (modulus, exponent) = (&public[4..], &public[4 + 5 + 256..]);
    assert_eq!((&modulus[..5], exponent), (&[2, 0x82, 1, 1, 0][..], &[2, 3, 1, 0, 1][..]));
    let (n, e) = (encoded(&modulus[5..5 + 256]), encoded(&exponent[2..]));
    json!({ "kty": "RSA", "use": "sig", "kid": kid, "n": n, "e": e })
}

async fn keys_of(State(shared): State<Shared>) -> Json<Value> {
    let mut ways = shared.ways.lock().unwrap();
    ways.key_reads += 1;
    let point = shared.keys.curve.public_key().as_ref();
    let all = ways.published.iter().map(|kid| match *kid {
        "curve" => json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "curve", "x": encoded(&point[1..33]), "y": encoded(&point[33..]),
        }),
        "edwards" => {
            let x = encoded(shared.keys.edwards.public_key());
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "edwards", "x": x })
        }
        "other" => rsa_key("other", &shared.keys.other),
        kid => rsa_key(kid, &shared.keys.rsa),
    });
    // One that this program can't use.
    let strange = json!({"kty": "OKP", "crv": "X", "kid": 7});
    let all: Vec<Value> = [strange].into_iter().chain(all).collect();
    Json(json!({ "keys": all }))
}

async fn metadata_of(State(shared): State<Shared>) -> Json<Value> {
    let mut metadata = json!({
        "issuer": shared.issuer,
        "authorization_endpoint": format!("{}/authorize?tenant=1", shared.issuer),
        "token_endpoint": format!("{}/token", shared.issuer),
        "jwks_uri": format!("{}/keys", shared.issuer),
        "userinfo_endpoint": format!("{}/person", shared.issuer),
    });
    change(&mut metadata, &shared.ways.lock().unwrap().metadata);
    Json(metadata)
}

fn change(document: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        let fields = document.as_object_mut().unwrap();
        match value {
            Value::Null => drop(fields.remove(name)),
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
}

async fn token_of(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Value>, StatusCode> {
    let url = reqwest::Url::parse(&format!("http://x/?{body}")).unwrap();
    let fields: HashMap<_, _> = url.query_pairs().into_owned().collect();
    let ways = shared.ways.lock().unwrap();
    let password = match headers.get("authorization") {
        Some(basic) => {
            let basic = basic.to_str().unwrap().strip_prefix("Basic ").unwrap();
            String::from_utf8(BASE64.decode(basic.as_bytes()).unwrap()).unwrap()
        }
        None => format!("{}:{}", fields["client_id"], fields["client_secret"]),
    };
    // Encoded as a form in the header, as RFC 6749 says; and decoded in the body.
    let is_client = ["keepfast:s%2Fecret%21", "keepfast:s/ecret!"].contains(&password.as_str());
    let challenge = encoded(digest(&SHA256, fields["code_verifier"].as_bytes()));
    let is_ours =
        fields["code"] == CODE && challenge == ways.challenge && fields["grant_type"] == "authorization_code";
    if !is_client || !is_ours {
        return Err(StatusCode::BAD_REQUEST);
    }
    let mut claims = json!({
        "iss": shared.issuer, "sub": "42", "aud": "keepfast", "exp": NOW + 300, "iat": NOW, "nonce": ways.nonce,
        "preferred_username": "ann", "name": "Ann", "groups": ["ops", "staff"],
    });
    change(&mut claims, &ways.claims);
    Ok(Json(
        json!({ "access_token": ACCESS, "token_type": "Bearer", "id_token": signed(&shared.keys, &ways, &claims) }),
    ))
}

async fn person_of(State(shared): State<Shared>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    let mut ways = shared.ways.lock().unwrap();
    ways.person_reads += 1;
    let shown = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let is_allowed = shown == Some(format!("Bearer {ACCESS}")) && !ways.person.is_null();
    if is_allowed { Ok(Json(ways.person.clone())) } else { Err(StatusCode::UNAUTHORIZED) }
}

fn signed(keys: &Keys, ways: &Ways, claims: &Value) -> String {
    let alg = match ways.by {
        By::Rs256 | By::Stranger => "RS256",
        By::Ps256 => "PS256",
        By::Es256 => "ES256",
        By::Rs512 => "RS512",
        By::Ps384 => "PS384",
        By::EdDsa => "EdDSA",
        By::Hs256 => "HS256",
        By::None => "none",
    };
    let mut header = json!({ "alg": alg, "kid": ways.kid });
    change(&mut header, &ways.header);
    let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
    let random = SystemRandom::new();
    let rsa = |pair: &RsaKeyPair, padding| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(padding, &random, message.as_bytes(), &mut signature).unwrap();
        signature
    };
    let signature = match ways.by {
        By::Rs256 => rsa(if ways.kid == "other" { &keys.other } else { &keys.rsa }, &RSA_PKCS1_SHA256),
        By::Stranger => rsa(&keys.other, &RSA_PKCS1_SHA256),
        By::Ps256 => rsa(&keys.rsa, &RSA_PSS_SHA256),
        By::Rs512 => rsa(&keys.rsa, &RSA_PKCS1_SHA512),
        By::Ps384 => rsa(&keys.rsa, &RSA_PSS_SHA384),
        By::EdDsa => keys.edwards.sign(message.as_bytes()).as_ref().to_vec(),
        By::Es256 => keys.curve.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
        By::Hs256 => {
            // With the public key as the secret: what has fooled others.
            let public = keys.rsa.public_key();
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public.as_ref());
            aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        }
        By::None => Vec::new(),
    };
    (ways.bend)(format!("{message}.{}", encoded(signature)))
}

impl Lab {
    async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let random = SystemRandom::new();
        let curve = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let keys = Keys {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            other: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            curve: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, curve.as_ref()).unwrap(),
            edwards: Ed25519KeyPair::generate().unwrap(),
        };
        let ways = Ways {
            by: By::Rs256,
            kid: "first",
            claims: json!({}),
            metadata: json!({}),
            published: vec!["curve", "edwards", "first"],
            header: json!({}),
            bend: |token| token,
            key_reads: 0,
            person: json!({ "sub": "42" }),
            person_reads: 0,
            nonce: String::new(),
            challenge: String::new(),
        };
        let shared =
            Shared { ways: Arc::new(Mutex::new(ways)), keys: Arc::new(keys), issuer: issuer.clone() };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata_of))
            .route("/keys", get(keys_of))
            .route("/token", post(token_of))
            .route("/person", get(person_of))
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let party = RelyingParty::new(provider(&issuer)).unwrap();
        Self { shared, party }
    }

    fn set(&self, change: impl FnOnce(&mut Ways)) {
        change(&mut self.shared.ways.lock().unwrap());
    }

    async fn begin(&self, now: u64) -> (Pending, Returned) {
        let random = [u8::try_from(now % 251).unwrap(); RANDOM_BYTES];
        let mut random = random;
        for (place, byte) in random.iter_mut().enumerate() {
            *byte = byte.wrapping_add(u8::try_from(place).unwrap());
        }
        let begun = self.party.begin(random, now).await.unwrap();
        let url = reqwest::Url::parse(&begun.address).unwrap();
        let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["tenant"], "1", "what the issuer's address has stays");
        assert_eq!((&*asked["response_type"], &*asked["client_id"]), ("code", "keepfast"));
        assert_eq!((&*asked["scope"], &*asked["code_challenge_method"]), ("openid profile groups", "S256"));
        self.set(|ways| {
            ways.nonce = asked["nonce"].clone();
            ways.challenge = asked["code_challenge"].clone();
        });
        let returned = Returned {
            code: Some(CODE.to_owned()),
            state: Some(asked["state"].clone()),
            ..Returned::default()
        };
        // By way of the cookie.
        (Pending::from_cookie(&begun.pending.to_cookie()).unwrap(), returned)
    }

    async fn sign_in(&self, now: u64) -> Result<Identity, OidcError> {
        let (pending, returned) = self.begin(now).await;
        self.party.finish(&pending, &returned, now).await
    }

    async fn refused(&self, problem: &str) {
        let error = self.sign_in(NOW).await.unwrap_err().to_string();
        assert!(error.contains(problem), "{problem}: {error}");
    }
}

fn provider(issuer: &str) -> Provider {
    Provider {
        issuer: issuer.to_owned(),
        client_id: "keepfast".to_owned(),
        client_secret: Zeroizing::new("s/ecret!".to_owned()),
        redirect: "https://backup.example.org/signed-in".to_owned(),
        scopes: vec!["profile".to_owned(), "openid".to_owned(), "groups".to_owned()],
        groups_claim: "groups".to_owned(),
        authorities: None,
    }
}

#[tokio::test]
async fn a_person_is_who_the_issuer_says_whatever_it_signs_with() {
    let lab = Lab::new().await;
    for (by, kid) in [
        (By::Rs256, "first"),
        (By::Ps256, "first"),
        (By::Es256, "curve"),
        (By::Rs512, "first"),
        (By::Ps384, "first"),
        (By::EdDsa, "edwards"),
    ] {
        lab.set(|ways| (ways.by, ways.kid) = (by, kid));
        let identity = lab.sign_in(NOW).await.unwrap();
        assert_eq!((identity.subject.as_str(), &identity.issuer), ("42", &lab.shared.issuer));
        assert_eq!(identity.user_name.as_deref(), Some("ann"));
        assert_eq!(identity.groups, ["ops", "staff"]);
    }
    lab.set(|ways| {
        ways.metadata = json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]});
        ways.claims = json!({"groups": "ops", "aud": ["keepfast", "other"], "azp": "keepfast"});
        ways.header = json!({"kid": null});
    });
    let identity = lab.sign_in(NOW + 4000).await;
    assert!(matches!(identity, Err(OidcError::Token { problem }) if problem.contains("expired")));
    lab.set(|ways| change(&mut ways.claims, &json!({"exp": NOW + 9000})));
    assert_eq!(lab.sign_in(NOW + 4000).await.unwrap().groups, ["ops"]);
}

#[tokio::test]
async fn each_lie_of_a_token_is_noticed() {
    let lab = Lab::new().await;
    for (claims, problem) in [
        (json!({"iss": "https://evil.example.org"}), "another issuer"),
        (json!({"iss": format!("{}/", lab.shared.issuer)}), "another issuer"),
        (json!({"aud": "other"}), "for another client"),
        (json!({"aud": []}), "for another client"),
        (json!({"aud": {"keepfast": 1}}), "for another client"),
        (json!({"aud": ["other", "keepfast"]}), "made for another client"),
        (json!({"azp": "other"}), "made for another client"),
        (json!({"nonce": "old"}), "of another login"),
        (json!({"nonce": null}), "of another login"),
        (json!({"exp": NOW - 61}), "has expired"),
        (json!({"exp": null}), "lacks"),
        (json!({"exp": "never"}), "lacks"),
        (json!({"iat": NOW + 61}), "from the future"),
        (json!({"sub": ""}), "names no one"),
        (json!({"sub": "a\nb"}), "names no one"),
        (json!({"sub": null}), "lacks"),
    ] {
        lab.set(|ways| ways.claims = claims);
        lab.refused(problem).await;
    }
    lab.set(|ways| ways.claims = json!({}));
    for (by, problem) in [
        (By::None, "isn't signed by"),
        (By::Hs256, "isn't signed by"),
        (By::Stranger, "signature is wrong"),
        // A key of a curve has a name, and the token says RSA.
    ] {
        lab.set(|ways| ways.by = by);
        lab.refused(problem).await;
    }
    lab.set(|ways| ways.by = By::Rs256);
    let bends: [(fn(String) -> String, &str); 5] = [
        (|token| token.rsplit_once('.').unwrap().0.to_owned() + ".", "signature is wrong"),
        (|token| token.rsplit_once('.').unwrap().0.to_owned(), "it isn't one"),
        (|_| "x".repeat(100_000), "too long"),
        (|_| String::new(), "it isn't one"),
        (
            // Claims of someone else behind the header and signature of a true token.
            |token| {
                let parts: Vec<_> = token.split('.').collect();
                let mut claims: Value =
                    serde_json::from_slice(&BASE64URL_NOPAD.decode(parts[1].as_bytes()).unwrap()).unwrap();
                claims["sub"] = json!("1");
                format!("{}.{}.{}", parts[0], encoded(claims.to_string()), parts[2])
            },
            "signature is wrong",
        ),
    ];
    for (bend, problem) in bends {
        lab.set(|ways| ways.bend = bend);
        lab.refused(problem).await;
    }
    lab.set(|ways| (ways.bend, ways.header) = (|token| token, json!({"crit": ["exp"]})));
    lab.refused("extension").await;
    lab.set(|ways| (ways.by, ways.kid, ways.header) = (By::Es256, "first", json!({})));
    lab.refused("a key that the issuer doesn't have").await;
}

#[tokio::test]
async fn an_issuer_that_changes_its_keys_is_followed_and_not_asked_all_the_time() {
    let lab = Lab::new().await;
    lab.sign_in(NOW).await.unwrap();
    lab.set(|ways| (ways.kid, ways.published) = ("other", vec!["first", "other"]));
    let error = lab.sign_in(NOW + 10).await.unwrap_err().to_string();
    assert!(error.contains("a key that the issuer doesn't have"), "too soon after it was asked: {error}");
    for round in 0..5 {
        lab.sign_in(NOW + 40 + round).await.unwrap();
    }
    assert_eq!(lab.shared.ways.lock().unwrap().key_reads, 2);
    // A key that was taken back isn't believed for longer than an hour.
    lab.set(|ways| {
        (ways.kid, ways.published) = ("first", vec!["other"]);
        ways.claims = json!({"exp": NOW + 99_999});
    });
    let error = lab.sign_in(NOW + 3700).await.unwrap_err().to_string();
    assert!(error.contains("a key that the issuer doesn't have"), "{error}");
}

#[tokio::test]
async fn what_belongs_to_another_login_or_issuer_is_refused() {
    let lab = Lab::new().await;
    let (pending, returned) = lab.begin(NOW).await;
    let (other, _) = lab.begin(NOW + 1).await;
    let is_other = |error: OidcError| matches!(error, OidcError::AnotherLogin);
    let finish = async |pending: &Pending, returned: Returned| {
        lab.party.finish(pending, &returned, NOW).await.unwrap_err()
    };
    assert!(is_other(finish(&other, returned.clone()).await), "another browser's");
    assert!(is_other(finish(&pending, Returned { state: None, ..returned.clone() }).await));
    assert!(is_other(finish(&pending, Returned { code: None, ..returned.clone() }).await));
    let issuer = Some("https://evil.example.org".to_owned());
    assert!(is_other(finish(&pending, Returned { issuer, ..returned.clone() }).await), "mixed up");
    let error = Some("access_denied\n<b>".to_owned());
    let denied = finish(&pending, Returned { error, ..returned.clone() }).await.to_string();
    assert_eq!(denied, "the issuer hasn't signed the person in: access_deniedb");
    let wrong_code = finish(&pending, Returned { code: Some("guess".to_owned()), ..returned }).await;
    assert!(matches!(wrong_code, OidcError::Refused { status: 400, .. }), "{wrong_code}");
    assert!(Pending::from_cookie("").is_none() && Pending::from_cookie(&"é".repeat(64)).is_none());

    let lab = Lab::new().await;
    lab.set(|ways| ways.metadata = json!({"issuer": "https://evil.example.org"}));
    let begun = lab.party.begin([7; RANDOM_BYTES], NOW).await;
    assert!(matches!(begun, Err(OidcError::AnotherIssuer { .. })));
    for endpoint in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        let lab = Lab::new().await;
        lab.set(|ways| ways.metadata = json!({endpoint: "http://192.0.2.1/x"}));
        let error = match lab.party.begin([7; RANDOM_BYTES], NOW).await {
            Err(error) => error,
            Ok(_) => lab.sign_in(NOW).await.unwrap_err(),
        };
        assert!(matches!(error, OidcError::Address { .. }), "{endpoint}: {error}");
    }
    for issuer in
        ["http://id.example.org", "ftp://id.example.org", "id.example.org", "https://a:b@id.example.org"]
    {
        assert!(matches!(RelyingParty::new(provider(issuer)), Err(OidcError::Address { .. })), "{issuer}");
    }
}

#[tokio::test]
async fn what_an_id_token_lacks_is_asked_for_once_and_is_of_the_same_person() {
    let lab = Lab::new().await;
    let reads = || lab.shared.ways.lock().unwrap().person_reads;
    lab.set(|ways| ways.person = json!({ "sub": "42", "name": "Other", "groups": ["admins"] }));
    let identity = lab.sign_in(NOW).await.unwrap();
    assert_eq!((identity.display.as_deref(), reads()), (Some("Ann"), 0), "the ID token says it all");
    // What is signed stays as it is.
    lab.set(|ways| ways.claims = json!({ "name": null }));
    let identity = lab.sign_in(NOW).await.unwrap();
    assert_eq!((identity.display.as_deref(), reads()), (Some("Other"), 1));
    assert_eq!(identity.groups, ["ops", "staff"]);
    lab.set(|ways| ways.claims = json!({ "name": null, "groups": null, "preferred_username": null }));
    let identity = lab.sign_in(NOW).await.unwrap();
    assert_eq!((identity.subject.as_str(), identity.user_name.as_deref(), reads()), ("42", None, 2));
    assert_eq!(identity.groups, ["admins"]);

    for person in
        [json!({ "sub": "43", "groups": ["ops"] }), json!({ "sub": 42 }), json!({ "groups": ["ops"] })]
    {
        lab.set(|ways| ways.person = person);
        lab.refused("two different people").await;
    }
    lab.set(|ways| ways.person = Value::Null);
    lab.refused("answers 401").await;
    lab.set(|ways| ways.person = json!({ "sub": "42", "about": "x".repeat(600_000) }));
    lab.refused("more than 524288 bytes").await;
    lab.set(|ways| ways.person = json!(["42"]));
    lab.refused("can't be read").await;

    let lab = Lab::new().await;
    lab.set(|ways| {
        ways.metadata = json!({ "userinfo_endpoint": "http://192.0.2.1/person" });
        ways.claims = json!({ "groups": null });
    });
    lab.refused("has to begin with https://").await;
    let lab = Lab::new().await;
    lab.set(|ways| {
        ways.metadata = json!({ "userinfo_endpoint": null });
        ways.claims = json!({ "groups": null });
    });
    assert!(lab.sign_in(NOW).await.unwrap().groups.is_empty(), "this issuer has no more to say");
}

/// No error, and nothing that is printed of one, has the client's password or a token.
#[tokio::test]
async fn errors_have_no_secrets() {
    let lab = Lab::new().await;
    lab.set(|ways| ways.claims = json!({"sub": ""}));
    let (pending, returned) = lab.begin(NOW).await;
    let mut errors = vec![lab.party.finish(&pending, &returned, NOW).await.unwrap_err()];
    let gone = RelyingParty::new(provider("http://127.0.0.1:9")).unwrap();
    errors.push(gone.begin([7; RANDOM_BYTES], NOW).await.err().unwrap());
    lab.set(|ways| (ways.claims, ways.person) = (json!({ "name": null }), Value::Null));
    errors.push(lab.sign_in(NOW).await.unwrap_err());
    let shown = format!("{errors:?}");
    for secret in ["s/ecret", "s%2Fecret", "eyJ", ACCESS, &*pending.to_cookie()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
