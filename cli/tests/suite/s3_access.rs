//! Ways to a bucket and its keys: what a machine of the cloud gives, and buckets in hosts' names.

use std::fs;
use std::process::Command;

use keepfast_testkit::proxy::{Plan, Proxy, Seen};
use keepfast_testkit::servers::{KeyServer, Kind};

use crate::program::Run;
use crate::remote::Remote;

/// Makes a repository and looks at it, without keys in the environment but with what `change`
/// puts there. Moto takes any key; returned is what it was asked.
fn with_keys_from(remote: &Remote, change: impl Fn(&mut Command)) -> Vec<Seen> {
    let proxy = Proxy::start(remote.server.address(), Plan::new(1));
    for arguments in [&["init"][..], &["snapshots"]] {
        let mut command = remote.command_through(&proxy);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        change(&mut command);
        Run::of(command.args(arguments).output().unwrap()).succeeds();
    }
    proxy.seen()
}

fn all_signed_with(seen: &[Seen], fits: impl Fn(&str) -> bool) -> bool {
    seen.len() > 20 && seen.iter().all(|seen| seen.access_key.as_deref().is_some_and(&fits))
}

#[test]
fn keys_come_from_a_container() {
    let (remote, keys) = (Remote::on(Kind::Moto), KeyServer::start());
    let seen = with_keys_from(&remote, |command| {
        command.envs(keys.container());
    });
    assert!(all_signed_with(&seen, |key| key == keys.access_key()), "{seen:#?}");
    // Once for each client, not for each request; `init` has one more, to try the store out.
    assert_eq!(keys.asked(), ["GET /container"; 3]);
}

#[test]
fn keys_come_from_the_machine() {
    let (remote, keys) = (Remote::on(Kind::Moto), KeyServer::start());
    let seen = with_keys_from(&remote, |command| {
        command.envs(keys.machine());
    });
    assert!(all_signed_with(&seen, |key| key == keys.access_key()), "{seen:#?}");
    assert!(keys.asked().iter().any(|asked| asked == "PUT /latest/api/token"), "{:?}", keys.asked());
}

/// A real token service: moto's. Its keys begin so.
#[test]
fn keys_come_for_a_web_identity() {
    let remote = Remote::on(Kind::Moto);
    let token = remote.desk.path("token");
    fs::write(&token, "a token of a user that the role trusts").unwrap();
    let with_token = |command: &mut Command| {
        command
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", &token)
            .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/backup")
            .env("AWS_ENDPOINT_URL_STS", remote.server.endpoint());
    };
    let seen = with_keys_from(&remote, with_token);
    assert!(all_signed_with(&seen, |key| key.starts_with("ASIA")), "{seen:#?}");

    fs::remove_file(&token).unwrap();
    let mut command = remote.command();
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    with_token(&mut command);
    let run = Run::of(command.args(["snapshots", "--s3-retry", "1"]).output().unwrap());
    run.fails(1, &["credentials for S3 can't be had", "check the profile or role"]);
}

/// A bucket in the host's name, as AWS has it. Such names resolve only in a world of the test's own.
#[test]
fn a_bucket_is_found_by_its_hosts_name() {
    let remote = Remote::on(Kind::Moto);
    let proxy = Proxy::start(remote.server.address(), Plan::new(1));
    let hosts = remote.desk.path("hosts");
    fs::write(&hosts, format!("127.0.0.1 {}.s3.test\n", remote.bucket)).unwrap();
    let endpoint = format!("http://s3.test:{}", proxy.address().port());
    let run = |arguments: &[&str]| {
        let program = remote.command();
        let mut command = Command::new("unshare");
        command.args([
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            "mount --bind \"$0\" /etc/hosts && exec \"$@\"",
        ]);
        command.arg(&hosts).arg(program.get_program()).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.args(["--s3-path-style=false", "--s3-endpoint", &endpoint]).args(arguments);
        Run::of(command.output().unwrap()).succeeds()
    };
    run(&["init"]);
    run(&["backup", &remote.source()]);
    assert!(run(&["check", "--read-data"]).out.contains("no damage found"));
    let host = format!("{}.s3.test:{}", remote.bucket, proxy.address().port());
    let seen = proxy.seen();
    assert!(seen.iter().all(|seen| seen.host == host), "{seen:#?}");
    assert!(seen.iter().any(|seen| seen.target.starts_with("/some/prefix/packs/")), "{seen:#?}");
    // It is the same repository, however one gets there.
    assert!(remote.run(&["snapshots"]).succeeds().out.contains("src"));
}
