//! `keepfast config wizard`, with answers from a pipe.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::program::{Desk, Run};

fn ask(desk: &Desk, arguments: &[&str], answers: &str) -> Run {
    let mut command = desk.command();
    command.env_remove("KEEPFAST_REPOSITORY").env("HOME", desk.path("home"));
    command.args(["config", "wizard"]).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses at once reads nothing.
    let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
    Run::of(child.wait_with_output().unwrap())
}

#[test]
fn a_first_configuration_is_valid_and_its_plan_runs() {
    let desk = Desk::bare();
    fs::write(desk.src("a"), "one").unwrap();
    let file = desk.path("etc/keepfast.toml");
    let (file, repository) = (file.to_str().unwrap(), desk.src("backup"));
    // The repository is made, the password too; a repository inside of the source is left out.
    let answers = format!(
        "{}\ngenerate\n\n{}\n/etc/hostname\n\n23:05\nEurope/Paris\nyes\n7\n4\n6\nmail\nops@example.org, me@example.org\n\n\
         none\n\n\n\nyes\n",
        repository.display(),
        desk.path("src").display(),
    );
    let run = ask(&desk, &[file], &answers).succeeds();
    for said in ["wrote", "main-password", "run files", "service install --start"] {
        assert!(run.out.contains(said), "{said}: {run:?}");
    }
    let password = desk.path("etc/main-password");
    assert_eq!(fs::metadata(&password).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&password).unwrap().trim().len(), 64);
    assert!(!run.out.contains(fs::read_to_string(&password).unwrap().trim()));
    let with = |arguments: &[&str]| desk.run([&["--config", file], arguments].concat());
    let check = with(&["config", "check"]).succeeds();
    assert!(check.out.contains("1 plan, 1 repository, nothing to remark"), "{check:?}");
    let shown = with(&["config", "show"]).succeeds().out;
    for said in ["5 23 * * *", "Europe/Paris", "me@example.org", "daily = 7", "monthly = 6"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    // The plan backs up into that repository. The state's usual place may not be this test's.
    let text = fs::read_to_string(file).unwrap();
    let state = format!("[server]\nstate = {{ sqlite = {:?} }}", desk.path("state/state.db"));
    fs::write(file, text.replace("[server]", &state)).unwrap();
    with(&["run", "files"]).succeeds();
    // What is there is never changed.
    ask(&desk, &[file], &answers).fails(2, &["is there already"]);
}

#[test]
fn answers_that_end_too_early_leave_nothing() {
    let desk = Desk::bare();
    let file = desk.path("keepfast.toml");
    let file = file.to_str().unwrap();
    let full = format!(
        "{}\n1\n\n{}\n\n20h\nUTC\nno\nnone\nyes\n",
        desk.repo().display(),
        desk.path("src").display()
    );
    let questions = full.lines().count();
    for answered in 0..questions {
        let answers: String = full.lines().take(answered).map(|line| format!("{line}\n")).collect();
        ask(&desk, &[file], &answers).fails(2, &["the answers end before the question"]);
        assert!(!desk.path("keepfast.toml").exists() && !desk.path("main-password").exists(), "{answered}");
        assert!(!desk.repo().exists(), "{answered}");
    }
    ask(&desk, &[file], &full).succeeds();
    assert!(fs::read_to_string(file).unwrap().contains("schedule = { every = \"20h\" }"));
}

#[test]
fn an_answer_that_is_none_is_named() {
    let desk = Desk::bare();
    let file = desk.path("keepfast.toml");
    let file = file.to_str().unwrap();
    let place = desk.repo().display().to_string();
    for (answers, said) in [
        ("srv/backup\n", "a path begins with /"),
        ("/srv/../etc\n", "`..`"),
        ("/srv/backup\nperhaps\n", "answer generate, file, env, command"),
        ("/srv/backup\nfile\n/no/such/file\n", "there is no file /no/such/file"),
        ("/srv/backup\nenv\nMY-SECRET\n", "letters, digits"),
        ("/srv/backup\nenv\n\n/no/such/source\n", "there is no /no/such/source"),
    ] {
        ask(&desk, &[file], answers).fails(2, &[said]);
    }
    let start = format!("{place}\nenv\n\n{}\n\n", desk.path("src").display());
    for (answers, said) in [
        ("25:00\n", "no time of day"),
        ("61 * * * *\n", "is no answer to the question"),
        ("soon\n", "answer as 01:30"),
        ("01:30\nEurope/Pari\n", "Europe/Pari"),
        ("01:30\nUTC\nyes\nmany\n", "answer with a number"),
        ("01:30\nUTC\nno\nmail\nme\n", "ops@example.org"),
        ("01:30\nUTC\nno\nwebhook\ngeneric\nftp://x\n", "https://"),
    ] {
        ask(&desk, &[file], &format!("{start}{answers}")).fails(2, &[said]);
    }
}

/// Each choice makes a file that is valid.
#[test]
fn every_way_to_be_told_is_valid() {
    let desk = Desk::new();
    let secret = desk.path("secret");
    fs::write(&secret, "x\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let secret = secret.display();
    let source = desk.path("src");
    for (number, told) in [
        "none\n".to_owned(),
        "mail\na@b\nmx.example.org\ntls\n\nme\n{secret}\nbackup@b\n".replace("{secret}", &secret.to_string()),
        "webhook\ngeneric\nhttps://example.org/x\n".to_owned(),
        format!("webhook\nslack\n{secret}\n"),
        format!("webhook\ndiscord\n{secret}\n"),
        format!("webhook\nteams\n{secret}\n"),
        "webhook\nntfy\n\nmy-topic\n".to_owned(),
        format!("webhook\ngotify\nhttps://gotify.example.org\n{secret}\n"),
        format!("webhook\ntelegram\n\n42\n{secret}\n"),
    ]
    .iter()
    .enumerate()
    {
        let file = desk.path(&format!("{number}.toml"));
        let file = file.to_str().unwrap();
        let answers = format!(
            "{}\nenv\nKEEPFAST_PASSWORD\n{}\n\nnever\nUTC\nno\n{told}",
            desk.repo().display(),
            source.display()
        );
        ask(&desk, &[file], &answers).succeeds();
        desk.run(["--config", file, "config", "check", "--resolve"]).succeeds();
    }
}

#[test]
fn what_opens_nothing_writes_nothing() {
    let desk = Desk::new();
    let (file, wrong) = (desk.path("keepfast.toml"), desk.path("wrong"));
    fs::write(&wrong, "not the horse\n").unwrap();
    let answers = format!(
        "{}\nfile\n{}\n{}\n\nnever\nUTC\nno\nnone\n",
        desk.repo().display(),
        wrong.display(),
        desk.path("src").display()
    );
    ask(&desk, &[file.to_str().unwrap()], &answers).fails(12, &["nothing was written", "wrong password"]);
    assert!(!file.exists());
    // A password that was made for a repository that another one opens goes again.
    let answers = answers.replace(&format!("file\n{}", wrong.display()), "generate\n");
    ask(&desk, &[file.to_str().unwrap()], &answers).fails(12, &["nothing was written"]);
    assert!(!file.exists() && !desk.path("main-password").exists());
}
