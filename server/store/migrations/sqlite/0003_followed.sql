-- Which definitions each server follows. Those with the greatest number were applied last; a server without a number
-- follows what another one has applied.
CREATE TABLE followed_config (
    server TEXT PRIMARY KEY NOT NULL,
    host TEXT NOT NULL,
    config TEXT NOT NULL,
    applied INTEGER,
    at INTEGER NOT NULL
) STRICT;
