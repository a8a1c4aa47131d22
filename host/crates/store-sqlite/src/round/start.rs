//! Tasks come into being.

use std::collections::HashMap;

use stepwright_store::column::number;
use stepwright_store::{Created, NewTask, Result};
use stepwright_workflow::{TaskId, Timestamp};

use super::SqliteRound;
use crate::encode;
use crate::error::engine;

impl SqliteRound {
    pub(super) async fn create_tasks(&mut self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Created>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.known(tasks).await?;
        let mut next = self.last_id("tasks").await?;
        let mut keys: HashMap<(&str, &str, &str), TaskId> = HashMap::new();
        let mut created = Vec::with_capacity(tasks.len());
        let mut new = Vec::with_capacity(tasks.len());
        for (at, task) in tasks.iter().enumerate() {
            let key = task
                .idempotency_key
                .as_deref()
                .map(|key| (task.namespace.as_str(), task.template.as_str(), key));
            let earlier = known.get(&at).or_else(|| keys.get(&key?)).copied();
            if let Some(task) = earlier {
                created.push(Created { task, existing: true });
                continue;
            }
            next += 1;
            let id = TaskId(next);
            if let Some(key) = key {
                keys.insert(key, id);
            }
            new.push((id, task));
            created.push(Created { task: id, existing: false });
        }
        self.insert(&new, now).await?;
        Ok(created)
    }

    /// Earlier tasks with the same idempotency key, by index.
    async fn known(&mut self, tasks: &[NewTask]) -> Result<HashMap<usize, TaskId>> {
        if tasks.iter().all(|task| task.idempotency_key.is_none()) {
            return Ok(HashMap::new());
        }
        let keys =
            encode::array(tasks.iter().map(|task| (&task.namespace, &task.template, &task.idempotency_key)))?;
        let rows = run!(self, "look for idempotency keys", fetch_all, "queries/tasks_with_keys.sql", keys);
        rows.into_iter().map(|row| Ok((number("json_each.key", row.at)?, TaskId(row.id)))).collect()
    }

    async fn insert(&mut self, tasks: &[(TaskId, &NewTask)], now: Timestamp) -> Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        let (rows, inputs, steps) =
            (encode::tasks(tasks)?, encode::task_inputs(tasks)?, encode::new_steps(tasks)?);
        run!(self, "create tasks", execute, "queries/create.sql", now.0, rows, inputs, steps);
        Ok(())
    }
}
