UPDATE tokens
SET used_at = greatest(used_at, $2)
WHERE id = ANY ($1::bigint[])
