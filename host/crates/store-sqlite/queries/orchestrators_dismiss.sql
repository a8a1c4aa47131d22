DELETE FROM orchestrators
WHERE incarnation = ?1 OR seen_at < ?2
