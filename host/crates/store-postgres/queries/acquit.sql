DELETE FROM suspects WHERE digest = ANY ($1::bytea[])
