-- Runs that only one server may carry out, and what they were asked for: restores.
ALTER TABLE run ADD COLUMN only_server TEXT COLLATE "C";
ALTER TABLE run ADD COLUMN request TEXT COLLATE "C";
