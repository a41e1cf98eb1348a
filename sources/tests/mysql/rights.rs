//! What an account may do: what is missing is named with the grant that helps, and a dump lacks nothing in silence.

use keepfast_sources::address::{Address, Place};
use keepfast_sources::dump::{DumpOptions, OnMissing};
use keepfast_sources::engines::{dump, survey};
use keepfast_sources::error::SourceError;
use keepfast_sources::sink::FolderSink;
use keepfast_sources::survey::{Survey, Weight};
use keepfast_testkit::servers::MariaDbServer;

use crate::lab::{Lab, SHOP, address, address_of, contents};

fn texts(survey: &Survey) -> String {
    survey.findings.iter().map(|finding| format!("{:?} {}\n", finding.weight, finding.text)).collect()
}

/// What a survey says of a server that is as it should be, and of one that isn't.
#[test]
fn a_survey_says_what_is_there_and_what_would_be_better() {
    let server = MariaDbServer::start();
    server.query(SHOP);
    let lab = Lab::new();
    let look = |address: &Address| survey(address, &DumpOptions::default(), &lab.context());
    let found = look(&address(&server)).expect("it is looked at");
    assert!(found.server.starts_with("10.11") && found.findings.is_empty() && found.is_whole(), "{found:?}");
    let shop = found.databases.iter().find(|database| database.name == "shop").expect("the shop");
    assert!(shop.tables == 9 && shop.bytes > Some(0), "{shop:?}");
    assert_eq!(found.tools.len(), 3, "{:?}", found.tools);
    assert!(found.tools.iter().all(|tool| tool.version.contains('.')), "{:?}", found.tools);

    server.query(
        "CREATE TABLE shop.loose (a INT) ENGINE=MyISAM; CREATE TABLE shop.aria (a INT) ENGINE=Aria;
         CREATE TABLE shop.gone (a INT); CREATE VIEW shop.broken AS SELECT * FROM shop.gone; DROP TABLE shop.gone;
         SET GLOBAL binlog_format = 'STATEMENT';",
    );
    let said = texts(&look(&address(&server)).expect("it is looked at"));
    assert!(
        said.contains("shop.aria (Aria), shop.loose (MyISAM)") && said.contains("ENGINE=InnoDB"),
        "{said}"
    );
    assert!(said.contains("binlog_format is STATEMENT"), "{said}");
    assert!(said.contains("Incomplete table shop.broken") && said.contains("repair or drop"), "{said}");

    let nowhere = Address {
        place: Place::Server { host: "127.0.0.1".to_owned(), port: 1.try_into().expect("a port") },
        ..address(&server)
    };
    let refused = look(&nowhere).expect_err("no one listens");
    assert!(matches!(refused, SourceError::Connect { .. }), "{refused}");
    server.query("CREATE USER reader2@localhost IDENTIFIED BY 'right';");
    let denied = look(&address_of(&server, "reader2", "wr0ng-horse")).expect_err("a wrong password");
    assert!(
        matches!(denied, SourceError::Connect { .. }) && denied.to_string().contains("denied"),
        "{denied}"
    );
    assert!(!denied.to_string().contains("wr0ng"), "{denied}");
    let gone = look(&address(&server).with_database("nothing")).expect("it is looked at");
    assert!(gone.findings.iter().any(|finding| finding.weight == Weight::Impossible), "{gone:?}");

    let without = MariaDbServer::of(&[]);
    let said = texts(&look(&address(&without)).expect("it is looked at"));
    assert!(said.contains("set log_bin"), "{said}");
    without.query("CREATE DATABASE a; CREATE TABLE a.t (a INT);");
    let (manifest, _) = lab.dump(&address(&without), "without");
    assert!(manifest.position.is_empty());
}

/// Grants are added as the errors say, one after the other, until the dump is whole.
#[test]
fn each_missing_right_is_named_until_the_dump_is_whole() {
    let server = MariaDbServer::start();
    server.query(SHOP);
    server.query(
        "CREATE TABLE shop.secret (a INT); CREATE USER backup@localhost IDENTIFIED BY 'pw12';
        GRANT INSERT ON shop.secret TO backup@localhost; GRANT SHOW VIEW ON `o-d d/ä`.* TO backup@localhost;
        GRANT SELECT ON `o-d d/ä`.* TO backup@localhost;",
    );
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' AND table_name <> 'secret';";
    for table in server.query(tables).lines() {
        server.query(&format!("GRANT SELECT ON shop.`{}` TO backup@localhost;", table.replace('`', "``")));
    }
    let lab = Lab::new();
    let from = address_of(&server, "backup", "pw12");
    let mut granted = Vec::new();
    let whole = loop {
        let folder = lab.folder(&format!("dump{}", granted.len()));
        match dump(&from, &DumpOptions::default(), &FolderSink::new(&folder), &lab.context()) {
            Ok(manifest) => break (manifest, folder),
            Err(error) => {
                assert!(matches!(error, SourceError::Missing { .. }), "{error}");
                assert!(contents(&folder).is_empty(), "nothing is dumped then");
                let text = error.to_string();
                let at = text.find("GRANT ").unwrap_or_else(|| panic!("no grant in: {text}"));
                assert!(!granted.contains(&text), "{text} again");
                server.query(&format!("{};", &text[at..]));
                granted.push(text);
            }
        }
    };
    let all = granted.join("\n");
    for right in [
        "SELECT ON `shop`.`secret`",
        "SHOW VIEW ON `shop`",
        "TRIGGER ON `shop`",
        "EVENT ON `shop`",
        "SELECT ON mysql.proc",
        "SELECT ON mysql.*",
    ] {
        assert!(all.contains(right), "{right} isn't in\n{all}");
    }
    let (manifest, folder) = whole;
    assert!(manifest.missing.is_empty());
    // The administrator's dump is the same, though its first lines name no position that the other may not see.
    let (_, root) = lab.dump(&address(&server), "root");
    let (ours, theirs) = (contents(&folder), contents(&root));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert_eq!(ours.get("databases/shop/routines.sql"), theirs.get("databases/shop/routines.sql"));
    assert!(String::from_utf8_lossy(&ours["users.sql"]).contains("reader"));
}

/// As configured, the rest is dumped, and the manifest says what is missing.
#[test]
fn a_dump_without_all_rights_says_what_it_lacks() {
    let server = MariaDbServer::start();
    server.query(SHOP);
    server.query(
        "CREATE TABLE shop.secret (a INT); CREATE USER backup@localhost IDENTIFIED BY 'pw12';
        GRANT SELECT, SHOW VIEW ON shop.parents TO backup@localhost;
        GRANT INSERT ON shop.secret TO backup@localhost;",
    );
    let lab = Lab::new();
    let from = address_of(&server, "backup", "pw12");
    let options = DumpOptions { on_missing: OnMissing::Report, ..DumpOptions::default() };
    let (manifest, folder) = lab.dump_with(&from, "dump", &options);
    let missing: Vec<&str> = manifest.missing.iter().map(|missing| missing.object.as_str()).collect();
    assert_eq!(
        missing,
        [
            "table shop.secret",
            "triggers of shop",
            "events of shop",
            "functions and procedures",
            "users and their rights"
        ]
    );
    assert_eq!(manifest.position.get("databases").map(String::as_str), Some("some"));
    let found = contents(&folder);
    assert!(found.contains_key("databases/shop/tables/parents.sql"));
    assert!(!found.contains_key("databases/shop/tables/secret.sql") && !found.contains_key("users.sql"));
}
