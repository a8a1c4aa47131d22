SELECT context, tags FROM task_inputs WHERE task_id = $1
