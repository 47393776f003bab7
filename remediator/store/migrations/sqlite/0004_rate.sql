-- Changes are counted for each deployment: one that is away must not use up what the others may.
DROP TABLE rate;
CREATE TABLE rate (target TEXT PRIMARY KEY, minute INTEGER NOT NULL, count INTEGER NOT NULL);
