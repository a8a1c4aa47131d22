SELECT digest, signatures FROM plugins WHERE name = $1 AND version = $2
