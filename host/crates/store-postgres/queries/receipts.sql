SELECT a.step_id AS "step_id!", a.attempt::bigint AS "attempt!", s.plan_id AS "plan_id!", a.status AS "status!",
       a.execution_us AS "execution_us!", a.cpu_us AS "cpu_us!", a.memory_bytes_peak AS "memory_bytes_peak!", a.usage AS "usage?"
FROM attempts AS a
JOIN steps AS s ON s.id = a.step_id
WHERE (a.step_id, a.attempt) < ($1, $2)
ORDER BY a.step_id DESC, a.attempt DESC
LIMIT $3
