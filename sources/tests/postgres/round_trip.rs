//! What was dumped comes back the same.

use std::num::NonZeroU16;

use keepfast_sources::SourceError;
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::restore::{Existing, RestoreOptions, plan};
use keepfast_testkit::servers::PostgresVersion;

use crate::lab::{Lab, assert_same, error_of};

fn parallel(count: u16) -> DumpOptions {
    DumpOptions { parallel: NonZeroU16::new(count).expect("not zero"), ..DumpOptions::default() }
}

/// All that pg_dump knows of a database is the same after a restore, and a second dump has the same bytes, however many
/// connections read.
fn round_trip(version: PostgresVersion) {
    let lab = Lab::of(version);
    let database = lab.server.database();
    lab.server.execute(&database, include_str!("odd.sql"));
    // What only one of them can do.
    lab.server.execute(&database, match version {
        PostgresVersion::Debian => {
            "SET xmloption = content; CREATE TABLE pages (page xml); INSERT INTO pages VALUES ('<a>1</a> tail')"
        }
        PostgresVersion::V18 => {
            "CREATE TABLE virtual (a integer, b integer GENERATED ALWAYS AS (a + 1) VIRTUAL); INSERT INTO virtual VALUES (1)"
        }
    });
    let odd = "Odd \"data\\base'.x";
    lab.server.execute("postgres", &format!("CREATE DATABASE \"{}\"", odd.replace('"', "\"\"")));
    lab.server.execute(
        "postgres",
        &format!(
            "ALTER DATABASE {database} SET search_path = app, \"$user\", 'a b'; ALTER DATABASE {database} SET work_mem = '5MB';
            ALTER ROLE reader IN DATABASE {database} SET statement_timeout = '7s'; COMMENT ON DATABASE {database} IS 'it''s';
            GRANT CONNECT ON DATABASE {database} TO reader; REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"
        ),
    );
    lab.server.execute("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    lab.server.execute("latin", "CREATE TABLE \"wört\" (x text); INSERT INTO \"wört\" VALUES ('fünf')");
    if version == PostgresVersion::V18 {
        with_extension(&lab, &database);
    }
    let manifest = lab.dump(&lab.whole(), &parallel(4), "four").expect("a dump");
    assert_eq!(manifest.missing, []);
    let names: Vec<&str> = manifest.databases.iter().map(|database| database.name.as_str()).collect();
    assert_eq!(names, [odd, &database, "latin", "postgres"]);
    let tables = &manifest.databases[1].tables;
    let rows_of = |name: &str| tables.iter().find(|table| table.name == name).and_then(|table| table.rows);
    assert_eq!(rows_of("orders"), Some(5000));
    assert_eq!(rows_of("no_columns"), Some(3));
    assert_eq!(rows_of("only_generated"), Some(1));
    assert_eq!((rows_of("parts"), rows_of("parts_old"), rows_of("parent")), (None, Some(30), Some(1)));
    assert!(manifest.position.contains_key(&format!("lsn of {database}")) && manifest.moment.is_some());

    lab.dump(&lab.whole(), &parallel(1), "one").expect("a dump");
    let (four, one) = (lab.contents("four"), lab.contents("one"));
    assert_eq!(four.keys().collect::<Vec<_>>(), one.keys().collect::<Vec<_>>());
    for (path, content) in &four {
        assert!(*content == one[path], "{path} isn't the same a second time");
    }

    let only = RestoreOptions { database: Some(database.clone()), ..RestoreOptions::default() };
    let report = lab.restore("four", &lab.address("copy"), &only).expect("a restore");
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!(report.rows, tables.iter().filter_map(|table| table.rows).sum::<u64>());
    assert_eq!(report.checks.len(), tables.iter().filter(|table| table.file.is_some()).count());
    assert_same(&lab.said_by_pg_dump("copy"), &lab.said_by_pg_dump(&database));
    // Hashes of an enum's values are others in another database, and so are the partitions.
    let hashed = "SELECT count(*), sum(x), sum(length(how::text)) FROM public.hashed";
    assert_eq!(lab.server.query("copy", hashed), lab.server.query(&database, hashed));
    let settings = |database: &str| {
        lab.server.query(
            "postgres",
            &format!(
                "SELECT (SELECT array_agg(a ORDER BY a::text) FROM unnest(datacl) a), datcollate, shobj_description(d.oid, 'pg_database'), setrole, setconfig
                FROM pg_database d JOIN pg_db_role_setting ON setdatabase = d.oid WHERE datname = '{database}' ORDER BY setrole"
            ),
        )
    };
    assert_eq!(settings("copy"), settings(&database));

    let latin = RestoreOptions { database: Some("latin".to_owned()), ..RestoreOptions::default() };
    lab.restore("four", &lab.address("latin_2"), &latin).expect("a restore");
    let bytes = "SELECT x, encode(x::bytea, 'hex') FROM \"wört\"";
    assert_eq!(lab.server.query("latin_2", bytes), lab.server.query("latin", bytes));

    // It isn't empty any more.
    let before = lab.said_by_pg_dump("copy");
    lab.server.execute("copy", "CREATE TABLE public.mine (x integer)");
    let (error, _) = error_of(lab.restore("four", &lab.address("copy"), &only));
    assert!(matches!(error, SourceError::Occupied { .. }), "{error}");
    let replacing = RestoreOptions { existing: Existing::Replace, ..only };
    let planned = plan(&lab.files("four"), &lab.address("copy"), &replacing, &lab.context()).expect("a plan");
    assert_eq!(planned.replaces, ["the database copy with all that is in it"]);
    lab.restore("four", &lab.address("copy"), &replacing).expect("a restore");
    assert_same(&lab.said_by_pg_dump("copy"), &before);
    let left = "SELECT count(*) FROM pg_database WHERE datname LIKE '%keepfast-%'";
    assert_eq!(lab.server.query("postgres", left), "0");
}

/// An extension whose table has rows of its own, and some of the database.
fn with_extension(lab: &Lab, database: &str) {
    let place = lab.server.socket().join("extensions");
    std::fs::create_dir_all(place.join("extension")).expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(place.join("extension").join(name), text).expect("a file");
    };
    write("fruit.control", "default_version = '1.0'\nrelocatable = false\nschema = public\n");
    let script = "CREATE TABLE fruit (name text, is_own boolean); INSERT INTO fruit VALUES ('apple', false);
        CREATE TABLE fixed (x integer); INSERT INTO fixed VALUES (1);
        SELECT pg_catalog.pg_extension_config_dump('fruit', 'WHERE is_own');";
    write("fruit--1.0.sql", script);
    let path = format!("ALTER SYSTEM SET extension_control_path = '{}:$system'", place.display());
    lab.server.execute("postgres", &path);
    lab.server.execute("postgres", "SELECT pg_reload_conf()");
    lab.server.execute(database, "CREATE EXTENSION fruit; INSERT INTO public.fruit VALUES ('mine', true)");
}

#[test]
fn what_was_dumped_comes_back_the_same_debian() {
    round_trip(PostgresVersion::Debian);
}

#[test]
fn what_was_dumped_comes_back_the_same_18() {
    round_trip(PostgresVersion::V18);
}
