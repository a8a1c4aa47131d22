UPDATE workers SET lease_until = ?1 WHERE state = 'joined' AND lease_until < ?1
