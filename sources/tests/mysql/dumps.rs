//! Round trips: what is dumped is what comes back, and one state of it.

use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};

use keepfast_sources::address::Address;
use keepfast_sources::dump::{Content, DumpOptions, Selection};
use keepfast_sources::engines::{plan, restore};
use keepfast_sources::error::SourceError;
use keepfast_sources::manifest::Manifest;
use keepfast_sources::restore::{Existing, RestoreOptions};
use keepfast_testkit::servers::MariaDbServer;

use crate::lab::{Lab, SHOP, address, contents, files, picture};

fn rows(manifest: &Manifest, database: &str, table: &str) -> Option<u64> {
    let database = manifest.databases.iter().find(|known| known.name == database)?;
    database.tables.iter().find(|known| known.name == table)?.rows
}

/// All of a server, with all that could mislead a reader of dumps, into another server: the same, and counted.
#[test]
fn a_server_comes_back_as_it_was() {
    let (from, to) = (MariaDbServer::start(), MariaDbServer::start());
    from.query(SHOP);
    let lab = Lab::new();
    let (manifest, folder) = lab.dump(&address(&from), "one");
    assert_eq!(rows(&manifest, "shop", "or`ders"), Some(5));
    assert_eq!(rows(&manifest, "shop", ".hidden/dir"), Some(5000));
    assert_eq!(rows(&manifest, "shop", "history"), Some(2), "older rows are dumped too");
    assert_eq!(rows(&manifest, "o-d d/ä", "t"), Some(3));
    assert!(manifest.missing.is_empty() && manifest.position.contains_key("gtid"), "{manifest:?}");
    let first = contents(&folder);
    for file in [
        "databases/shop/tables/or`ders.sql",
        "databases/shop/tables/%2Ehidden%2Fdir.sql",
        "databases/shop/routines.sql",
        "databases/o-d d%2Fä/tables/t.sql",
    ] {
        assert!(first.contains_key(file), "{file} isn't in {:?}", first.keys());
    }
    assert!(
        first.keys().all(|path| !path.contains("evil") && !path.contains("row") && !path.contains("none"))
    );

    let (_, again) = lab.dump(&address(&from), "two");
    assert_eq!(first, contents(&again), "nothing has changed, so that the files are the same");

    let options = RestoreOptions { globals: true, ..RestoreOptions::default() };
    let report = restore(&files(&folder), &address(&to), &options, &lab.context()).expect("it is restored");
    assert!(report.checks.iter().all(|check| check.is_right), "{:?}", report.checks);
    assert_eq!((report.databases, report.rows), (2, 5 + 2 + 5000 + 2 + 2 + 2 + 3));
    for database in ["shop", "o-d d/ä"] {
        assert_eq!(picture(&from, database), picture(&to, database));
    }
    assert_eq!(to.query("SELECT NEXTVAL(shop.counter);"), from.query("SELECT NEXTVAL(shop.counter);"));
    let users = "SHOW GRANTS FOR reader@localhost;";
    assert_eq!(to.query(users), from.query(users));

    let refused = restore(&files(&folder), &address(&to), &options, &lab.context()).expect_err("it is there");
    assert!(matches!(refused, SourceError::Occupied { .. }), "{refused}");
}

/// The files in the manifest's order are what the maker's program prints, whatever they were cut by.
#[test]
fn all_files_are_the_program_s_own_dump() {
    let server = MariaDbServer::start();
    server.query(SHOP);
    let lab = Lab::new();
    let (manifest, folder) = lab.dump(&address(&server), "dump");
    let mut whole = Vec::new();
    for path in &manifest.order {
        whole.extend(std::fs::read(folder.join(path)).expect("a file of the dump"));
    }
    let output = std::process::Command::new("mariadb-dump")
        .args([
            "--no-defaults",
            "--user=root",
            "--single-transaction",
            "--quick",
            "--skip-dump-date",
            "--hex-blob",
        ])
        .args([
            "--default-character-set=utf8mb4",
            "--routines",
            "--events",
            "--triggers",
            "--master-data=2",
            "--gtid",
        ])
        .args(["--dump-history", "--no-tablespaces", "--max-allowed-packet=1073741824"])
        .arg(format!("--socket={}", server.socket().display()))
        .args(["--databases", "o-d d/ä", "shop"])
        .output()
        .expect("the program starts");
    let printed = String::from_utf8(output.stdout).expect("text");
    let (first, rest) = printed.split_once('\n').expect("lines");
    assert!(first.contains("sandbox"), "{first}");
    assert_eq!(String::from_utf8_lossy(&whole), rest);
}

