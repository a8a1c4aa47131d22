-- What an attempt used beside time and memory: payload bytes in and out, calls to the host, HTTP requests, their bytes out and in,
-- bytes written to files; in this order, separated by spaces, without the zeros at the end. NULL for none of it, and for lines of
-- before this was kept.

ALTER TABLE attempts ADD COLUMN usage TEXT;
