SELECT min(ready_at) AS "ready_at?: i64" FROM steps WHERE ready_at IS NOT NULL
