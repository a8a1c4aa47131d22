-- Reads every page of the file once.
WITH pages AS (
    SELECT name, sum(pgsize) AS bytes, sum(unused) AS unused, sum(iif(pagetype = 'leaf', ncell, 0)) AS leaf_cells,
           sum(ncell) AS cells
    FROM dbstat
    GROUP BY name
)
SELECT coalesce(t.name, '') AS "name!: String", iif(t.wr, p.cells, p.leaf_cells) AS "rows!: i64", NULL AS "dead_rows?: i64",
       p.bytes AS "bytes!: i64",
       coalesce((SELECT sum(q.bytes)
                 FROM sqlite_schema AS i
                 JOIN pages AS q ON q.name = i.name
                 WHERE i.type = 'index' AND i.tbl_name = t.name), 0) AS "index_bytes!: i64",
       p.unused AS "unused_bytes?: i64", NULL AS "vacuumed_at?: i64"
FROM pragma_table_list AS t
JOIN pages AS p ON p.name = t.name
WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite%'
ORDER BY p.bytes DESC, t.name
