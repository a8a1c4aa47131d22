SELECT id AS "id!: i64", lease_until AS "lease_until!: i64" FROM workers WHERE state = 'joined' ORDER BY lease_until, id