/// One database under another name beside itself, one table into a database, and in place of what is there.
#[test]
fn parts_of_a_dump_come_back_under_other_names() {
    let server = MariaDbServer::start();
    server.query(SHOP);
    let lab = Lab::new();
    let (_, folder) = lab.dump(&address(&server), "dump");
    let (files, context) = (files(&folder), lab.context());
    let named = |name: &str| address(&server).with_database(name);
    let before = picture(&server, "shop");
    let one = RestoreOptions { database: Some("shop".to_owned()), ..RestoreOptions::default() };

    let plans = plan(&files, &named("shop2"), &one, &context).expect("a plan");
    assert!(plans.steps.iter().any(|step| step.contains("shop as shop2")), "{plans:?}");
    assert!(plans.replaces.is_empty() && plans.bytes > 0);
    restore(&files, &named("shop2"), &one, &context).expect("it is restored");
    assert_eq!(picture(&server, "shop2"), before);
    assert_eq!(picture(&server, "shop"), before, "the other one is as it was");

    // A table alone.
    server.query(
        "DROP TABLE shop2.children; DELETE FROM shop2.`or``ders`; INSERT INTO shop2.parents VALUES (3);",
    );
    let table =
        |name: &str, existing| RestoreOptions { tables: vec![name.to_owned()], existing, ..one.clone() };
    let to = named("shop2");
    restore(&files, &to, &table("children", Existing::Refuse), &context).expect("it is restored");
    let refused =
        restore(&files, &to, &table("or`ders", Existing::Refuse), &context).expect_err("it is there");
    assert_eq!(refused.to_string(), "table shop2.or`ders is there, and isn't empty");
    let report =
        restore(&files, &to, &table("or`ders", Existing::Replace), &context).expect("it is replaced");
    assert_eq!((report.tables, report.rows), (1, 5));
    assert_eq!(server.query("SELECT COUNT(*) FROM shop2.parents;"), "3", "other tables are as they were");
    let none =
        restore(&files, &to, &table("nothing", Existing::Replace), &context).expect_err("no such table");
    assert!(none.to_string().contains("no such table"), "{none}");

    // What isn't in the dump goes, and the plan says so.
    server.query("CREATE TABLE shop2.newer (a INT);");
    let replacing = RestoreOptions { existing: Existing::Replace, ..one.clone() };
    let plans = plan(&files, &to, &replacing, &context).expect("a plan");
    assert!(plans.replaces[0].contains("shop2") && plans.replaces[0].contains("newer"), "{plans:?}");
    assert!(restore(&files, &to, &one, &context).is_err());
    restore(&files, &to, &replacing, &context).expect("it is replaced");
    assert_eq!(picture(&server, "shop2"), before);
    assert!(restore(&files, &named("mysql"), &replacing, &context).is_err(), "the server's own database");
}

