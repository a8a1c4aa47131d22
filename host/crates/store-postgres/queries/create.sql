-- A task whose key is taken is not inserted, and neither are its steps; it is looked up afterwards.
WITH n AS MATERIALIZED (
    SELECT nextval('task_ids') AS id, o.*
    FROM (SELECT *
          FROM unnest($1::bigint[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $11::bigint[])
               WITH ORDINALITY AS u (plan_id, namespace, template, priority, idempotency_key, context, tags, start_at, place)
          ORDER BY place) AS o
),
t AS (
    INSERT INTO tasks (id, plan_id, namespace, template, state, priority, idempotency_key, created_at)
    SELECT id, plan_id, namespace, template, 'pending', priority, idempotency_key, $10 FROM n
    ON CONFLICT (namespace, template, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id
),
-- Looked up in a hash and by place rather than joined: the plans of rounds know no joins but nested loops.
made AS MATERIALIZED (
    SELECT * FROM n WHERE (id IN (SELECT id FROM t)) IS TRUE
),
inputs AS (
    INSERT INTO task_inputs (task_id, context, tags)
    SELECT id, context, tags FROM made
),
-- Steps come as the place of their task, counted from one, and the number of their parents.
s AS MATERIALIZED (
    SELECT (u.task_id << 16) + (u.at - first_value(u.at) OVER (PARTITION BY u.place ORDER BY u.at)) AS id, ($1)[u.place] AS plan_id,
           ($4)[u.place] AS priority, ($11)[u.place] AS start_at, u.parents, u.external
    FROM (SELECT (SELECT array_agg(n.id ORDER BY n.place) FROM n)[place] AS task_id, *
          FROM unnest($8::bigint[], $9::integer[], $12::text[]) WITH ORDINALITY AS u (place, parents, external, at)
          OFFSET 0) AS u
    WHERE (u.task_id IN (SELECT id FROM t)) IS TRUE
),
inserted AS (
    INSERT INTO steps (id, plan_id, state, pending_parents, priority, external)
    SELECT id, plan_id, CASE WHEN parents = 0 THEN 'ready' ELSE 'pending' END, parents, priority, external FROM s
),
queued AS (
    INSERT INTO ready (step_id, priority, ready_at, external) SELECT id, priority, start_at, external FROM s WHERE parents = 0
)
SELECT place AS "place!", id AS "id!" FROM made
