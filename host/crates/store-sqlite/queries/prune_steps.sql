DELETE FROM steps
WHERE id IN (SELECT s.id
             FROM json_each(?1) AS j
             CROSS JOIN steps AS s ON s.id BETWEEN j.value << 16 AND (j.value << 16) | 65535)
