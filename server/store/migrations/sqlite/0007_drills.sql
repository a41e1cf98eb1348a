-- Of a drill: which one. A plan may have several.
ALTER TABLE run ADD COLUMN drill TEXT;
CREATE INDEX run_by_drill ON run (drill, number) WHERE drill IS NOT NULL;
