SELECT revision AS "revision!: i64" FROM catalog
