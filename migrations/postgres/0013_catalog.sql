-- Counts changes of plugins and templates: whoever has read them need not read them again while it stands.
CREATE TABLE catalog (
    revision bigint NOT NULL
);

INSERT INTO catalog (revision) VALUES (0);

CREATE FUNCTION catalog_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE catalog SET revision = revision + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER plugins_changed AFTER INSERT OR UPDATE OR DELETE ON plugins
FOR EACH STATEMENT EXECUTE FUNCTION catalog_changed();
CREATE TRIGGER templates_changed AFTER INSERT OR UPDATE OR DELETE ON templates
FOR EACH STATEMENT EXECUTE FUNCTION catalog_changed();
