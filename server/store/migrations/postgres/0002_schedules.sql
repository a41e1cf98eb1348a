-- What each schedule remembers, slots by their schedule, and readers of events with a state of their own.

-- The state of a schedule is a document of the caller's. Each change of it has a generation that no state had before.
CREATE TABLE schedule_state (
    schedule TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    generation BIGINT NOT NULL,
    document TEXT COLLATE "C" NOT NULL,
    changed BIGINT NOT NULL
);

ALTER TABLE slot RENAME COLUMN plan TO schedule;
UPDATE slot SET schedule = 'plan:' || schedule;
ALTER TABLE plan_state DROP COLUMN last_slot;

CREATE INDEX run_by_plan_and_kind ON run (plan, kind, number);
CREATE INDEX run_good_backup ON run (plan, started) WHERE kind = 'backup' AND verdict IN ('ok', 'findings');
CREATE INDEX run_upkeep ON run (repository, kind, number)
    WHERE kind IN ('check', 'prune') AND state = 'ended' AND verdict NOT IN ('missed', 'skipped');

ALTER TABLE reader ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE reader ADD COLUMN document TEXT COLLATE "C";

-- A repeated message tells of an event that was told of before.
ALTER TABLE delivery DROP CONSTRAINT delivery_event_target_key;
