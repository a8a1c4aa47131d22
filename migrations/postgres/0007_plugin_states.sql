-- What may be done with a version of a plugin, who last changed that, where its component came from, who signed it, and what it
-- imports (NULL: registered before that was kept).

ALTER TABLE plugins ADD COLUMN state text NOT NULL DEFAULT 'enabled'
    CHECK (state IN ('enabled', 'disabled', 'yanked', 'quarantined'));
ALTER TABLE plugins ADD COLUMN changed_at bigint;
ALTER TABLE plugins ADD COLUMN changed_by text;
ALTER TABLE plugins ADD COLUMN changed_why text;
ALTER TABLE plugins ADD COLUMN source text NOT NULL DEFAULT 'file';
ALTER TABLE plugins ADD COLUMN signatures text NOT NULL DEFAULT '[]';
ALTER TABLE plugins ADD COLUMN imports text;