/// Money moves between tables of two databases while they are dumped: no dump may show a sum that was never there.
#[test]
fn a_dump_is_one_state_of_several_databases() {
    let server = MariaDbServer::start();
    server.query(
        "CREATE DATABASE a; CREATE DATABASE b; USE a;
         CREATE TABLE a.money (id INT PRIMARY KEY, amount INT, filler CHAR(200) DEFAULT 'x');
         CREATE TABLE b.money (id INT PRIMARY KEY, amount INT, filler CHAR(200) DEFAULT 'x');
         INSERT INTO a.money (id, amount) SELECT seq, 100 FROM seq_1_to_5000;
         INSERT INTO b.money (id, amount) SELECT seq, 100 FROM seq_1_to_5000;",
    );
    let lab = Lab::new();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                server.query(
                    "DELIMITER //\nBEGIN NOT ATOMIC DECLARE i INT DEFAULT 0; WHILE i < 300 DO \
                     SET @from = 1 + FLOOR(RAND() * 5000), @to = 1 + FLOOR(RAND() * 5000); START TRANSACTION; \
                     UPDATE a.money SET amount = amount - 7 WHERE id = @from; \
                     UPDATE b.money SET amount = amount + 7 WHERE id = @to; \
                     COMMIT; SET i = i + 1; END WHILE; END//",
                );
            }
        });
        let dumps: Vec<_> = (0..4).map(|n| lab.dump(&address(&server), &format!("dump{n}"))).collect();
        is_over.store(true, Ordering::Relaxed);
        for (manifest, folder) in dumps {
            assert_eq!(rows(&manifest, "b", "money"), Some(5000));
            let text: String = ["a", "b"]
                .map(|name| {
                    std::fs::read_to_string(folder.join(format!("databases/{name}/tables/money.sql")))
                })
                .map(|text| text.expect("a file"))
                .concat();
            let amounts = text.lines().filter(|line| line.starts_with('(')).map(|line| {
                line.split(',').nth(1).and_then(|amount| amount.parse::<i64>().ok()).expect("an amount")
            });
            assert_eq!(amounts.sum::<i64>(), 1_000_000);
        }
    });
}

/// Names choose databases and tables; rows of some can be left out; definitions or rows alone.
#[test]
fn a_selection_has_what_is_named() {
    let server = MariaDbServer::start();
    server.query(SHOP);
    let lab = Lab::new();
    let of = |address: &Address, name: &str, selection: Selection| {
        let parallel = NonZeroU16::MIN;
        lab.dump_with(address, name, &DumpOptions { selection, parallel, ..DumpOptions::default() })
    };
    let strings = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let tables = Selection { tables: strings(&["par*", "shop.children"]), ..Selection::default() };
    let (manifest, folder) = of(&address(&server), "tables", tables);
    let shop = manifest.databases.iter().find(|database| database.name == "shop").expect("the shop");
    assert_eq!(
        shop.tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(),
        ["children", "parents"]
    );
    assert!(!contents(&folder).contains_key("users.sql"));

    let without = Selection { exclude_tables: strings(&[".hidden*"]), ..Selection::default() };
    let (manifest, _) = of(&address(&server).with_database("shop"), "without", without);
    assert_eq!(manifest.databases.len(), 1);
    assert_eq!(
        (rows(&manifest, "shop", ".hidden/dir"), rows(&manifest, "shop", "parents")),
        (Some(0), Some(2))
    );

    let schema = Selection { content: Content::Schema, ..Selection::default() };
    let (_, folder) = of(&address(&server), "schema", schema);
    assert!(contents(&folder).values().all(|text| !text.windows(11).any(|word| word == b"INSERT INTO")));

    let data = Selection { content: Content::Data, databases: strings(&["shop"]), ..Selection::default() };
    let (manifest, folder) = of(&address(&server), "data", data);
    assert_eq!(rows(&manifest, "shop", ".hidden/dir"), Some(5000));
    assert!(contents(&folder).values().all(|text| !text.windows(12).any(|word| word == b"CREATE TABLE")));
    // Rows alone go into tables that are there, and empty.
    let restoring = |existing| {
        let options = RestoreOptions { existing, ..RestoreOptions::default() };
        restore(&files(&folder), &address(&server), &options, &lab.context())
    };
    server.query("SET SESSION foreign_key_checks = 0; TRUNCATE TABLE shop.parents; INSERT INTO shop.parents VALUES (9);");
    let refused = restoring(Existing::Refuse).expect_err("there are rows").to_string();
    assert!(refused.contains("isn't empty"), "{refused}");
    assert_eq!(server.query("SELECT id FROM shop.parents;"), "9");
    let report = restoring(Existing::Replace).expect("the rows are replaced");
    assert!(report.checks.iter().all(|check| check.is_right), "{report:?}");
    assert_eq!(server.query("SELECT GROUP_CONCAT(id) FROM shop.parents;"), "1,2");
    server.query("DROP TABLE shop.numbers;");
    let gone = restoring(Existing::Replace).expect_err("a table isn't there").to_string();
    assert!(gone.contains("`shop`.`numbers`") && gone.contains("isn't there"), "{gone}");
}
