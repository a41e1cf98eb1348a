//! Secrets in servers that keep them, and in a keyring.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keepfast_backend::Cancel;
use keepfast_operations::OperationsError;
use keepfast_operations::child::Children;
use keepfast_operations::error::{SecretErrorKind, with_causes};
use keepfast_operations::open::{Access, Mode, SharedRepository, Target};
use keepfast_operations::secret::{
    KmsReference, Purpose, SecretCache, SecretReader, SecretSource, VaultReference,
};
use keepfast_testkit::servers::{KeyServer, Kind, KmsKey, OpenBao, Server, guarded};

use crate::desk::{Desk, run};

/// What a child of [`read_with`] reads the secret by.
const SOURCE: &str = "KEEPFAST_TEST_SECRET_SOURCE";
const TELLS_IT: [&str; 4] =
    ["--exact", "--ignored", "--nocapture", "secrets::tells_the_secret_that_its_environment_names"];

fn told(read: Result<String, OperationsError>) -> Result<String, (SecretErrorKind, String)> {
    read.map_err(|error| match &error {
        OperationsError::Secret(secret) => (secret.kind(), with_causes(secret)),
        other => panic!("{other}"),
    })
}

fn read_as(source: &SecretSource, children: &Children) -> Result<String, (SecretErrorKind, String)> {
    let cancel = Cancel::new();
    let reader = SecretReader { what: "password", children, cancel: &cancel };
    told(reader.password(source, Purpose::Open).map(|password| password.to_string()))
}

fn read(source: &SecretSource) -> Result<String, (SecretErrorKind, String)> {
    read_as(source, &Children::default())
}

/// Reads a secret in a process of its own, with these variables: what its environment says can't be changed here.
fn read_with(source: &SecretSource, variables: &[(&str, String)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(TELLS_IT);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        child.env_remove(name);
    }
    child.envs(variables.iter().map(|(name, value)| (name, value)));
    told_by(&mut child, source)
}

