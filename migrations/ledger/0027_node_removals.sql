-- When it was ordered that a node be removed, in Unix milliseconds, as long as that is not done: it takes two steps, a stop and a removal, and the
-- process may end between them.
ALTER TABLE node_memory ADD COLUMN removal_at BIGINT;
