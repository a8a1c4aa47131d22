UPDATE tokens
SET expires_at = ?4
WHERE scope = ?1 AND name = ?2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?4) AND hash <> ?3
