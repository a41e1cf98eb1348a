//! Plans whose secrets are in servers, in a keyring or behind a descriptor.

use std::fs;
use std::process::Command;

use keepfast_testkit::servers::{Kind, KmsKey, OpenBao, Server};

use crate::plans::Plans;
use crate::program::Run;

/// A plan whose password is where this reference says. A hook notes its environment and what it has open.
fn plans(reference: &str) -> Plans {
    let plans = Plans::new("");
    let config = plans.desk.path("keepfast.toml");
    let own = "{ env = \"KEEPFAST_PASSWORD\" }";
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains(own));
    let log = plans.desk.path("log");
    let hook = format!(
        "[[plan.www.hook]]\non = \"before\"\nrun = [\"/bin/sh\", \"-c\", \"env > {0}; ls /proc/self/fd >> {0}\"]\n",
        log.display()
    );
    fs::write(&config, text.replace(own, reference) + &hook).unwrap();
    plans
}

fn command(plans: &Plans, variables: &[(&str, String)]) -> Command {
    let mut command = plans.command();
    command.env_remove("KEEPFAST_PASSWORD").envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

/// The check opens the repository, and a run backs up. Returns what the hook has noted.
fn works(plans: &Plans, variables: &[(&str, String)]) -> String {
    let run = |arguments: &[&str]| Run::of(command(plans, variables).args(arguments).output().unwrap());
    let check = run(&["config", "check", "--resolve"]);
    assert!(check.err.contains("plan www: its repository opens"), "{check:?}");
    run(&["run", "www"]).succeeds();
    fs::read_to_string(plans.desk.path("log")).unwrap()
}

/// The check names the secret and what is wrong with it, and so does a run.
fn fails(plans: &Plans, variables: &[(&str, String)], said: &[&str]) {
    let run = |arguments: &[&str]| Run::of(command(plans, variables).args(arguments).output().unwrap());
    let check = run(&["config", "check", "--resolve"]).fails(3, said);
    assert!(check.err.contains("plan www: "), "{check:?}");
    run(&["run", "www"]).fails(1, said);
}

#[test]
fn a_password_in_openbao_opens_the_repository_and_no_hook_inherits_the_token() {
    let server = OpenBao::start();
    server.put("keepfast", r#"{"password": "correct horse"}"#);
    let token = server.token_for("keepfast");
    let by_variable = plans("{ vault = \"kv/data/keepfast#password\" }");
    let variables = [("VAULT_ADDR", server.endpoint()), ("VAULT_TOKEN", token.clone())];
    let seen = works(&by_variable, &variables);
    assert!(!seen.contains(&token) && seen.contains("VAULT_ADDR="), "{seen}");

    let (endpoint, folder) = (server.endpoint(), tempfile::tempdir().unwrap());
    let file = folder.path().join("token");
    let by_file = plans(&format!(
        "{{ vault = \"kv/data/keepfast#password\", address = \"{endpoint}\", auth = {{ file = {file:?} }} }}"
    ));
    fs::write(&file, token).unwrap();
    works(&by_file, &[]);
    fs::write(&file, "wrong").unwrap();
    fails(&by_file, &[], &["the password in Vault at kv/data/keepfast#password can't be had", "denies it"]);
    server.seal();
    fails(&by_variable, &variables, &["answers with 503: it is sealed"]);
}

#[test]
fn a_password_that_kms_decrypts_opens_the_repository() {
    let server = Server::shared(Kind::Moto);
    let ciphertext = KmsKey::create(&server).encrypt("correct horse", r#"{"app": "keepfast"}"#);
    let endpoint = server.endpoint();
    let with = |context: &str| {
        plans(&format!("{{ kms = \"{ciphertext}\", endpoint = \"{endpoint}\", context = {context} }}"))
    };
    let variables = server.environment("http://127.0.0.1:1");
    works(&with("{ app = \"keepfast\" }"), &variables);
    fails(
        &with("{ app = \"other\" }"),
        &variables,
        &["the password in the KMS ciphertext", "another encryption context"],
    );
}

#[test]
fn a_keyring_without_its_program_is_told() {
    let plans = plans("{ keyring = \"main\" }");
    let folder = tempfile::tempdir().unwrap();
    let path = ("PATH", folder.path().display().to_string());
    fails(
        &plans,
        &[path],
        &["the password in the keyring entry main can't be had", "the program secret-tool isn't there"],
    );
}

#[test]
fn no_hook_inherits_the_descriptor_that_the_password_is_behind() {
    let plans = plans("{ fd = 7 }");
    fs::write(plans.desk.path("secret"), "correct horse\n").unwrap();
    let program = plans.command();
    let mut shell = Command::new("/bin/bash");
    shell.env_clear().env("SECRET", plans.desk.path("secret")).env("PROGRAM", program.get_program());
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env_remove("KEEPFAST_PASSWORD");
    // Another one is inherited as before.
    shell.args(["-c", "exec \"$PROGRAM\" \"$@\" 7<\"$SECRET\" 8</dev/null", "bash"]).args(program.get_args());
    Run::of(shell.args(["run", "www"]).output().unwrap()).succeeds();
    let log = fs::read_to_string(plans.desk.path("log")).unwrap();
    let open: Vec<&str> = log.lines().filter(|line| line.parse::<u32>().is_ok()).collect();
    assert!(open.contains(&"8") && !open.contains(&"7"), "{open:?}");
}

/// It comes in two parts, and in another form.
#[test]
fn what_a_hook_prints_is_kept_without_the_password() {
    let plans = plans("{ file = \"PASSWORD\" }");
    let (config, secret) = (plans.desk.path("keepfast.toml"), plans.desk.path("secret"));
    fs::write(&secret, "correct horse\n").unwrap();
    let script = plans.desk.path("hook.sh");
    let text = format!(
        "#!/bin/sh\nread password < {}\nprintf 'it is corre'\nsleep 0.3\necho 'ct horse, I say'\necho \"$password\" | base64 >&2\n",
        secret.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let hook = format!("[[plan.www.hook]]\non = \"after\"\nrun = [{script:?}]\n");
    let text = fs::read_to_string(&config).unwrap().replace("PASSWORD", secret.to_str().unwrap()) + &hook;
    fs::write(&config, text).unwrap();
    let mut command = command(&plans, &[]);
    let report: serde_json::Value =
        serde_json::from_slice(&command.args(["--json", "run", "www"]).output().unwrap().stdout).unwrap();
    assert_eq!(report["verdict"], "ok", "{report}");
    let runs = plans.document(&["runs", "list"]);
    let log = plans.run(&["runs", "logs", runs[0]["run"].as_str().unwrap()]).succeeds().out;
    assert!(log.contains("it is [secret], I say"), "{log}");
    let encoded = "Y29ycmVjdCBob3JzZQ";
    let state = fs::read(plans.desk.path("state/state.db")).unwrap();
    assert!(!log.contains("horse") && !log.contains(encoded), "{log}");
    for secret in ["correct horse", encoded] {
        assert!(
            !state.windows(secret.len()).any(|part| part == secret.as_bytes()),
            "{secret} is in the state"
        );
        assert!(!report.to_string().contains(secret), "{report}");
    }
}

#[test]
fn the_check_reads_secrets_that_no_repository_needs() {
    let plans = plans("{ env = \"KEEPFAST_PASSWORD\" }");
    let (config, key) = (plans.desk.path("keepfast.toml"), plans.desk.path("key"));
    let target =
        format!("[target.ops]\nwebhook = {{ url = {{ env = \"HOOK\" }}, hmac = {{ file = {key:?} }} }}\n");
    fs::write(&config, fs::read_to_string(&config).unwrap() + &target).unwrap();
    let check = || {
        let mut command = plans.command();
        command.env("HOOK", "https://example.org/hook").args(["config", "check", "--resolve"]);
        Run::of(command.output().unwrap())
    };
    let lost = check().fails(3, &["target ops: the signing key file ", "plan www: its repository opens"]);
    assert!(!lost.err.contains("the address in HOOK"), "{lost:?}");
    fs::write(&key, "secret\n").unwrap();
    assert!(!check().err.contains("target ops: the "), "it is there");
    let without = plans.run(&["config", "check", "--resolve"]);
    without.fails(3, &["target ops: the address in HOOK isn't there: the variable isn't set"]);
}

/// What a source's command says of errors, a run by hand keeps as a server does: without secrets.
#[test]
fn a_command_that_prints_its_secret_shows_it_to_no_one() {
    let plans = Plans::new("");
    let config = plans.desk.path("keepfast.toml");
    let text = fs::read_to_string(&config).unwrap();
    for (ends, code) in [("exit 3", 1), ("echo data", 0)] {
        let script = format!("echo \"the password is $$(printf 'correct %s' horse)\" >&2; {ends}");
        let stream = format!(
            "source = [{{ stream = {{ name = \"db.sql\", command = [\"/bin/sh\", \"-c\", {script:?}] }} }}, "
        );
        fs::write(&config, text.replace("source = [", &stream)).unwrap();
        let run = plans.run(&["run", "www"]);
        assert_eq!(run.code == 0, code == 0, "{run:?}");
        assert!(!run.err.contains("correct horse") && !run.out.contains("correct horse"), "{run:?}");
        assert_eq!(run.err.contains("the password is [secret]"), code != 0, "{run:?}");
    }
}
