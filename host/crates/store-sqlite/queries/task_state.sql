SELECT plan_id AS "plan_id!: i64", state AS "state!: String" FROM tasks WHERE id = ?1
