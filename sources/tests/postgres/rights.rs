//! What a user may not read: no dump, or one that says what is missing, and always the statement that would help.

use keepfast_sources::SourceError;
use keepfast_sources::address::Address;
use keepfast_sources::context::Context;
use keepfast_sources::dump::{DumpOptions, OnMissing};
use keepfast_sources::restore::RestoreOptions;
use keepfast_sources::survey::{Finding, Survey, Weight, survey};
use keepfast_testkit::servers::PostgresVersion;

use crate::lab::{Lab, error_of};

fn looked(lab: &Lab, of: &Address) -> Survey {
    survey(of, &DumpOptions::default(), &lab.context()).expect("a survey")
}

#[test]
fn what_may_not_be_read_is_named_with_the_statement_that_helps() {
    let lab = Lab::of(PostgresVersion::V18);
    let shop = lab.server.database();
    lab.server.execute(
        &shop,
        "CREATE ROLE backup LOGIN; CREATE SCHEMA closed; CREATE TABLE closed.inside (x integer);
        CREATE TABLE open (x integer); INSERT INTO open VALUES (1); GRANT SELECT ON open TO backup;
        CREATE TABLE secret (x serial PRIMARY KEY); GRANT SELECT ON SEQUENCE secret_x_seq TO backup;
        CREATE TABLE refers (x integer REFERENCES secret); GRANT SELECT ON refers TO backup;
        CREATE TABLE rowed (x integer); ALTER TABLE rowed ENABLE ROW LEVEL SECURITY; GRANT SELECT ON rowed TO backup",
    );
    let as_backup = Address { user: Some("backup".to_owned()), ..lab.address(&shop) };

    let found = looked(&lab, &as_backup);
    assert!(!found.is_whole());
    assert!(found.databases[0].bytes > Some(1 << 20) && found.databases[0].tables == 5, "{found:?}");
    assert!(found.server.starts_with("18.") && found.tools[0].version.starts_with("18."), "{found:?}");
    let texts: Vec<&str> = found.findings.iter().map(|finding| finding.text.as_str()).collect();
    let says = |text: &str| texts.iter().any(|found| found.contains(text));
    assert!(says("GRANT USAGE ON SCHEMA \"closed\" TO \"backup\""), "{texts:?}");
    assert!(
        says(&format!(
            "table {shop}.public.secret: backup may not read it; this lets it: GRANT SELECT ON \"public\".\"secret\" TO \"backup\""
        )),
        "{texts:?}"
    );
    assert!(
        says("ALTER ROLE \"backup\" BYPASSRLS") && says("GRANT pg_read_all_data TO \"backup\""),
        "{texts:?}"
    );
    assert!(says("without their passwords"), "{texts:?}");

    let (error, text) = error_of(lab.dump(&as_backup, &DumpOptions::default(), "none"));
    assert!(matches!(error, SourceError::Missing { .. }), "{error}");
    assert!(text.contains("GRANT USAGE ON SCHEMA \"closed\"") && text.contains("and 2 more"), "{text}");

    let report = DumpOptions { on_missing: OnMissing::Report, ..DumpOptions::default() };
    let manifest = lab.dump(&as_backup, &report, "part").expect("a part of it");
    let missing: Vec<&str> = manifest.missing.iter().map(|missing| missing.object.as_str()).collect();
    let object = |name: &str| format!("table {shop}.{name}");
    assert_eq!(
        missing,
        ["passwords of roles", &object("closed.inside"), &object("public.rowed"), &object("public.secret")]
    );
    let report = lab.restore("part", &lab.address("copy"), &RestoreOptions::default()).expect("a restore");
    assert_eq!(report.rows, 1);
    assert!(report.warnings.iter().any(|warning| warning.contains("secret")), "{:?}", report.warnings);

    lab.server.execute(&shop, "GRANT pg_read_all_data TO backup; ALTER ROLE backup BYPASSRLS");
    let found = looked(&lab, &as_backup);
    assert!(found.is_whole(), "{:?}", found.findings);
    let manifest = lab.dump(&as_backup, &DumpOptions::default(), "whole").expect("a dump");
    assert_eq!(manifest.missing, [], "who may read everything reads passwords too");

    // Programs of an older version can't read this server.
    let old = Context { programs: vec![PostgresVersion::Debian.programs()], ..lab.context() };
    let found = survey(&as_backup, &DumpOptions::default(), &old).expect("a survey");
    let is_said = |finding: &Finding| {
        finding.weight == Weight::Impossible
            && finding.text.contains("pg_dump 15.")
            && finding.text.contains("PostgreSQL 18")
    };
    assert!(found.findings.iter().any(is_said), "{:?}", found.findings);
}
