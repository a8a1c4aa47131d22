-- Those that are free, or were held by this one before.
UPDATE webhooks
SET holder = $1, held_until = $2
WHERE enabled AND (holder IS NULL OR holder = $1 OR held_until <= $3)
RETURNING name AS "name!", url AS "url!", secret AS "secret!", filter AS "filter!", enabled AS "enabled!",
       created_at AS "created_at!", created_by AS "created_by!", position AS "position!", holder AS "holder?",
       held_until AS "held_until?", delivered AS "delivered!", delivered_at AS "delivered_at?", failures AS "failures!",
       failed_at AS "failed_at?", failure AS "failure?"
