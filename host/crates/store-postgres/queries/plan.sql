SELECT content FROM plans WHERE id = $1
