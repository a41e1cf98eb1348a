-- Who may do what, what they have done, and what the dashboard remembers for each of them.

CREATE TABLE user_account (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    display TEXT NOT NULL,
    grants TEXT NOT NULL,
    is_admin INTEGER NOT NULL,
    created INTEGER NOT NULL,
    disabled INTEGER,
    last_login INTEGER,
    generation INTEGER NOT NULL
) STRICT;

CREATE TABLE user_identity (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_identity_by_user ON user_identity (user_id);

CREATE TABLE user_password (
    user_id TEXT PRIMARY KEY NOT NULL,
    hash TEXT NOT NULL,
    changed INTEGER NOT NULL
) STRICT;

CREATE TABLE user_totp (
    user_id TEXT PRIMARY KEY NOT NULL,
    secret TEXT,
    pending TEXT,
    since INTEGER,
    last_step INTEGER NOT NULL
) STRICT;

CREATE TABLE recovery_code (
    user_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    used INTEGER,
    PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE setup_token (
    hash TEXT PRIMARY KEY NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE session (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    authenticated INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    origin TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT;
CREATE INDEX session_by_user ON session (user_id, seen);
CREATE INDEX session_by_end ON session (expires);

CREATE TABLE known_device (
    hash TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX known_device_by_user ON known_device (user_id, expires);
CREATE INDEX known_device_by_end ON known_device (expires);

CREATE TABLE api_token (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    hash TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    grants TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    last_used INTEGER,
    last_origin TEXT,
    UNIQUE (user_id, name)
) STRICT;
CREATE INDEX api_token_by_end ON api_token (expires) WHERE expires IS NOT NULL;

CREATE TABLE approval (
    id TEXT PRIMARY KEY NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    document TEXT NOT NULL,
    state TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    requested INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    decided_by TEXT,
    decided INTEGER,
    reason TEXT,
    used INTEGER
) STRICT;
CREATE INDEX approval_by_state ON approval (state, requested, id);
CREATE INDEX approval_by_time ON approval (requested, id);

CREATE TABLE preference (
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    changed INTEGER NOT NULL,
    PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE read_up_to (
    user_id TEXT PRIMARY KEY NOT NULL,
    sequence INTEGER NOT NULL
) STRICT;
CREATE TABLE read_event (
    user_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (user_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE sent_request (
    user_id TEXT NOT NULL,
    key TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    began INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    status INTEGER,
    answer TEXT,
    PRIMARY KEY (user_id, key, method, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX sent_request_by_end ON sent_request (expires);

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    origin TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before TEXT,
    after TEXT,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at, sequence);
CREATE INDEX audit_by_who ON audit (who, sequence);
CREATE INDEX audit_by_action ON audit (action, sequence);
CREATE INDEX audit_by_object ON audit (object, sequence);

CREATE TABLE audit_anchor (
    name TEXT PRIMARY KEY NOT NULL,
    sequence INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
