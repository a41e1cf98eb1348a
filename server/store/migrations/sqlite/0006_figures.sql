-- What runs have counted, for sums over many of them; which snapshots are protected; and logs in the order of time.

ALTER TABLE run ADD COLUMN files INTEGER;
ALTER TABLE run ADD COLUMN source_bytes INTEGER;
ALTER TABLE run ADD COLUMN read_bytes INTEGER;
ALTER TABLE run ADD COLUMN new_bytes INTEGER;
ALTER TABLE run ADD COLUMN stored_bytes INTEGER;
ALTER TABLE run ADD COLUMN found_bytes INTEGER;

UPDATE run SET
    files = CAST(json_extract(report, '$.backup.summary.files_new') AS INTEGER)
        + CAST(json_extract(report, '$.backup.summary.files_changed') AS INTEGER)
        + CAST(json_extract(report, '$.backup.summary.files_unchanged') AS INTEGER),
    source_bytes = CAST(json_extract(report, '$.backup.summary.bytes_total') AS INTEGER),
    read_bytes = CAST(json_extract(report, '$.backup.summary.bytes_read') AS INTEGER),
    new_bytes = CAST(json_extract(report, '$.backup.summary.bytes_new') AS INTEGER),
    stored_bytes = CAST(json_extract(report, '$.backup.summary.bytes_stored') AS INTEGER)
WHERE kind = 'backup' AND json_valid(report) AND json_extract(report, '$.backup.summary.bytes_stored') IS NOT NULL;
UPDATE run SET found_bytes = CAST(json_extract(report, '$.read.bytes_all') AS INTEGER)
WHERE kind = 'check' AND json_valid(report) AND json_extract(report, '$.read.bytes_all') IS NOT NULL;
UPDATE run SET found_bytes = MAX(0, CAST(json_extract(report, '$.prune.plan.bytes') AS INTEGER)
        + CAST(json_extract(report, '$.prune.bytes_written') AS INTEGER)
        - CAST(json_extract(report, '$.prune.bytes_removed') AS INTEGER))
WHERE kind = 'prune' AND json_valid(report) AND json_extract(report, '$.prune.plan.bytes') IS NOT NULL;

-- One expression that is compared with 1: a condition on the kind would make SQLite read all runs of that kind.
CREATE INDEX run_figures ON run (due, plan, verdict, slots, repository, host, started, ended, files, source_bytes,
    read_bytes, new_bytes, stored_bytes, kind) WHERE (CASE kind WHEN 'backup' THEN 1 ELSE 0 END) = 1;
CREATE INDEX run_found ON run (repository, ended, found_bytes) WHERE found_bytes IS NOT NULL;
CREATE INDEX run_stored ON run (repository, ended, stored_bytes) WHERE stored_bytes IS NOT NULL;

ALTER TABLE snapshot ADD COLUMN protected INTEGER NOT NULL DEFAULT 0;
CREATE INDEX snapshot_protected ON snapshot (time, repository, id) WHERE protected = 1;

CREATE INDEX log_part_by_time ON log_part (last_line, run, part);
