//! Parts of a database: chosen when it is dumped, or when it is restored.

use keepfast_sources::SourceError;
use keepfast_sources::dump::{Content, DumpOptions, Selection};
use keepfast_sources::engines::plan;
use keepfast_sources::restore::{Existing, RestoreOptions};
use keepfast_testkit::servers::PostgresVersion;

use crate::lab::{Lab, error_of};

const SHOP: &str = "CREATE ROLE clerk; CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('a', 'b');
    CREATE TABLE app.orders (id serial PRIMARY KEY, how app.mood, n integer CHECK (n > 0)); CREATE INDEX by_n ON app.orders (n);
    INSERT INTO app.orders (how, n) SELECT 'b', n FROM generate_series(1, 100) n; GRANT SELECT ON app.orders TO clerk;
    COMMENT ON COLUMN app.orders.n IS 'how many';
    CREATE TABLE app.items (id integer REFERENCES app.orders); INSERT INTO app.items VALUES (1), (2);
    CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER touch BEFORE UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.touch();
    CREATE VIEW app.seen AS SELECT n FROM app.orders;
    CREATE TABLE public.parts (n integer) PARTITION BY LIST (n); CREATE TABLE public.part_1 PARTITION OF public.parts FOR VALUES IN (1);
    CREATE TABLE public.part_2 PARTITION OF public.parts DEFAULT; INSERT INTO public.parts SELECT n FROM generate_series(1, 9) n;
    CREATE TABLE public.log (x text); INSERT INTO public.log VALUES ('one')";

fn only(tables: &[&str], schemas: &[&str], existing: Existing) -> RestoreOptions {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    RestoreOptions { tables: owned(tables), schemas: owned(schemas), existing, ..RestoreOptions::default() }
}

#[test]
fn tables_and_schemas_are_restored_with_what_belongs_to_them() {
    let lab = Lab::of(PostgresVersion::V18);
    let shop = lab.server.database();
    lab.server.execute(&shop, SHOP);
    lab.dump(&lab.address(&shop), &DumpOptions::default(), "dump").expect("a dump");
    let tables = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname IN ('app', 'public') AND relkind IN ('r', 'p', 'v')";

    // Into a new database: with its type, its trigger's function, its sequence and its rights.
    let one = only(&["app.orders"], &[], Existing::Refuse);
    let report = lab.restore("dump", &lab.address("one"), &one).expect("a restore");
    assert_eq!((report.tables, report.rows, report.warnings), (1, 100, vec![]));
    assert_eq!(lab.server.query("one", tables), "orders");
    let definition = "SELECT count(*) FILTER (WHERE indexname IN ('by_n', 'orders_pkey')), (SELECT count(*) FROM pg_trigger),
        has_table_privilege('clerk', 'app.orders', 'SELECT'), nextval('app.orders_id_seq') FROM pg_indexes WHERE schemaname = 'app'";
    assert_eq!(lab.server.query("one", definition), "2|1|t|101");

    // A partitioned table comes with its partitions.
    lab.restore("dump", &lab.address("one"), &only(&["parts"], &[], Existing::Refuse)).expect("a restore");
    assert_eq!(lab.server.query("one", "SELECT count(*), count(DISTINCT tableoid) FROM parts"), "9|2");

    // A schema, into a database that has something else.
    lab.server.execute("postgres", "CREATE DATABASE other");
    lab.server.execute("other", "CREATE TABLE public.mine (x integer)");
    let app = only(&[], &["app"], Existing::Refuse);
    let report = lab.restore("dump", &lab.address("other"), &app).expect("a restore");
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!(lab.server.query("other", tables), "items mine orders seen");

    // Where the table is, only its rows are replaced, and that is said before.
    lab.server
        .execute(&shop, "DELETE FROM app.items; INSERT INTO app.items VALUES (5); DELETE FROM public.log");
    let items = only(&["app.items", "log"], &[], Existing::Refuse);
    let (error, text) = error_of(lab.restore("dump", &lab.address(&shop), &items));
    assert!(matches!(error, SourceError::Occupied { .. }) && text.contains("app.items"), "{text}");
    let replacing = RestoreOptions { existing: Existing::Replace, ..items };
    let planned = plan(&lab.files("dump"), &lab.address(&shop), &replacing, &lab.context()).expect("a plan");
    assert_eq!(planned.replaces, [format!("the rows of the table \"app\".\"items\" of {shop}")]);
    lab.restore("dump", &lab.address(&shop), &replacing).expect("a restore");
    assert_eq!(
        lab.server
            .query(&shop, "SELECT (SELECT string_agg(id::text, ' ' ORDER BY id) FROM app.items), x FROM log"),
        "1 2|one"
    );

    let (error, text) =
        error_of(lab.restore("dump", &lab.address(&shop), &only(&["nothing"], &[], Existing::Refuse)));
    assert!(matches!(error, SourceError::Missing { .. }) && text.contains("table nothing"), "{text}");
}

