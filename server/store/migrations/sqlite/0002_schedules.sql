-- What each schedule remembers, slots by their schedule, and readers of events with a state of their own.

CREATE TABLE schedule_state (
    schedule TEXT PRIMARY KEY NOT NULL,
    generation INTEGER NOT NULL,
    document TEXT NOT NULL,
    changed INTEGER NOT NULL
) STRICT;

ALTER TABLE slot RENAME COLUMN plan TO schedule;
UPDATE slot SET schedule = 'plan:' || schedule;
ALTER TABLE plan_state DROP COLUMN last_slot;

CREATE INDEX run_by_plan_and_kind ON run (plan, kind, number);
CREATE INDEX run_good_backup ON run (plan, started) WHERE kind = 'backup' AND verdict IN ('ok', 'findings');
CREATE INDEX run_upkeep ON run (repository, kind, number)
    WHERE kind IN ('check', 'prune') AND state = 'ended' AND verdict NOT IN ('missed', 'skipped');

ALTER TABLE reader ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reader ADD COLUMN document TEXT;

-- The same table without UNIQUE (event, target), which SQLite can't take away. Its numbers go on where they were.
CREATE TABLE delivery_2 (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event INTEGER NOT NULL,
    problem INTEGER,
    target TEXT NOT NULL,
    document TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    created INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    server TEXT,
    boot TEXT,
    lease INTEGER,
    fence INTEGER,
    ended INTEGER,
    last_error TEXT
) STRICT;
INSERT INTO sqlite_sequence (name, seq) SELECT 'delivery_2', seq FROM sqlite_sequence WHERE name = 'delivery';
INSERT INTO delivery_2 SELECT number, event, problem, target, document, state, attempts, created, next_attempt,
    server, boot, lease, fence, ended, last_error FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_2 RENAME TO delivery;
CREATE INDEX delivery_by_next_attempt ON delivery (state, next_attempt, number);
CREATE INDEX delivery_by_target ON delivery (target, number);
CREATE INDEX delivery_by_state ON delivery (state, number);
CREATE INDEX delivery_by_end ON delivery (ended) WHERE ended IS NOT NULL;
