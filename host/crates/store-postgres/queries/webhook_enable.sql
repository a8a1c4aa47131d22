-- Whoever speaks for it has to begin anew.
UPDATE webhooks
SET enabled = $2, holder = NULL, held_until = NULL, failures = 0, failed_at = NULL, failure = NULL
WHERE name = $1
