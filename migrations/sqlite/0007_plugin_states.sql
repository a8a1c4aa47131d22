-- What may be done with a version of a plugin, who last changed that, where its component came from, who signed it, and what it
-- imports (NULL: registered before that was kept).

ALTER TABLE plugins ADD COLUMN state TEXT NOT NULL DEFAULT 'enabled'
    CHECK (state IN ('enabled', 'disabled', 'yanked', 'quarantined'));
ALTER TABLE plugins ADD COLUMN changed_at INTEGER;
ALTER TABLE plugins ADD COLUMN changed_by TEXT;
ALTER TABLE plugins ADD COLUMN changed_why TEXT;
ALTER TABLE plugins ADD COLUMN source TEXT NOT NULL DEFAULT 'file';
ALTER TABLE plugins ADD COLUMN signatures TEXT NOT NULL DEFAULT '[]';
ALTER TABLE plugins ADD COLUMN imports TEXT;
