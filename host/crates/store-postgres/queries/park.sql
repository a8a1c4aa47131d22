UPDATE ready SET parked = $2 WHERE step_id = ANY ($1::bigint[]) AND parked <> $2
