SELECT name AS "name!", url AS "url!", secret AS "secret!", filter AS "filter!", enabled AS "enabled!",
       created_at AS "created_at!", created_by AS "created_by!", position AS "position!", holder AS "holder?",
       held_until AS "held_until?", delivered AS "delivered!", delivered_at AS "delivered_at?", failures AS "failures!",
       failed_at AS "failed_at?", failure AS "failure?"
FROM webhooks
ORDER BY name
