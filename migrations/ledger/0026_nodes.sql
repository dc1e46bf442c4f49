-- Nodes under supervision: what each is wanted to be, and what is being done to it. Written before anything is done, so that after a `kill -9` it is
-- known what was under way. `wanted`: watched, up or stopped; `hold`: none, maintenance, pruning or crash_loop; `under_way`: the action that was
-- begun and whose end is not written down, else empty. Times: Unix milliseconds.
CREATE TABLE node_memory (
    node TEXT NOT NULL,
    wanted TEXT NOT NULL,
    hold TEXT NOT NULL,
    hold_until BIGINT,
    hold_why TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    under_way TEXT NOT NULL DEFAULT '',
    under_way_at BIGINT,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, node)
);

-- What happened to them, the newest thousand of each node. `kind`: state or action; `name`: the new state, or what was done; `actor`: who wanted it;
-- `error`: why it could not be done, else empty.
CREATE TABLE node_history (
    node TEXT NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    actor TEXT NOT NULL,
    why TEXT NOT NULL,
    error TEXT NOT NULL,
    took_ms BIGINT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, node, number)
);
