UPDATE plugins SET signatures = ?3 WHERE name = ?1 AND version = ?2
