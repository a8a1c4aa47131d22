SELECT id AS "id!" FROM plans WHERE digest = $1
