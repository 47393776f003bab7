-- The journal position of the latest restore, 0 if there was none: what is decided on entries before it is proved, too.
-- It is beside the flag that a restore locks anyway, and before the journal's counter.
ALTER TABLE freeze_flag ADD COLUMN restored_position BIGINT NOT NULL DEFAULT 0;
