-- What runs have counted, for sums over many of them; which snapshots are protected; and logs in the order of time.

-- Of a backup: files in its snapshot and their bytes, and of these those that were read, were new, and are stored for them.
-- Of a check or a prune: bytes that it has found to be stored, or has left.
ALTER TABLE run ADD COLUMN files BIGINT;
ALTER TABLE run ADD COLUMN source_bytes BIGINT;
ALTER TABLE run ADD COLUMN read_bytes BIGINT;
ALTER TABLE run ADD COLUMN new_bytes BIGINT;
ALTER TABLE run ADD COLUMN stored_bytes BIGINT;
ALTER TABLE run ADD COLUMN found_bytes BIGINT;

-- Documents with a character that this database has no text for are passed over.
UPDATE run SET
    files = (report::json #>> '{backup,summary,files_new}')::BIGINT
        + (report::json #>> '{backup,summary,files_changed}')::BIGINT
        + (report::json #>> '{backup,summary,files_unchanged}')::BIGINT,
    source_bytes = (report::json #>> '{backup,summary,bytes_total}')::BIGINT,
    read_bytes = (report::json #>> '{backup,summary,bytes_read}')::BIGINT,
    new_bytes = (report::json #>> '{backup,summary,bytes_new}')::BIGINT,
    stored_bytes = (report::json #>> '{backup,summary,bytes_stored}')::BIGINT
WHERE kind = 'backup' AND POSITION('\u0000' IN report) = 0;
UPDATE run SET found_bytes = (report::json #>> '{read,bytes_all}')::BIGINT
WHERE kind = 'check' AND POSITION('\u0000' IN report) = 0;
UPDATE run SET found_bytes = CASE WHEN report::json #>> '{prune,plan,bytes}' IS NULL THEN NULL
        ELSE GREATEST(0, (report::json #>> '{prune,plan,bytes}')::BIGINT
        + (report::json #>> '{prune,bytes_written}')::BIGINT - (report::json #>> '{prune,bytes_removed}')::BIGINT) END
WHERE kind = 'prune' AND POSITION('\u0000' IN report) = 0;

-- One expression that is compared with 1: a condition on the kind would make SQLite read all runs of that kind.
CREATE INDEX run_figures ON run (due, plan, verdict, slots, repository, host, started, ended, files, source_bytes,
    read_bytes, new_bytes, stored_bytes, kind) WHERE (CASE kind WHEN 'backup' THEN 1 ELSE 0 END) = 1;
CREATE INDEX run_found ON run (repository, ended, found_bytes) WHERE found_bytes IS NOT NULL;
CREATE INDEX run_stored ON run (repository, ended, stored_bytes) WHERE stored_bytes IS NOT NULL;

-- What the catalogue says of those that it has is found out by its next refresh.
ALTER TABLE snapshot ADD COLUMN protected BIGINT NOT NULL DEFAULT 0;
CREATE INDEX snapshot_protected ON snapshot (time, repository, id) WHERE protected = 1;

CREATE INDEX log_part_by_time ON log_part (last_line, run, part);
