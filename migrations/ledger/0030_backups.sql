-- What was done about backups: `action` is create or verify, `result` ok or failed. `file`: the backup's name, empty where there is none. Times: Unix
-- milliseconds.
CREATE TABLE backup_runs (
    started_at BIGINT NOT NULL,
    took_ms BIGINT NOT NULL,
    action TEXT NOT NULL,
    result TEXT NOT NULL,
    file TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    message TEXT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, started_at, action)
);
