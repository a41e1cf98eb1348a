//! Keys of AWS KMS in a running Moto, and people who may use them.

use data_encoding::BASE64;

use super::http::{Answer, exchange};
use super::{Kind, Server};

/// A key in a server.
pub struct KmsKey<'s> {
    server: &'s Server,
    id: String,
}

/// Keys that a person of a server signs with.
pub struct SigningKeys {
    /// The id.
    pub access_key: String,
    /// The secret that goes with it.
    pub secret_key: String,
}

impl<'s> KmsKey<'s> {
    /// Makes a key in a Moto.
    #[must_use]
    pub fn create(server: &'s Server) -> Self {
        assert_eq!(server.kind(), Kind::Moto, "the others have no KMS");
        let mut key = Self { server, id: String::new() };
        key.id = between(&key.ask("CreateKey", "{}"), r#""KeyId": ""#, "\"");
        key
    }

    /// Encrypts a secret. `context` is an object of JSON with texts. Returns the ciphertext in Base64.
    #[must_use]
    pub fn encrypt(&self, plain: &str, context: &str) -> String {
        let (id, plain) = (&self.id, BASE64.encode(plain.as_bytes()));
        let request =
            format!(r#"{{"KeyId": "{id}", "Plaintext": "{plain}", "EncryptionContext": {context}}}"#);
        between(&self.ask("Encrypt", &request), r#""CiphertextBlob": ""#, "\"")
    }

    fn ask(&self, action: &str, request: &str) -> String {
        let target = format!("TrentService.{action}");
        let headers = [("X-Amz-Target", target.as_str()), ("Content-Type", "application/x-amz-json-1.1")];
        ask(self.server, "kms", &headers, request)
    }
}

/// From now on, a Moto looks at signatures and rights. Makes a person for each of these policies (JSON); one without a
/// policy may do nothing.
#[must_use]
pub fn guarded(server: &Server, policies: &[Option<&str>]) -> Vec<SigningKeys> {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let mut people = Vec::new();
    for (number, policy) in policies.iter().enumerate() {
        let iam = |request: &str| {
            let request = format!("Version=2010-05-08&UserName=person{number}&{request}");
            ask(server, "iam", &form, &request)
        };
        iam("Action=CreateUser");
        if let Some(policy) = policy {
            let encoded: String = policy.bytes().map(|byte| format!("%{byte:02X}")).collect();
            iam(&format!("Action=PutUserPolicy&PolicyName=own&PolicyDocument={encoded}"));
        }
        let made = iam("Action=CreateAccessKey");
        people.push(SigningKeys {
            access_key: between(&made, "<AccessKeyId>", "<"),
            secret_key: between(&made, "<SecretAccessKey>", "<"),
        });
    }
    answered(exchange(server.address().port(), "POST", "/moto-api/reset-auth", &[], b"0"));
    people
}

fn ask(server: &Server, service: &str, headers: &[(&str, &str)], request: &str) -> String {
    // It looks for the service here, and at no signature unless it was told to.
    let (key, region) = (server.access_key(), server.region());
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/20200101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let headers = [headers, &[("Authorization", authorization.as_str())]].concat();
    answered(exchange(server.address().port(), "POST", "/", &headers, request.as_bytes()))
}

fn answered(answer: Option<Answer>) -> String {
    let answer = answer.expect("the server answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} isn't in {text}"));
    let (found, _) = rest.split_once(after).unwrap_or_else(|| panic!("{after} isn't in {rest}"));
    found.to_owned()
}
