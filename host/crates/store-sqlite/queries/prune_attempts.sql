DELETE FROM attempts
WHERE (step_id, attempt) IN (SELECT a.step_id, a.attempt
                             FROM json_each(?1) AS j
                             CROSS JOIN attempts AS a ON a.step_id BETWEEN j.value << 16 AND (j.value << 16) | 65535)
