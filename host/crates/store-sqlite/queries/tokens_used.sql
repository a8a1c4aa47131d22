UPDATE tokens
SET used_at = max(coalesce(used_at, ?2), ?2)
WHERE id IN (SELECT value FROM json_each(?1))
