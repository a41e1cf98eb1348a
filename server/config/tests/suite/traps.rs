//! What other programs' users fell into, as far as a configuration can keep them from it. Each test has a trap's name.

use std::collections::BTreeSet;
use std::time::Duration;

use keepfast_config::model::hook::{Moment, OnError};
use keepfast_config::model::schedule::{CatchUp, Overlap};
use keepfast_config::values::amount::ShareOrNumber;

use crate::desk::Desk;

const NIGHTLY: &str = "schedule = { cron = '30 1 * * *' }";

/// A repository and a plan, with more keys in the plan, and more behind it.
fn with_plan(keys: &str, more: &str) -> Desk {
    Desk::of(&format!(
        "[repository.main]\nurl = 's3://bucket/main'\npassword = {{ file = '/a' }}\n\
         [plan.www]\nrepository = 'main'\nsource = [{{ files = ['/srv/www'] }}]\n{keys}\n{more}\n"
    ))
}

/// Text was substituted before it was parsed: a variable could add keys, move lines, and worked in one file and not the
/// other.
#[test]
fn substitution_in_raw_text() {
    let value = "x\"\nenabled = false\n[plan.injected]\n# ${OTHER} $$";
    let keys = "description = \"${TEXT}\"\nexclude = [\"${TEXT}\"]\nnot_a_key = 1";
    let desk = with_plan(keys, "").variable("TEXT", value);
    let told = desk.told();
    assert!(told.contains("keepfast.toml:10:1") && told.contains("unknown key `not_a_key`"), "{told}");
    let config = with_plan("description = \"${TEXT}\"", "").variable("TEXT", value).config();
    assert_eq!(config.plans.keys().collect::<Vec<_>>(), ["www"]);
    let plan = &config.plans["www"].value;
    assert_eq!((plan.description.as_deref(), plan.enabled), (Some(value), true));
    let other = with_plan("", "").file(
        "conf.d/a.toml",
        "[plan.a]\ndescription = '${TEXT}'\nrepository = 'main'\nsource = [{ files = ['/a'] }]",
    );
    let first =
        String::from_utf8(other.files[&std::path::PathBuf::from("keepfast.toml")].clone()).expect("text");
    let other =
        other.file("keepfast.toml", &first.replace("version = 1", "version = 1\ninclude = ['conf.d/*']"));
    assert_eq!(other.variable("TEXT", value).config().plans["a"].value.description.as_deref(), Some(value));
}

/// Keys are never substituted: a name can't depend on a machine.
#[test]
fn substitution_in_keys() {
    let desk = Desk::of("[target.\"${NAME}\"]\nsmtp = { host = 'mx', to = ['x'] }\n").variable("NAME", "ops");
    assert_eq!(desk.errors(), ["C012"]);
}

/// Lists were merged by index: the second item of a template became the second item of a plan.
#[test]
fn lists_merged_by_index() {
    let template = "[template.t]\nexclude = ['a', 'b', 'c']\n";
    let exclude = |keys: &str| {
        let config = with_plan(&format!("inherits = ['t']\n{keys}"), template).config();
        config.plans["www"].value.exclude.iter().map(|pattern| pattern.0.clone()).collect::<Vec<_>>()
    };
    assert_eq!(exclude("exclude = ['x']"), ["x"]);
    assert_eq!(exclude("exclude = { add = ['x'], remove = ['b'] }"), ["a", "c", "x"]);
    assert_eq!(exclude(""), ["a", "b", "c"]);
}

