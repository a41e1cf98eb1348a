//! An issuer of accounts that signs what it is told to.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::BASE64URL_NOPAD;
use reqwest::Url;
use serde_json::{Value, json};

/// A person who signs in there.
#[derive(Debug, Clone)]
pub struct Person {
    pub subject: &'static str,
    pub name: &'static str,
    pub groups: &'static [&'static str],
}

/// A login that began.
struct Login {
    nonce: String,
    challenge: String,
    person: Person,
}

struct Shared {
    issuer: String,
    key: EcdsaKeyPair,
    logins: Mutex<HashMap<String, Login>>,
}

/// An issuer at work.
pub struct Issuer(Arc<Shared>);

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

async fn metadata(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let issuer = &shared.issuer;
    Json(json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
    }))
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let point = shared.key.public_key().as_ref();
    let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
    Json(json!({ "keys": [{ "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k", "x": x, "y": y }] }))
}

async fn token(State(shared): State<Arc<Shared>>, body: String) -> Result<Json<Value>, StatusCode> {
    let url = Url::parse(&format!("http://x/?{body}")).unwrap();
    let fields: HashMap<_, _> = url.query_pairs().into_owned().collect();
    // A code works once.
    let login = shared.logins.lock().unwrap().remove(&fields["code"]).ok_or(StatusCode::BAD_REQUEST)?;
    if encoded(digest(&SHA256, fields["code_verifier"].as_bytes())) != login.challenge {
        return Err(StatusCode::BAD_REQUEST);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let Person { subject, name, groups } = login.person;
    let claims = json!({
        "iss": shared.issuer, "sub": subject, "aud": "keepfast", "exp": now + 300, "iat": now, "nonce": login.nonce,
        "preferred_username": name, "groups": groups,
    });
    let header = json!({ "alg": "ES256", "kid": "k" });
    let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
    let signature = shared.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    let id_token = format!("{message}.{}", encoded(signature));
    Ok(Json(json!({ "access_token": "x", "token_type": "Bearer", "id_token": id_token })))
}

impl Issuer {
    /// Starts one. It ends with the process of the test.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let key =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let shared = Arc::new(Shared {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            key: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref()).unwrap(),
            logins: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Self(shared)
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.0.issuer
    }

    /// A person signs in at the address to which a browser was sent; returns the query with which it is sent back.
    pub fn sign_in(&self, address: &str, person: Person) -> String {
        let url = Url::parse(address).unwrap();
        assert!(address.starts_with(&format!("{}/authorize", self.0.issuer)), "{address}");
        let asked: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!((&*asked["client_id"], &*asked["code_challenge_method"]), ("keepfast", "S256"));
        let mut logins = self.0.logins.lock().unwrap();
        let code = format!("code{}", logins.len());
        let login =
            Login { nonce: asked["nonce"].clone(), challenge: asked["code_challenge"].clone(), person };
        logins.insert(code.clone(), login);
        format!("?code={code}&state={}&session_state=x", asked["state"])
    }
}
