-- The external handler that runs a step in place of a plugin; NULL for a plugin's. These steps have a queue of their own, so that
-- nobody who waits for a plugin's worker stands behind them, nor they behind him.

ALTER TABLE steps ADD COLUMN external text;
ALTER TABLE ready ADD COLUMN external text;

DROP INDEX ready_claimable;
CREATE INDEX ready_claimable ON ready (priority DESC, step_id) WHERE ready_at IS NULL AND NOT parked AND external IS NULL;
CREATE INDEX ready_claimable_external ON ready (external, priority DESC, step_id)
WHERE ready_at IS NULL AND NOT parked AND external IS NOT NULL;