/// The first error ended everything, so that ten errors took ten attempts; and values of several kinds lost their lines.
#[test]
fn one_error_at_a_time_and_without_its_line() {
    let keys = "rpo = 'x'\nlimits = { 'mon-fri 08:00-18:00' = '2' }\nretention = { daily = 'x' }\nhook = [\n{ on = 'x' },\n{ run = 5 } ]\noverlap = 5";
    let report = with_plan(keys, "[target.ops]\nwebhook = { url = 'x' }").load().report;
    let lines: Vec<usize> = report
        .diagnostics()
        .all()
        .iter()
        .filter(|found| found.is_error())
        .filter_map(|found| Some(report.sources().position(found.at.as_ref()?.origin)?.start.line))
        .collect();
    // Two in each hook: what is wrong, and what is missing.
    assert_eq!(lines, [8, 9, 10, 12, 12, 13, 13, 14, 16]);
}

/// The zone of the container was another one than that of the host; an image had no zones at all.
#[test]
fn zone_of_the_machine() {
    assert_eq!(with_plan("", "").config().server.value.timezone.0, "UTC", "never that of the machine");
    let told = with_plan("timezone = 'CEST'", "").told();
    assert!(told.contains("this machine knows no zone of this name"), "{told}");
    assert_eq!(with_plan("timezone = 'Europe/Paris'", "").errors(), [""; 0]);
}

/// Daily backups by one zone, daily retention by another.
#[test]
fn retention_in_another_zone_than_the_schedule() {
    for keys in [
        "schedule = { cron = '0 1 * * *', timezone = 'UTC' }",
        "retention = { daily = 3, timezone = 'UTC', at_least = 1 }",
    ] {
        assert_eq!(with_plan(keys, "").errors(), ["C021"], "{keys}");
    }
    let config = with_plan("timezone = 'Europe/Paris'", "[server]\ntimezone = 'America/New_York'").config();
    assert_eq!(config.zone(&config.plans["www"].value).0, "Europe/Paris");
}

/// A policy with `daily` alone wiped the snapshots of the day; an empty one wiped all.
#[test]
fn a_policy_that_wipes_the_rest() {
    let retention = |keys: &str| {
        let config = with_plan(&format!("retention = {{ {keys} }}"), "").config();
        config.plans["www"].value.retention.clone().expect("retention").value
    };
    assert!(!retention("").removes(), "an empty policy keeps all");
    assert!(!retention("at_least = 3").removes());
    assert!(retention("daily = 7").removes());
    assert!(
        matches!(retention("daily = 7").max_removed, ShareOrNumber::Share(share) if share.thousandths == 500),
        "there is a brake"
    );
    assert!(with_plan("retention = { daily = 7 }", "").warnings().contains(&"C046".to_owned()));
    assert!(
        !with_plan("retention = { daily = 7, at_least = 1 }", "").warnings().contains(&"C046".to_owned())
    );
    assert!(
        with_plan("retention = { daily = 7, at_least = 0 }", "").warnings().contains(&"C046".to_owned()),
        "zero is no floor"
    );
}

/// Each snapshot had a path of its own, so that each was a group of its own and nothing was ever removed.
#[test]
fn retention_silently_does_nothing() {
    assert_eq!(
        with_plan("retention = { daily = 3, at_least = 1, group_by = 'paths' }", "").errors(),
        ["C021"]
    );
    assert_eq!(
        with_plan("retension = { daily = 3 }", "").errors(),
        ["C021"],
        "a slip of the pen isn't overlooked"
    );
}

/// A hook failed and the backup ran anyway; the service stayed stopped.
#[test]
fn hook_fails_and_the_backup_runs_anyway() {
    let hooks = "hook = [{ on = 'before', run = ['a'], undo = ['b'] }, { on = 'after', run = ['a'] }, { on = 'before', run = ['a'], on_error = 'warn' }]";
    let config = with_plan(hooks, "").config();
    let hooks = &config.plans["www"].value.hook;
    let on_error: Vec<(Moment, OnError)> = hooks.iter().map(|hook| (hook.on, hook.on_error())).collect();
    assert_eq!(
        on_error,
        [(Moment::Before, OnError::Abort), (Moment::After, OnError::Warn), (Moment::Before, OnError::Warn)]
    );
    assert!(hooks.iter().all(|hook| hook.timeout.0 == Duration::from_secs(300)), "none hangs for ever");
    assert_eq!(with_plan("hook = [{ on = 'after', run = [] }]", "").errors(), ["C024"]);
    assert_eq!(
        with_plan("hook = [{ on = 'after', run = 'rm -rf $$X' }]", "").errors(),
        ["C022"],
        "there is no shell"
    );
}

