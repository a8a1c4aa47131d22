SELECT min(ready_at) AS "ready_at?" FROM ready WHERE ready_at IS NOT NULL
