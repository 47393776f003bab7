-- Set when the store is restored from a backup that held the action unfinished: it is proved, and never done.
ALTER TABLE outbox ADD COLUMN doubtful INTEGER NOT NULL DEFAULT 0;
