//! Tasks come into being.

use std::collections::HashMap;

use stepwright_store::column::number;
use stepwright_store::{Created, NewTask, Result, StoreError};
use stepwright_workflow::{TaskId, Timestamp};

use super::PostgresRound;
use crate::encode;
use crate::error::engine;

impl PostgresRound {
    pub(super) async fn create_tasks(&mut self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Created>> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        // The same key twice in one request is one task: the statement would refuse to see its own insertion.
        let mut first: HashMap<(&str, &str, &str), usize> = HashMap::new();
        let key = |task: &'_ NewTask| task.idempotency_key.is_some();
        let mut same = Vec::with_capacity(tasks.len());
        for (place, task) in tasks.iter().enumerate() {
            same.push(match task.idempotency_key.as_deref() {
                Some(key) => *first.entry((&task.namespace, &task.template, key)).or_insert(place),
                None => place,
            });
        }
        let distinct: Vec<usize> = (0..tasks.len()).filter(|place| same[*place] == *place).collect();
        let new: Vec<&NewTask> = distinct.iter().map(|place| &tasks[*place]).collect();
        let inserted = self.insert(&new, now).await?;
        let inserted: HashMap<usize, TaskId> =
            inserted.into_iter().map(|(at, task)| (distinct[at], task)).collect();
        let taken = |place: &&usize| !inserted.contains_key(*place) && key(&tasks[**place]);
        let taken: Vec<(usize, &NewTask)> =
            distinct.iter().filter(taken).map(|place| (*place, &tasks[*place])).collect();
        let known = self.known(&taken).await?;
        let created = same.iter().enumerate().map(|(place, first)| {
            if let Some(task) = inserted.get(first) {
                return Ok(Created { task: *task, existing: place != *first });
            }
            let task = known.get(first).copied();
            // Its key was taken, and the task that had it was removed before it could be read: the next try creates it.
            let task = task.ok_or(StoreError::Busy { waited_ms: 0 })?;
            Ok(Created { task, existing: true })
        });
        created.collect()
    }

    /// Tasks that have their idempotency key already, by place among those asked for.
    async fn known(&mut self, tasks: &[(usize, &NewTask)]) -> Result<HashMap<usize, TaskId>> {
        if tasks.is_empty() {
            return Ok(HashMap::new());
        }
        let column =
            |of: fn(&NewTask) -> String| -> Vec<String> { tasks.iter().map(|(_, task)| of(task)).collect() };
        let (namespaces, templates) =
            (column(|task| task.namespace.clone()), column(|task| task.template.clone()));
        let keys = column(|task| encode::shown(task.idempotency_key.as_deref().unwrap_or_default()));
        let rows = run!(
            self,
            "look for idempotency keys",
            fetch_all,
            "queries/tasks_with_keys.sql",
            &namespaces,
            &templates,
            &keys
        );
        rows.into_iter()
            .map(|row| {
                let at: usize = number("place", row.place - 1)?;
                let (place, _) =
                    tasks.get(at).ok_or_else(|| StoreError::Inconsistent(format!("place {at}")))?;
                Ok((*place, TaskId(row.id)))
            })
            .collect()
    }

    /// Inserts tasks whose key is free, and returns the ids of those that were inserted, by place.
    async fn insert(&mut self, tasks: &[&NewTask], now: Timestamp) -> Result<HashMap<usize, TaskId>> {
        let columns = encode::tasks(tasks)?;
        let rows = run!(
            self,
            "create tasks",
            fetch_all,
            "queries/create.sql",
            &columns.plans,
            &columns.namespaces,
            &columns.templates,
            &columns.priorities,
            &columns.keys as &[Option<String>],
            &columns.contexts,
            &columns.tags,
            &columns.step_places,
            &columns.step_parents,
            now.0,
            &columns.start_at as &[Option<i64>],
            &columns.step_externals as &[Option<String>]
        );
        rows.into_iter().map(|row| Ok((number("place", row.place - 1)?, TaskId(row.id)))).collect()
    }
}
