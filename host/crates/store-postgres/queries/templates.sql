SELECT namespace, name, version, registered_at FROM templates ORDER BY namespace, name, id
