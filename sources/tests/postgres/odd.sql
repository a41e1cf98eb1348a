CREATE ROLE "Odd Owner";
CREATE ROLE reader;
CREATE SCHEMA "odd sch.ema" AUTHORIZATION "Odd Owner";
CREATE SCHEMA template1;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE orders (
    id serial PRIMARY KEY, number bigint GENERATED ALWAYS AS IDENTITY (START 100), gone text, how mood DEFAULT 'ok',
    amount numeric(12, 2) NOT NULL, twice numeric GENERATED ALWAYS AS (amount * 2) STORED, note text, at timestamptz,
    much double precision, raw bytea, doc jsonb, few integer[], long interval);
ALTER TABLE orders DROP COLUMN gone;
INSERT INTO orders (how, amount, note, at, much, raw, doc, few, long)
    SELECT (enum_range(NULL::mood))[1 + n % 3], n / 7.0, CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN E'line\nbreak\ttab \\ back' WHEN 2 THEN '' WHEN 3 THEN '\N' ELSE 'Ünïcode 🎉' END,
        '2026-02-03 04:05:06.789+05'::timestamptz + n * interval '1 hour', sqrt(n), decode(md5(n::text), 'hex'), jsonb_build_object('n', n),
        ARRAY[n, NULL, -n], n * interval '1 month 2 days'
    FROM generate_series(1, 5000) n;
COMMENT ON TABLE orders IS 'It''s "quoted"; and \ odd';
GRANT SELECT ON orders TO reader;
CREATE INDEX ON orders (at);
CREATE INDEX ON orders USING gin (doc);
CREATE TABLE items (order_id integer REFERENCES orders, n positive, PRIMARY KEY (order_id, n));
INSERT INTO items SELECT id, id FROM orders;
ALTER TABLE items OWNER TO "Odd Owner";
CREATE TABLE "odd sch.ema"."Ta""ble '..' /ü" ("co""l umn" text, "select" integer);
INSERT INTO "odd sch.ema"."Ta""ble '..' /ü" VALUES ('x', 1);
CREATE TABLE template1.template0 (x integer);
INSERT INTO template1.template0 VALUES (1), (2);
CREATE TABLE no_columns ();
INSERT INTO no_columns SELECT FROM generate_series(1, 3);
CREATE TABLE only_generated (x integer GENERATED ALWAYS AS (1) STORED);
INSERT INTO only_generated DEFAULT VALUES;
CREATE TABLE empty (x integer);
CREATE UNLOGGED TABLE unlogged (x integer);
INSERT INTO unlogged VALUES (7);
CREATE TABLE parent (x integer);
CREATE TABLE child (y integer) INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2, 3);
CREATE TABLE parts (id integer, at date) PARTITION BY RANGE (at);
CREATE TABLE parts_old PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE parts_new PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO (MAXVALUE) PARTITION BY LIST (id);
CREATE TABLE parts_new_1 PARTITION OF parts_new FOR VALUES IN (1, 2);
CREATE TABLE parts_new_2 PARTITION OF parts_new DEFAULT;
INSERT INTO parts SELECT n % 5, '2025-12-01'::date + n FROM generate_series(1, 100) n;
CREATE INDEX ON parts (id);
CREATE TABLE hashed (how mood, x integer) PARTITION BY HASH (how);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hashed SELECT how, id FROM orders;
CREATE TABLE secured (who text);
INSERT INTO secured VALUES ('ann'), ('bob');
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secured TO reader USING (who = current_user);
CREATE MATERIALIZED VIEW totals AS SELECT how, sum(amount) FROM orders GROUP BY how;
CREATE UNIQUE INDEX ON totals (how);
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS x WITH NO DATA;
CREATE VIEW orders_seen AS SELECT id, how FROM orders WHERE how <> 'sad';
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'changed; by trigger'; RETURN NEW; END $$;
CREATE TRIGGER noted BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION noted();
CREATE SEQUENCE fresh START 40;
CREATE SEQUENCE "Odd.Sequence" INCREMENT -5 MAXVALUE 100 START 100;
SELECT nextval('"Odd.Sequence"');
ALTER SEQUENCE fresh RESTART 77;
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE far (x text) SERVER files OPTIONS (filename '/nonexistent');
SELECT lo_from_bytea(16000, decode(repeat('00ff', 100000), 'hex'));
SELECT lo_from_bytea(16001, 'small');
ALTER LARGE OBJECT 16001 OWNER TO "Odd Owner";
COMMENT ON LARGE OBJECT 16000 IS 'large';
