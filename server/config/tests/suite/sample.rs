//! The sample of a whole configuration: that it works, what it means, and what is shown of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use keepfast_config::config::Kind;
use keepfast_config::model::drill::Choose;
use keepfast_config::model::hook::{Moment, OnError};
use keepfast_config::model::schedule::When;
use keepfast_config::model::secret::{AddressOrSecret, SecretReference};
use keepfast_config::model::source::Engine;
use keepfast_config::values::amount::{Count, ShareOrNumber, Threshold};
use keepfast_config::values::window::TimeOfDay;

use crate::desk::Desk;

/// The sample, on a machine that has what it needs.
pub fn sample() -> Desk {
    Desk::new(include_str!("../sample/keepfast.toml"))
        .file("conf.d/offsite.toml", include_str!("../sample/conf.d/offsite.toml"))
        .variable("BUCKET", "backups")
}

/// Only what the sample really leaves open is told.
#[test]
fn it_has_no_error_and_the_warnings_that_it_deserves() {
    assert_eq!(sample().errors(), [""; 0]);
    // Two plans without a route and a drill, and a repository without a check.
    assert_eq!(sample().warnings(), ["C057", "C040", "C041", "C040", "C041", "C042"]);
}

#[test]
fn plans_have_what_their_templates_say() {
    let config = sample().config();
    let [laptops, shop, www] = ["laptops", "shop-db", "www"].map(|name| &config.plans[name].value);
    let of_www = www.schedule.as_ref().expect("a schedule");
    assert_eq!(of_www.cron.as_ref().map(|cron| cron.0.as_str()), Some("30 1 * * *"));
    let of_laptops = laptops.schedule.as_ref().expect("a schedule");
    assert_eq!(of_laptops.every.map(|every| every.0), Some(Duration::from_secs(20 * 3600)));
    assert_eq!((of_laptops.cron.as_ref(), of_laptops.when), (None, When::Online), "`every` displaces `cron`");
    assert_eq!(of_laptops.jitter, of_www.jitter, "what both share is inherited");
    assert!(www.limits.is_none() && laptops.limits.is_some(), "`unset` drops what a template gives");
    let limits = shop.limits.as_ref().expect("limits");
    let (window, rates) = limits.windows.first().expect("a window");
    assert_eq!((window.from, window.to), (TimeOfDay { minutes: 480 }, TimeOfDay { minutes: 1080 }));
    assert_eq!(rates.upload.map(|rate| rate.bytes_per_s), Some(2 << 20));
    let retention = &www.retention.as_ref().expect("retention").value;
    assert_eq!((retention.daily, retention.at_least), (Some(Count::Number(14)), Some(3)));
    assert!(matches!(retention.max_removed, ShareOrNumber::Share(share) if share.thousandths == 500));
    let anomaly = www.anomaly.as_ref().expect("an anomaly");
    assert_eq!(anomaly.new_bytes, Some(Threshold::Times { tenths: 50 }));
    assert_eq!((www.hook[0].on, www.hook[0].on_error()), (Moment::Before, OnError::Abort));
    assert_eq!(config.zone(www).0, "Europe/Paris");
}

#[test]
fn secrets_are_references() {
    let config = sample().config();
    let password = &config.repositories["main"].value.password;
    let SecretReference::Vault { path, field, token, .. } = password else { panic!("{password:?}") };
    assert_eq!((path.as_str(), field.as_str()), ("kv/data/keepfast", "password"));
    assert_eq!(**token.as_ref().expect("a token"), SecretReference::File("/run/secrets/vault-token".into()));
    let (engine, database) = config.plans["shop-db"].value.source.0[0].database().expect("a database");
    assert_eq!(engine, Engine::Postgres);
    assert_eq!(database.password, Some(SecretReference::Environment("SHOP_PW".to_owned())));
    let webhook = config.targets["chat"].value.webhook.as_ref().expect("a webhook");
    let expected = AddressOrSecret::Secret(SecretReference::Environment("CHAT_HOOK".to_owned()));
    assert_eq!(webhook.url.value, expected);
    assert_eq!(config.repositories["main"].value.url.value.to_string(), "s3://backups-dev/kf");
}

#[test]
fn drills_routes_and_digests_are_there() {
    let config = sample().config();
    let drill = &config.drills["shop-db"].value;
    assert!(matches!(drill.choose, Choose::RandomWithin(age) if age.days == 30));
    assert_eq!(drill.expect.len(), 2);
    let route = &config.routes[0].value;
    assert!(route.matching.plan[0].value.matches("shop-db") && !route.matching.plan[0].value.matches("www"));
    assert!(route.policy.quiet.expect("quiet hours").unless_critical);
    assert!(config.digest.expect("a digest").value.weekly.is_some());
    assert_eq!(sample().config().names(Kind::Plan), ["laptops", "shop-db", "www"]);
}

/// The effective view of the sample, as TOML and as JSON with origins. `KEEPFAST_BLESS=1` writes both.
#[test]
fn the_effective_view_has_every_value_with_its_origin() {
    let loaded = sample().load();
    let config = loaded.config.expect("there is no error");
    let sources = Some(loaded.report.sources());
    let json = config.effective.to_json("", sources).expect("everything");
    let json = serde_json::to_string_pretty(&json).expect("JSON") + "\n";
    for (name, text) in [("effective.txt", config.effective.to_toml("", sources)), ("effective.json", json)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sample").join(name);
        if std::env::var_os("KEEPFAST_BLESS").is_some() {
            fs::write(&path, &text).expect("a writable folder");
        }
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text, "{name}");
    }
}

#[test]
fn a_part_of_the_effective_view_can_be_asked_for() {
    let loaded = sample().load();
    let config = loaded.config.expect("there is no error");
    let text = config.effective.to_toml("plan.www.schedule", Some(loaded.report.sources()));
    assert!(text.starts_with("[plan.www]\nschedule.catch_up = \"once\"    # keepfast.toml:25\n"), "{text}");
    assert_eq!(text.lines().count(), 5, "{text}");
    let daily = config.effective.to_json("plan.www.retention.daily", Some(loaded.report.sources()));
    assert_eq!(daily.expect("a value").to_string(), r#"{"value":14,"origin":"keepfast.toml:29"}"#);
    assert_eq!(config.effective.to_json("plan.no", None), None);
    assert_eq!(config.effective.lines("plan.ww"), [], "a part of a name is no name");
}