/// Runs piled up, and all that were missed ran at once.
#[test]
fn overlap_and_catch_up_storm() {
    let config = with_plan("schedule = { cron = '0 1 * * *' }", "").config();
    let plan = &config.plans["www"].value;
    assert_eq!(
        (plan.overlap, plan.schedule.as_ref().map(|schedule| schedule.catch_up)),
        (Overlap::Skip, Some(CatchUp::Once))
    );
    assert_eq!(with_plan("overlap = 'queue'", "").errors(), ["C025"]);
}

/// Passwords stood in files of configuration, and in what was shown of them.
#[test]
fn credentials_in_the_configuration() {
    let places = [
        ("", "[repository.x]\nurl = '/x'\npassword = SECRET"),
        ("", "[repository.x]\nurl = '/x'\npassword = { file = '/a' }\nsecret_key = SECRET"),
        ("", "[target.x]\nsmtp = { host = 'mx', to = ['x'], password = SECRET }"),
        ("", "[target.x]\nwebhook = { url = { env = 'X' }, hmac = SECRET }"),
        ("", "[target.x]\nwebhook = { url = { env = 'X' }, token = SECRET }"),
        ("", "[server]\nstate = { postgres = { password = SECRET } }"),
        ("", "[server]\noidc = { issuer = 'https://x', client_id = 'x', client_secret = SECRET }"),
        ("", "[server]\nmetrics = { token = SECRET }"),
        ("", "[plan.x]\nrepository = 'main'\nsource = [{ mysql = { password = SECRET } }]"),
    ];
    for (keys, more) in places {
        for secret in [
            "'hunter2'",
            "\"hunter2\"",
            "'''\nhunter2'''",
            "''",
            "7312",
            "['hunter2']",
            "true",
            "'${A:hunter2}'",
            "'x${A}'",
        ] {
            let desk = with_plan(keys, &more.replace("SECRET", secret));
            let told = desk.told();
            assert!(desk.errors().contains(&"C028".to_owned()), "{more} {secret}: {told}");
            assert!(!told.contains("hunter2") && !told.contains("7312"), "{told}");
            assert!(told.contains("write a reference"), "{told}");
        }
        let desk = with_plan(keys, &more.replace("SECRET", "'${A}'"));
        assert_eq!(desk.errors(), [""; 0], "{more}: the variable is read when the secret is needed");
    }
}

/// What is shown of a configuration had secrets in it: here a command's arguments, which may be one.
#[test]
fn secrets_in_what_is_shown() {
    let desk = with_plan(
        "",
        "[repository.x]\nurl = '/x'\npassword = { command = ['show', 'hunter2'] }\nsecret_key = { command = 'echo hunter2' }",
    );
    let loaded = desk.load();
    let debugged = format!("{loaded:?}");
    let config = loaded.config.expect("there is no error");
    let shown = format!(
        "{debugged}{}{}{}",
        config.effective.to_toml("", None),
        config.effective.to_json("", Some(loaded.report.sources())).expect("everything"),
        config.effective.to_json("", None).expect("everything"),
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("[\"show\", \"…\"]"), "{shown}");
}

