INSERT INTO events (at, first_task, last_task, content) VALUES (?1, ?2, ?3, ?4)
