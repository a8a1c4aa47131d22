UPDATE webhooks SET holder = NULL, held_until = NULL WHERE holder = ?1
