UPDATE webhooks
SET position = $3, delivered = delivered + $4, delivered_at = coalesce($5, delivered_at), failures = $6,
    failed_at = $7, failure = $8, enabled = $9
WHERE name = $1 AND holder = $2
