-- What an orchestrator has counted since it started, as JSON, by the names that 'orchestrator list --json' prints. Written with the rest.

ALTER TABLE orchestrators ADD COLUMN totals TEXT NOT NULL DEFAULT '{}';
