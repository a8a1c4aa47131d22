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
    written_at timestamptz NOT NULL DEFAULT now()
);

CREATE SEQUENCE event_ids OWNED BY events.id;

-- The last statement of a transaction, which holds the locks of its tasks by then: so the rows about one task are numbered in the
-- order in which things happened to it. The transaction has its own number (of transactions) before it takes the row's; and the row
-- is written by a subtransaction, whose number is drawn after that. So whoever holds a smaller row's number has a smaller transaction's
-- number than the row's xmin says, and once all of those have ended, nobody can commit a smaller row any more. (The end of a
-- snapshot would not do in its place: it is one beyond the last transaction that has ended, and running ones may lie beyond.)
CREATE FUNCTION append_events(happened_at bigint, first_task bigint, last_task bigint, content text) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    number bigint;
BEGIN
    PERFORM pg_current_xact_id();
    number := nextval('event_ids');
    BEGIN
        INSERT INTO events (id, at, first_task, last_task, content)
        VALUES (number, happened_at, first_task, last_task, content);
    EXCEPTION
        -- The clause makes it a subtransaction; nothing is handled.
        WHEN no_data_found THEN RAISE;
    END;
    RETURN number;
END
$$;
