-- Counts changes of plugins and templates: whoever has read them need not read them again while it stands.
CREATE TABLE catalog (
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO catalog (revision) VALUES (0);

CREATE TRIGGER plugin_added AFTER INSERT ON plugins BEGIN UPDATE catalog SET revision = revision + 1; END;
CREATE TRIGGER plugin_changed AFTER UPDATE ON plugins BEGIN UPDATE catalog SET revision = revision + 1; END;
CREATE TRIGGER plugin_removed AFTER DELETE ON plugins BEGIN UPDATE catalog SET revision = revision + 1; END;
CREATE TRIGGER template_added AFTER INSERT ON templates BEGIN UPDATE catalog SET revision = revision + 1; END;
CREATE TRIGGER template_changed AFTER UPDATE ON templates BEGIN UPDATE catalog SET revision = revision + 1; END;
CREATE TRIGGER template_removed AFTER DELETE ON templates BEGIN UPDATE catalog SET revision = revision + 1; END;
