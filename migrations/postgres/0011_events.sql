-- What every transition leaves behind for whoever follows along: one row for a transaction. Rows are found by their number alone.
CREATE TABLE events (
    id bigint PRIMARY KEY,
    -- When, in milliseconds since 1970, by the clock of whoever did it.
    at bigint NOT NULL,
    -- The first and the last task that anything is about; NULL if nothing is about a task.
    first_task bigint,
    last_task bigint,
    -- A list of what happened as JSON, in order.
    content text NOT NULL,
    -- Transactions from this one on did not exist when the number was taken. Once all before it have ended, nobody can commit a
    -- row with a smaller number.
    horizon xid8 NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);

CREATE SEQUENCE event_ids OWNED BY events.id;

-- The last statement of a transaction, which holds the locks of its tasks by then: so the rows about one task are numbered in the
-- order in which things happened to it. The transaction has its own number before it takes the row's, and looks at the others'
-- after that; each statement of such a function sees the others as they are then.
CREATE FUNCTION append_events(happened_at bigint, first_task bigint, last_task bigint, content text) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    number bigint;
BEGIN
    PERFORM pg_current_xact_id();
    number := nextval('event_ids');
    INSERT INTO events (id, at, first_task, last_task, content, horizon)
    VALUES (number, happened_at, first_task, last_task, content, pg_snapshot_xmax(pg_current_snapshot()));
    RETURN number;
END
$$;
