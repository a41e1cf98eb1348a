//! The API does what its description says. Schemathesis reads the description that a server answers, and asks for whatever it
//! allows and forbids, of a server with users, runs and snapshots: no answer is an error of the server, each is one of those
//! that are described, what is wrong is refused, and no one gets in without showing who they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use keepfast_testkit::servers::installed;

use crate::plans::{NIGHTLY, Plans};
use crate::program::Run;
use crate::serve::Server;

/// Requests for each thing that can be asked for, unless `KEEPFAST_API_EXAMPLES` says otherwise.
const EXAMPLES: &str = "4";
/// In the settings, what comes before the settings of the phase that goes through all limits of the description.
const COVERAGE: &str = "coverage.enabled = true\n";
/// Without `KEEPFAST_API_EXAMPLES`, each path is asked with one method that it doesn't have, in place of all seven, and chains
/// of requests are short.
const SHORT: &str = "coverage.unexpected-methods = [\"TRACE\"]\nstateful.max-steps = 3\n";

#[test]
fn the_api_is_as_it_is_described() {
    let plans = Plans::new(&format!("{NIGHTLY}\ndescription = \"Web pages\""));
    let config = plans.desk.path("keepfast.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("[server]\n", "[server]\nlisten = \"127.0.0.1:0\"\n", 1)).unwrap();
    plans.run(&["run", "www"]).succeeds();
    plans.run(&["run", "www"]).succeeds();
    fs::write(plans.desk.path("new-password"), "correct horse battery\n").unwrap();
    let from = plans.desk.path("new-password");
    let add = |name: &str, rights: &[&str]| {
        plans
            .run(&[&["user", "add", name, "--from-file", from.to_str().unwrap()], rights].concat())
            .succeeds()
    };
    add("ann", &["--role", "admin", "--see-names", "--read-content"]);
    add("bob", &["--role", "viewer", "--scope", "plan:www"]);
    let rights = ["--role", "admin", "--see-names", "--read-content"];
    let made = plans.run(&[&["token", "make", "ann", "fuzz"], &rights[..]].concat()).succeeds();
    let token = made.out.split_whitespace().find(|word| word.starts_with("kf_api_")).unwrap().to_owned();
    let server = Server::start(&plans);
    let base = server.said_of("the API is at ");
    let wanted = std::env::var("KEEPFAST_API_EXAMPLES").ok();
    let seed = std::env::var("KEEPFAST_API_SEED").unwrap_or_else(|_| "1".to_owned());
    let all =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis.toml")).unwrap();
    assert!(all.contains(COVERAGE), "{all}");
    let (examples, settings) = match wanted {
        Some(examples) => (examples, all),
        None => (EXAMPLES.to_owned(), all.replacen(COVERAGE, &format!("{COVERAGE}{SHORT}"), 1)),
    };
    let file = plans.desk.path("schemathesis.toml");
    fs::write(&file, settings).unwrap();
    let asked = Command::new(installed("schemathesis/bin/schemathesis"))
        .arg("--config-file")
        .arg(&file)
        .args(["run", &format!("{base}/api/v1/openapi.json"), "--url", &base])
        .env("KEEPFAST_TOKEN", &token)
        .args(["--max-examples", &examples, "--seed", &seed, "--no-color"])
        .current_dir(plans.desk.folder.path())
        .output()
        .unwrap();
    let run = Run::of(asked);
    assert_eq!(run.code, 0, "KEEPFAST_API_SEED={seed} asks the same again\n{}\n{}", run.out, run.err);
    // It has asked, and what it did is in the audit.
    assert!(run.out.contains("Test cases:"), "{}", run.out);
    assert_eq!(plans.document(&["audit", "verify"])["sound"], true);
    assert_eq!(server.stop(), Some(0));
    assert!(plans.desk.is_sound());
}