/// Nor does a file's text come out with a value that someone prints while looking for an error.
#[test]
fn secrets_in_what_is_printed_for_debugging() {
    let loaded =
        with_plan("", "[repository.x]\nurl = '/x'\npassword = 'hunter2'\npasswort = 'hunter2'").load();
    assert!(loaded.config.is_none());
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

/// The dashboard wrote over the file of an admin, or said something else than the file.
#[test]
fn two_truths() {
    let managed = "[plan.managed]\nrepository = 'main'\nsource = [{ files = ['/b'] }]";
    let desk = with_plan("", "").file("managed.d/a.toml", managed);
    assert_eq!(desk.config().plans.len(), 1, "without being told so, nothing but files counts");
    let desk = with_plan("", "[server]\ndefinitions = 'files+managed'").file("managed.d/a.toml", managed);
    assert_eq!(desk.config().plans.len(), 2);
    let twice =
        desk.file("managed.d/b.toml", "[plan.www]\nrepository = 'main'\nsource = [{ files = ['/b'] }]");
    assert_eq!(twice.errors(), ["C011"]);
    let told = twice.told();
    assert!(
        told.contains("managed.d/b.toml:1:7") && told.contains("keepfast.toml:5:7"),
        "both places: {told}"
    );
}

/// A port was open to everyone, with a password that everyone knew.
#[test]
fn default_password_and_open_port() {
    let server = |keys: &str| with_plan("", &format!("[server]\n{keys}")).errors();
    assert!(with_plan("", "").config().server.value.listen.value.is_local());
    for open in [
        "listen = '0.0.0.0:8400'",
        "listen = '[::]:80'",
        "listen = '10.0.0.1:80'",
        "metrics = { listen = '0.0.0.0:1' }",
    ] {
        assert_eq!(server(open), ["C031"], "{open}");
    }
    assert_eq!(server("listen = '0.0.0.0:8400'\nbehind_proxy = true"), [""; 0]);
}

/// A drill restored into the database that was backed up.
#[test]
fn drill_into_the_live_database() {
    let drill = |server: &str, live: &str| {
        let desk = Desk::of(&format!(
            "[repository.main]\nurl = '/x'\npassword = {{ file = '/a' }}\n[plan.db]\nrepository = 'main'\nsource = [{{ {live} }}]\n\
             [drill.db]\nplan = 'db'\nschedule = {{ cron = '0 1 * * *' }}\nserver = {{ {server} }}\n"
        ));
        desk.errors()
    };
    let live = "postgres = { host = 'db', dbname = 'shop' }";
    assert_eq!(drill("postgres = { host = 'db', port = 5432, dbname = 'shop' }", live), ["C049"]);
    assert_eq!(drill("postgres = { host = 'db', port = 5433, dbname = 'shop' }", live), [""; 0]);
    assert_eq!(drill("postgres = { host = 'db' }", live), [""; 0], "it takes a fresh name");
    assert_eq!(drill("postgres = { host = '::1', dbname = 'a' }", "postgres = { dbname = 'a' }"), ["C049"]);
    assert_eq!(
        drill("mariadb = { dbname = 'a' }", "mysql = { dbname = 'a' }"),
        ["C049"],
        "they share a port"
    );
}

/// History grew without end.
#[test]
fn history_grows() {
    let history = with_plan("", "").config().server.value.history.clone();
    let days = |length: Duration| length.as_secs() / 86_400;
    assert_eq!([days(history.runs.0), days(history.logs.0), days(history.audit.0)], [400, 90, 7 * 365]);
}

/// Hundreds of mails in a minute.
#[test]
fn notification_storm() {
    let more = "[target.ops]\nsmtp = { host = 'mx', to = ['x'] }\n[[route]]\nto = ['ops', 'ops']";
    let config = with_plan("", more).config();
    let policy = &config.routes[0].value.policy;
    assert_eq!((policy.group.0.as_secs(), policy.repeat.0.as_secs(), policy.resolved), (120, 86_400, true));
}

/// Warnings became errors in one version, and not in the next.
#[test]
fn warning_or_error() {
    let loaded = with_plan(NIGHTLY, "").load();
    assert!(!loaded.report.diagnostics().all().is_empty() && loaded.config.is_some());
    let loaded = with_plan("x = 1", "").load();
    assert!(loaded.config.is_none(), "all or nothing");
}

/// Nothing told of a plan that never ran: a plan that no one hears of is told when it is written.
#[test]
fn silence() {
    let told = |more: &str| {
        with_plan(NIGHTLY, &format!("[target.ops]\nsmtp = {{ host = 'mx', to = ['x'] }}\n{more}")).warnings()
    };
    let hears = |more: &str| !told(more).contains(&"C040".to_owned());
    assert!(!hears("") && hears("[[route]]\nto = ['ops']"));
    assert!(!hears("[[route]]\nto = ['ops']\nmatch = { severity = ['info', 'warning'] }"));
    assert!(!hears("[[route]]\nto = ['ops']\nmatch = { event = ['drill'] }"));
    assert!(hears("[[route]]\nto = ['ops']\nmatch = { plan = ['w*'], event = ['failed'] }"));
    assert!(!hears("[[route]]\nto = ['ops']\nmatch = { plan = ['x*'] }"));
    // What something else starts, that something hears of; a repository that no server backs up into is its matter.
    assert_eq!(with_plan("", "").warnings(), [""; 0]);
    assert_eq!(with_plan(&format!("{NIGHTLY}\nenabled = false"), "").warnings(), [""; 0]);
    assert_eq!(with_plan(NIGHTLY, "").warnings(), ["C042", "C040", "C041"]);
}

/// Servers that share a state have to agree about what they do, and may differ in what is each machine's own.
#[test]
fn servers_with_definitions_that_differ() {
    let text = "[server]\ntimezone = '${ZONE:UTC}'\nlisten = '${LISTEN:127.0.0.1:8400}'\nfolder = '${FOLDER:/var/kf}'\n\
                [repository.main]\nurl = '${URL:/srv/backup}'\ncache = '${CACHE:/var/cache/kf}'\n\
                password = { file = '${SECRET:/run/secrets/main}' }\n\
                [plan.www]\nrepository = 'main'\nsource = [{ files = ['${SOURCE:/srv/www}'] }]\n";
    let hash = |name: &str, value: &str| Desk::of(text).variable(name, value).config().shared_hash();
    let plain = hash("NONE", "");
    for (own, value) in [
        ("LISTEN", "127.0.0.1:9000"),
        ("FOLDER", "/var/other"),
        ("CACHE", "/var/cache/other"),
        ("SECRET", "/etc/secret"),
    ] {
        assert_eq!(hash(own, value), plain, "{own}");
    }
    for (shared, value) in [("ZONE", "Europe/Paris"), ("URL", "/srv/other"), ("SOURCE", "/srv/other")] {
        assert_ne!(hash(shared, value), plain, "{shared}");
    }
    assert_ne!(
        Desk::of(&text.replace("'www'", "'web'").replace("plan.www", "plan.web")).config().shared_hash(),
        plain
    );
}

/// Two runs after a reload: what tells one definition from another is what it says, not where or how it is written.
#[test]
fn a_definition_that_says_the_same_has_the_same_hash() {
    let hash = |desk: &Desk| desk.config().plans["www"].hash;
    let plain = hash(&with_plan("rpo = '26h'", ""));
    assert_eq!(
        plain,
        hash(&with_plan("# why\n  rpo   =   \"26h\"\nenabled = true", "")),
        "defaults may be written"
    );
    assert_eq!(plain, hash(&with_plan("inherits = ['t']", "[template.t]\nrpo = '26h'")));
    assert_eq!(plain, hash(&with_plan("rpo = '${RPO:26h}'", "")));
    let others = [
        hash(&with_plan("rpo = '27h'", "")),
        hash(&with_plan("rpo = '26h'\nenabled = false", "")),
        hash(&with_plan("rpo = '${RPO:26h}'", "").variable("RPO", "25h")),
        hash(&with_plan("rpo = '26h'\nretention = { daily = 1 }", "")),
    ];
    let all: BTreeSet<String> = others.iter().chain([&plain]).map(ToString::to_string).collect();
    assert_eq!(all.len(), 5);
}
