-- The state of a server. The same tables as in ../postgres, which also says what is what.
-- Times are microseconds since 1970 in UTC, lengths of time are microseconds, documents are JSON.

CREATE TABLE counter (
    name TEXT PRIMARY KEY NOT NULL,
    last INTEGER NOT NULL
) STRICT;
INSERT INTO counter (name, last) VALUES ('event', 0), ('fence', 0);

CREATE TABLE plan_state (
    plan TEXT PRIMARY KEY NOT NULL,
    born INTEGER NOT NULL,
    last_slot INTEGER,
    last_ok INTEGER,
    last_findings INTEGER,
    baseline TEXT
) STRICT;

CREATE TABLE pause (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    plan TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    paused_by TEXT NOT NULL,
    reason TEXT,
    ended INTEGER
) STRICT;
CREATE UNIQUE INDEX pause_open ON pause (plan) WHERE ended IS NULL;
CREATE INDEX pause_by_plan ON pause (plan, number);
CREATE INDEX pause_by_end ON pause (ended) WHERE ended IS NOT NULL;

CREATE TABLE slot (
    plan TEXT NOT NULL,
    slot INTEGER NOT NULL,
    last INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    run TEXT NOT NULL,
    decided INTEGER NOT NULL,
    PRIMARY KEY (plan, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX slot_by_decision ON slot (decided);

CREATE TABLE run (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    plan TEXT,
    repository TEXT,
    host TEXT,
    slot INTEGER,
    slots INTEGER NOT NULL,
    due INTEGER NOT NULL,
    trigger_kind TEXT NOT NULL,
    parent TEXT UNIQUE,
    root TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    verdict TEXT,
    reason TEXT,
    created INTEGER NOT NULL,
    not_before INTEGER,
    started INTEGER,
    ended INTEGER,
    server TEXT,
    boot TEXT,
    lease INTEGER,
    lease_until INTEGER,
    beat INTEGER NOT NULL,
    fence INTEGER,
    config TEXT NOT NULL,
    phase TEXT,
    counters TEXT,
    waits TEXT,
    cancel_requested INTEGER,
    error_category TEXT,
    fingerprint TEXT,
    error TEXT,
    report TEXT
) STRICT;
CREATE INDEX run_by_plan ON run (plan, number);
CREATE INDEX run_by_plan_and_verdict ON run (plan, verdict, number);
CREATE INDEX run_by_repository ON run (repository, number);
CREATE INDEX run_by_host ON run (host, number);
CREATE INDEX run_by_kind ON run (kind, number);
CREATE INDEX run_by_verdict ON run (verdict, number);
CREATE INDEX run_by_fingerprint ON run (fingerprint, number) WHERE fingerprint IS NOT NULL;
CREATE INDEX run_by_root ON run (root, number);
-- An expression that is compared with 1: a condition on the state alone would make SQLite read all runs by number.
CREATE INDEX run_open ON run ((CASE state WHEN 'ended' THEN 0 ELSE 1 END), number);
CREATE INDEX run_by_due ON run (due, number, plan, kind, verdict, slots);
CREATE INDEX run_by_end ON run (ended) WHERE ended IS NOT NULL;

CREATE TABLE event (
    sequence INTEGER PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX event_by_time ON event (at);

CREATE TABLE reader (
    reader TEXT PRIMARY KEY NOT NULL,
    sequence INTEGER NOT NULL
) STRICT;

CREATE TABLE problem (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    kind TEXT NOT NULL,
    opened INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    told INTEGER NOT NULL,
    repeated INTEGER NOT NULL,
    resolved INTEGER,
    acknowledged INTEGER,
    acknowledged_by TEXT,
    muted_until INTEGER,
    document TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX problem_open ON problem (subject, kind) WHERE resolved IS NULL;
CREATE INDEX problem_by_resolution ON problem (resolved) WHERE resolved IS NOT NULL;

CREATE TABLE delivery (
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
    last_error TEXT,
    UNIQUE (event, target)
) STRICT;
CREATE INDEX delivery_by_next_attempt ON delivery (state, next_attempt, number);
CREATE INDEX delivery_by_target ON delivery (target, number);
CREATE INDEX delivery_by_state ON delivery (state, number);
CREATE INDEX delivery_by_end ON delivery (ended) WHERE ended IS NOT NULL;

CREATE TABLE undo (
    id TEXT PRIMARY KEY NOT NULL,
    run TEXT NOT NULL,
    host TEXT NOT NULL,
    command TEXT NOT NULL,
    stored INTEGER NOT NULL,
    server TEXT,
    boot TEXT,
    taken INTEGER,
    done INTEGER,
    outcome TEXT
) STRICT;
CREATE INDEX undo_open ON undo (host, stored) WHERE done IS NULL;
CREATE INDEX undo_by_run ON undo (run, stored);
CREATE INDEX undo_by_end ON undo (done) WHERE done IS NOT NULL;

CREATE TABLE snapshot (
    repository TEXT NOT NULL,
    id TEXT NOT NULL,
    time INTEGER NOT NULL,
    host TEXT NOT NULL,
    plan TEXT,
    tags TEXT NOT NULL,
    files INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    new_bytes INTEGER NOT NULL,
    clean INTEGER NOT NULL,
    checked TEXT,
    checked_at INTEGER,
    drilled TEXT,
    drilled_at INTEGER,
    PRIMARY KEY (repository, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshot_by_time ON snapshot (time, repository, id);
CREATE INDEX snapshot_by_repository ON snapshot (repository, time, id);
CREATE INDEX snapshot_by_host ON snapshot (host, time, repository, id);
CREATE INDEX snapshot_by_plan ON snapshot (plan, time, repository, id);
CREATE INDEX snapshot_by_id ON snapshot (id, repository);

CREATE TABLE snapshot_word (
    word TEXT NOT NULL,
    time INTEGER NOT NULL,
    repository TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (word, time, repository, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX snapshot_word_by_snapshot ON snapshot_word (repository, id);

CREATE TABLE error_pattern (
    fingerprint TEXT PRIMARY KEY NOT NULL,
    category TEXT NOT NULL,
    message TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    first_version TEXT NOT NULL,
    first_config TEXT NOT NULL,
    last_run TEXT NOT NULL
) STRICT;
CREATE INDEX error_pattern_by_time ON error_pattern (last_seen, fingerprint);

CREATE TABLE error_pattern_host (
    fingerprint TEXT NOT NULL,
    host TEXT NOT NULL,
    PRIMARY KEY (fingerprint, host)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_segment (
    server TEXT NOT NULL,
    segment INTEGER NOT NULL,
    last_line INTEGER NOT NULL,
    PRIMARY KEY (server, segment)
) STRICT, WITHOUT ROWID;
CREATE INDEX log_segment_by_age ON log_segment (last_line);

CREATE TABLE log_part (
    run TEXT NOT NULL,
    part INTEGER NOT NULL,
    server TEXT NOT NULL,
    segment INTEGER NOT NULL,
    position INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL,
    plain_bytes INTEGER NOT NULL,
    line_count INTEGER NOT NULL,
    worst_level INTEGER NOT NULL,
    first_line INTEGER NOT NULL,
    last_line INTEGER NOT NULL,
    PRIMARY KEY (run, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX log_part_by_segment ON log_part (server, segment);
