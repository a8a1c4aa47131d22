-- What people ask of the whole: figures since a moment, and what was slowest. Written once a task, and for attempts that took a
-- second or longer, so that short steps pay nothing.

-- Everything that figures of settled tasks need, so that their rows are not read.
CREATE INDEX tasks_settled ON tasks (finished_at, state, plan_id, created_at, started_at) WHERE finished_at IS NOT NULL;
CREATE INDEX attempts_long ON attempts (execution_us, recorded_at) WHERE execution_us >= 1000000;