/// What a child tells that ends as [`tells_the_secret_that_its_environment_names`].
fn told_by(child: &mut Command, source: &SecretSource) -> String {
    let output = child.env(SOURCE, serde_json::to_string(source).unwrap()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().find_map(|line| line.split_once("told: "));
    line.unwrap_or_else(|| panic!("{printed}{}", String::from_utf8_lossy(&output.stderr))).1.to_owned()
}

#[test]
#[ignore = "a part of other tests, which start it with the variables that it is for"]
#[allow(clippy::print_stdout, reason = "another test reads it")]
fn tells_the_secret_that_its_environment_names() {
    let Ok(source) = std::env::var(SOURCE) else { return };
    match read(&serde_json::from_str(&source).unwrap()) {
        Ok(secret) => println!("told: {secret}"),
        Err((kind, message)) => println!("told: {kind:?} {message}"),
    }
}

fn vault(server: &OpenBao, place: &str, token: &Path) -> SecretSource {
    let (path, field) = place.split_once('#').unwrap();
    SecretSource::Vault(VaultReference {
        path: path.to_owned(),
        field: field.to_owned(),
        address: Some(server.endpoint()),
        namespace: None,
        token: Some(Box::new(SecretSource::File(token.to_owned()))),
    })
}

#[test]
fn a_secret_in_openbao_is_read_and_each_failure_is_named() {
    use SecretErrorKind::{Configuration, Credentials, Network};
    let folder = tempfile::tempdir().unwrap();
    let server = OpenBao::start();
    server.put("keepfast", r#"{"password": "correct horse\n", "number": 7}"#);
    server.put("other", r#"{"password": "battery"}"#);
    server.put("gone", r#"{"password": "battery"}"#);
    server.delete("gone");
    let (root, reader, wrong) =
        (folder.path().join("root"), folder.path().join("reader"), folder.path().join("wrong"));
    fs::write(&root, server.root_token()).unwrap();
    fs::write(&reader, format!("{}\n", server.token_for("keepfast"))).unwrap();
    fs::write(&wrong, "no such token").unwrap();

    assert_eq!(read(&vault(&server, "kv/data/keepfast#password", &reader)), Ok("correct horse".to_owned()));
    for (place, token, kind, said) in [
        ("kv/data/keepfast#password", &wrong, Credentials, "denies it"),
        ("kv/data/other#password", &reader, Credentials, "denies it"),
        ("kv/data/keepfast#pasword", &reader, Configuration, "the secret has no field of this name"),
        ("kv/data/keepfast#number", &reader, Configuration, "the field isn't text"),
        ("kv/data/nothing#password", &root, Configuration, "has nothing at this path"),
        ("kv/keepfast#password", &root, Configuration, "has nothing at this path"),
        ("kv/data/gone#password", &root, Configuration, "the newest version of the secret is deleted"),
        ("sys/health#version", &root, Configuration, "isn't that of a secret of KV version 2"),
    ] {
        let error = read(&vault(&server, place, token)).unwrap_err();
        let begins = format!("the password in Vault at {place} can't be had: ");
        assert!(error.0 == kind && error.1.starts_with(&begins) && error.1.contains(said), "{error:?}");
    }
    let lost = vault(&server, "kv/data/keepfast#password", &folder.path().join("lost"));
    let error = read(&lost).unwrap_err();
    assert!(error.0 == Configuration && error.1.starts_with("the Vault token file "), "{error:?}");

    server.seal();
    let right = vault(&server, "kv/data/keepfast#password", &root);
    let error = read(&right).unwrap_err();
    assert!(error.0 == Network && error.1.contains("answers with 503: it is sealed"), "{error:?}");
    server.kill();
    let error = read(&right).unwrap_err();
    assert!(error.0 == Network && error.1.contains("can't be reached: "), "{error:?}");
}

#[test]
fn the_variables_of_vaults_own_programs_count_where_the_reference_says_nothing() {
    let server = OpenBao::start();
    server.put("keepfast", r#"{"password": "horse"}"#);
    let source = |address: Option<String>| {
        SecretSource::Vault(VaultReference {
            path: "kv/data/keepfast".to_owned(),
            field: "password".to_owned(),
            address,
            namespace: None,
            token: None,
        })
    };
    let token = ("VAULT_TOKEN", server.root_token().to_owned());
    let address = ("VAULT_ADDR", server.endpoint());
    assert_eq!(read_with(&source(None), &[token.clone(), address.clone()]), "horse");
    let elsewhere = ("VAULT_ADDR", "http://127.0.0.1:1".to_owned());
    assert_eq!(read_with(&source(Some(server.endpoint())), &[token.clone(), elsewhere]), "horse");
    // There is no such namespace.
    let namespace = ("VAULT_NAMESPACE", "team".to_owned());
    let told = read_with(&source(None), &[token.clone(), address.clone(), namespace]);
    assert!(told.contains("can't be had: "), "{told}");
    let told = read_with(&source(None), &[address]);
    assert!(told.starts_with("Credentials ") && told.contains("wants a token"), "{told}");
    let told = read_with(&source(None), &[token]);
    assert!(told.starts_with("Configuration ") && told.contains("VAULT_ADDR isn't set"), "{told}");
}

fn kms(ciphertext: &str, endpoint: &str, context: &[(&str, &str)]) -> SecretSource {
    let context = context.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    SecretSource::Kms(KmsReference {
        ciphertext: ciphertext.to_owned(),
        region: Some("us-east-1".to_owned()),
        endpoint: Some(endpoint.to_owned()),
        context: BTreeMap::from_iter(context),
    })
}

#[test]
fn kms_decrypts_a_secret_with_its_encryption_context_and_with_no_other() {
    let server = Server::shared(Kind::Moto);
    let key = KmsKey::create(&server);
    let plain = key.encrypt("horse\n", "{}");
    let bound = key.encrypt("battery", r#"{"app": "keepfast", "plan": "www"}"#);
    let endpoint = server.endpoint();
    let variables = server.environment("http://127.0.0.1:1");
    let right = [("plan", "www"), ("app", "keepfast")];
    assert_eq!(read_with(&kms(&plain, &endpoint, &[]), &variables), "horse");
    assert_eq!(read_with(&kms(&bound, &endpoint, &right), &variables), "battery");
    for (ciphertext, context) in
        [(&bound, &[][..]), (&bound, &[("app", "keepfast")]), (&plain, &right), (&bound, &[("app", "other")])]
    {
        let told = read_with(&kms(ciphertext, &endpoint, context), &variables);
        let ends_with = &ciphertext[ciphertext.len() - 8..];
        let begins = format!(
            "Configuration the password in the KMS ciphertext that ends with {ends_with} can't be had: "
        );
        assert!(told.starts_with(&begins) && told.contains("another encryption context"), "{told}");
    }
    // Where neither the reference nor AWS_ENDPOINT_URL_KMS says anything, AWS_ENDPOINT_URL does: no one listens there.
    let nowhere = match kms(&plain, &endpoint, &[]) {
        SecretSource::Kms(reference) => SecretSource::Kms(KmsReference { endpoint: None, ..reference }),
        other => other,
    };
    let told = read_with(&nowhere, &variables);
    assert!(told.starts_with("Network ") && told.contains("127.0.0.1:1 can't be reached"), "{told}");
    let of_kms = [variables, vec![("AWS_ENDPOINT_URL_KMS", endpoint.clone())]].concat();
    assert_eq!(read_with(&nowhere, &of_kms), "horse");
    let told = read_with(&kms("no Base64!", &endpoint, &[]), &of_kms);
    assert!(told.starts_with("Configuration ") && told.contains("isn't Base64"), "{told}");
}

/// Credentials come from all places that those of a bucket come from: here from a container's.
#[test]
fn kms_is_asked_with_the_credentials_of_the_usual_places() {
    let (server, keys) = (Server::shared(Kind::Moto), KeyServer::start());
    let source = kms(&KmsKey::create(&server).encrypt("horse", "{}"), &server.endpoint(), &[]);
    let nowhere = [
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
    ];
    let told = read_with(&source, &nowhere);
    assert!(told.starts_with("Credentials ") && told.contains("no credentials of AWS can be had"), "{told}");
    let container = [&nowhere[..], &keys.container()].concat();
    assert_eq!(read_with(&source, &container), "horse");
    assert_eq!(keys.asked(), ["GET /container"]);
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().join("credentials");
    fs::write(&profiles, "[backup]\naws_access_key_id = KEY\naws_secret_access_key = secret\n").unwrap();
    let profile = [
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", profiles.display().to_string()),
        ("AWS_PROFILE", "backup".to_owned()),
    ];
    assert_eq!(read_with(&source, &profile), "horse");
}

/// This server computes each signature again, and looks who may do what.
#[test]
fn requests_to_kms_are_signed_and_what_kms_denies_is_told_as_that() {
    let server = Server::start(Kind::Moto);
    let ciphertext = KmsKey::create(&server).encrypt("horse", r#"{"app": "keepfast"}"#);
    let source = kms(&ciphertext, &server.endpoint(), &[("app", "keepfast")]);
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}"#;
    let people = guarded(&server, &[Some(policy), None]);
    let (keys, other) = (&people[0], &people[1]);
    let with = |access_key: &str, secret_key: &str| {
        let mut variables = server.environment("http://127.0.0.1:1");
        for (name, value) in &mut variables {
            match *name {
                "AWS_ACCESS_KEY_ID" => access_key.clone_into(value),
                "AWS_SECRET_ACCESS_KEY" => secret_key.clone_into(value),
                _ => {}
            }
        }
        read_with(&source, &variables)
    };
    assert_eq!(with(&keys.access_key, &keys.secret_key), "horse");
    for (access_key, secret_key) in [
        (keys.access_key.as_str(), "wrong"),
        (keys.access_key.as_str(), other.secret_key.as_str()),
        (other.access_key.as_str(), other.secret_key.as_str()),
        ("AKIAUNKNOWN000000000", "wrong"),
    ] {
        let told = with(access_key, secret_key);
        assert!(told.starts_with("Credentials ") && told.contains("denies it"), "{told}");
    }
}

/// A program with the name of the keyring's own, which behaves as that does.
fn children_with(folder: &Path, script: &str) -> Children {
    let program = folder.join("secret-tool");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    Children { variables: vec![("PATH".to_owned(), path.into())], ..Children::default() }
}

#[test]
fn an_entry_of_the_keyring_is_what_its_program_prints() {
    let folder = tempfile::tempdir().unwrap();
    let source = SecretSource::Keyring("main".to_owned());
    let with = |script: &str| read_as(&source, &children_with(folder.path(), script));
    let asks = r#"test "$*" = "lookup service keepfast username main" && printf 'correct horse'"#;
    assert_eq!(with(asks), Ok("correct horse".to_owned()));
    let is_no_entry = |(kind, message): (SecretErrorKind, String)| {
        kind == SecretErrorKind::Configuration
            && message.contains("the keyring has no entry with service = keepfast and username = main")
    };
    assert!(with("exit 1").is_err_and(is_no_entry));
    let (kind, message) = with("echo no bus >&2; exit 1").unwrap_err();
    assert_eq!(kind, SecretErrorKind::Unknown);
    assert!(message.contains("secret-tool failed: exit status: 1; it printed: no bus"), "{message}");
    assert!(with("yes").unwrap_err().1.contains("holds more than 65536 bytes"));
}

#[test]
fn a_real_keyring_gives_its_entry() {
    let folder = tempfile::tempdir().unwrap();
    let unlock_and_store = "printf login | gnome-keyring-daemon --unlock --components=secrets >/dev/null; \
                            printf 'correct horse' | secret-tool store --label=main service keepfast username main; \
                            exec \"$@\"";
    let told = |name: &str| {
        let mut session = Command::new("dbus-run-session");
        session.args(["--", "/bin/sh", "-c", unlock_and_store, "sh"]);
        session.arg(std::env::current_exe().unwrap()).args(TELLS_IT);
        session.env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path());
        session.env_remove("XDG_DATA_HOME").env_remove("DISPLAY");
        told_by(&mut session, &SecretSource::Keyring(name.to_owned()))
    };
    assert_eq!(told("main"), "correct horse");
    let other = told("other");
    assert!(other.starts_with("Configuration ") && other.contains("the keyring has no entry"), "{other}");
}

#[test]
fn a_missing_program_of_the_keyring_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let variables = vec![("PATH".to_owned(), folder.path().into())];
    let children = Children { variables, ..Children::default() };
    let (kind, message) = read_as(&SecretSource::Keyring("main".to_owned()), &children).unwrap_err();
    assert_eq!(kind, SecretErrorKind::Configuration);
    assert!(message.contains("the program secret-tool isn't there: install it"), "{message}");
}

/// A clock that a test moves.
fn cache() -> (Arc<SecretCache>, Arc<AtomicU64>) {
    let (begun, seconds) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let shown = Arc::clone(&seconds);
    let clock = move || begun + Duration::from_secs(shown.load(Ordering::Relaxed));
    (Arc::new(SecretCache::new(SecretCache::USUAL_LIFETIME, Arc::new(clock))), seconds)
}

#[test]
fn a_kept_password_spares_its_command_until_it_is_refused_or_old() {
    let desk = Desk::new();
    let (cache, seconds) = cache();
    let connect = || {
        let target = Target { cache: None, ..desk.shared().target().clone() };
        let access = Access { secrets: Some(Arc::clone(&cache)), ..Access::default() };
        SharedRepository::connect(target, access).unwrap()
    };
    let opens = || connect().repository(&run(), Mode::Usual).map(drop);
    opens().unwrap();
    opens().unwrap();
    assert_eq!(desk.asked(), 1, "the second one takes what is kept");
    seconds.store(300, Ordering::Relaxed);
    opens().unwrap();
    assert_eq!(desk.asked(), 2, "what is old is read again");

    // What is kept is wrong: it is as if the password had been changed meanwhile.
    let source = desk.shared().target().password.clone().unwrap();
    cache.keep(&source, &b"an older password".to_vec().into());
    opens().unwrap();
    assert_eq!(desk.asked(), 3, "what is refused is read again");
    fs::write(desk.path("password"), "wrong").unwrap();
    cache.forget(&source);
    assert!(opens().is_err());
    assert_eq!(desk.asked(), 4, "what was read just now isn't read again");
}
