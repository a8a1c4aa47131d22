-- All marks first, in one order: two resumes at once would otherwise wait for each other's marks and steps in turn.
WITH held AS MATERIALIZED (
    SELECT scope FROM pauses ORDER BY scope, name FOR UPDATE
)
DELETE FROM pauses WHERE scope = $1 AND name = $2 AND (SELECT count(*) FROM held) > 0
