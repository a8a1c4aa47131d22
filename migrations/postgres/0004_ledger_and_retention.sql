-- What an operator asks of the ledger later, and of old tasks. Nothing here is read while steps run, and no index names a
-- column of `tasks` or `steps` that changes: old tasks are found by walking along their ids, which grow with time.

-- Which orchestrator made the batch; when its completion came, and how many outcomes had to be asked for again before it could
-- be reconciled.
ALTER TABLE batches
    ADD COLUMN orchestrator text,
    ADD COLUMN completed_at bigint,
    ADD COLUMN asked_again bigint NOT NULL DEFAULT 0;

-- What a failed or lost attempt made of its step, and when it was to be tried again. NULL for what was written before.
ALTER TABLE attempts
    ADD COLUMN led_to text CHECK (led_to IN ('ready', 'error')),
    ADD COLUMN retry_at bigint;

CREATE INDEX notes_batch ON notes (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX notes_discrepancy ON notes (at) WHERE kind = 'discrepancy';
