-- Which definitions each server follows. Those with the greatest number were applied last; a server without a number
-- follows what another one has applied.
CREATE TABLE followed_config (
    server TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    host TEXT COLLATE "C" NOT NULL,
    config TEXT COLLATE "C" NOT NULL,
    applied BIGINT,
    at BIGINT NOT NULL
);
