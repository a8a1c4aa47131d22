-- The external handler that runs a step in place of a plugin; NULL for a plugin's. These steps have a queue of their own, so that
-- nobody who waits for a plugin's worker stands behind them, nor they behind him.

ALTER TABLE steps ADD COLUMN external TEXT;

DROP INDEX steps_claimable;
CREATE INDEX steps_claimable ON steps (priority DESC, id)
WHERE state = 'ready' AND ready_at IS NULL AND parked = 0 AND external IS NULL;
CREATE INDEX steps_claimable_external ON steps (external, priority DESC, id)
WHERE state = 'ready' AND ready_at IS NULL AND parked = 0 AND external IS NOT NULL;