#[test]
fn a_dump_has_only_what_was_asked_for() {
    let lab = Lab::of(PostgresVersion::Debian);
    let shop = lab.server.database();
    lab.server.execute(&shop, SHOP);
    let dump = |name: &str, selection: Selection| {
        let options = DumpOptions { selection, ..DumpOptions::default() };
        lab.dump(&lab.address(&shop), &options, name)
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let has = |name: &str| {
        let contents = lab.contents(name);
        contents
            .keys()
            .filter_map(|path| path.split_once("/data/"))
            .map(|(_, table)| table.to_owned())
            .collect::<Vec<_>>()
    };

    dump(
        "tables",
        Selection {
            tables: names(&["app.*", "parts"]),
            exclude_tables: names(&["items"]),
            ..Selection::default()
        },
    )
    .expect("a dump");
    assert_eq!(has("tables"), ["app.orders", "public.part_1", "public.part_2"]);

    dump("one", Selection { tables: names(&["log"]), ..Selection::default() }).expect("a dump");
    lab.restore("one", &lab.address("log"), &RestoreOptions::default()).expect("a restore");
    assert_eq!(lab.server.query("log", "SELECT * FROM log"), "one");

    dump("schema", Selection { schemas: names(&["app"]), ..Selection::default() }).expect("a dump");
    assert_eq!(has("schema"), ["app.items", "app.orders"]);
    lab.restore("schema", &lab.address("schema"), &RestoreOptions::default()).expect("a restore");
    assert_eq!(
        lab.server
            .query("schema", "SELECT count(*), max(nextval) FROM app.seen, nextval('app.orders_id_seq')"),
        "100|101"
    );

    dump("definitions", Selection { content: Content::Schema, ..Selection::default() }).expect("a dump");
    assert_eq!(has("definitions"), Vec::<String>::new());
    lab.restore("definitions", &lab.address("empty"), &RestoreOptions::default()).expect("a restore");
    assert_eq!(lab.server.query("empty", "SELECT count(*) FROM app.orders"), "0");

    // Rows alone go into tables that are there.
    dump("rows", Selection { content: Content::Data, ..Selection::default() }).expect("a dump");
    let (error, text) = error_of(lab.restore("rows", &lab.address("nothing"), &RestoreOptions::default()));
    assert!(matches!(error, SourceError::Missing { .. }) && text.contains("no definitions"), "{text}");
    lab.restore("rows", &lab.address("empty"), &RestoreOptions::default()).expect("a restore");
    assert_eq!(
        lab.server.query("empty", "SELECT count(*), nextval('app.orders_id_seq') FROM app.orders"),
        "100|101"
    );

    let (error, text) =
        error_of(dump("typo", Selection { tables: names(&["ordres"]), ..Selection::default() }));
    assert!(matches!(error, SourceError::Missing { .. }) && text.contains("table ordres"), "{text}");
}
