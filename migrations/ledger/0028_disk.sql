-- How full each filesystem under watch was, an hour a row, for 400 days. `filesystem`: the folder that the configuration names; `cleaned`: 1 where
-- something was deleted since the row before. Times: Unix milliseconds.
CREATE TABLE disk_usage (
    filesystem TEXT NOT NULL,
    at BIGINT NOT NULL,
    used_bytes BIGINT NOT NULL,
    available_bytes BIGINT NOT NULL,
    total_bytes BIGINT NOT NULL,
    inodes BIGINT NOT NULL,
    inodes_free BIGINT NOT NULL,
    cleaned BIGINT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, filesystem, at)
);

-- Cleanings, the newest thousand, whoever did them. `report`: what came of each class, as JSON. What was deleted is in the journal of deletions.
CREATE TABLE disk_cleanings (
    run BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    files BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    report TEXT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, run)
);

-- What was done about filesystems that were nearly full, the newest thousand. `node`: to which node, else empty; `error`: why it could not be done,
-- else empty.
CREATE TABLE disk_acts (
    number BIGINT NOT NULL,
    filesystem TEXT NOT NULL,
    at BIGINT NOT NULL,
    rung TEXT NOT NULL,
    node TEXT NOT NULL,
    why TEXT NOT NULL,
    error TEXT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, number)
);
