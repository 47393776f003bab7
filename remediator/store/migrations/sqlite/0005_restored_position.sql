-- The journal position of the latest restore, 0 if there was none: what is decided on entries before it is proved, too.
ALTER TABLE controller ADD COLUMN restored_position INTEGER NOT NULL DEFAULT 0;
