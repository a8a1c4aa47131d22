DELETE FROM suspects WHERE digest IN (SELECT unhex(value) FROM json_each(?1))
