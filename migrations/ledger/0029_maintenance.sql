-- Tasks of [maintenance], by the schedule that each had when it was seen last, and since when it has that: what was planned before is nothing that was
-- missed. Times: Unix milliseconds.
CREATE TABLE maintenance_tasks (
    task TEXT NOT NULL,
    schedule TEXT NOT NULL,
    since BIGINT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, task)
);

-- Their runs, the newest thousand of each, also those that were not done. A run is written down before it begins: `outcome` is running then.
-- `cause`: schedule, catch_up or by_hand. `started_at` and `ended_at` are empty where it never began, or has not ended. `message`: what came of it,
-- as sentences for people.
CREATE TABLE task_runs (
    task TEXT NOT NULL,
    number BIGINT NOT NULL,
    cause TEXT NOT NULL,
    planned_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT,
    outcome TEXT NOT NULL,
    message TEXT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, task, number)
);
