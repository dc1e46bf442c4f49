-- How each part did, minute by minute. A minute without a row was watched by nobody. `minute`: minutes since 1970-01-01 UTC; `state`: good, bad,
-- slow, maintenance or unknown; `watched_ms`: for how much of it somebody watched, by the monotonic clock; `latency`: counts of how long answers
-- took, at most 200 characters.
CREATE TABLE sla_minutes (
    minute BIGINT NOT NULL,
    indicator TEXT NOT NULL,
    state TEXT NOT NULL,
    good BIGINT NOT NULL,
    bad BIGINT NOT NULL,
    slow BIGINT NOT NULL,
    watched_ms BIGINT NOT NULL,
    latency TEXT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (minute, indicator)
);

-- The same, an hour a row, so that a month's question reads hundreds of rows: written once the hour is over, and anew when one of its minutes
-- is. `tally`: sums as JSON of the sla room's own.
CREATE TABLE sla_hours (
    hour BIGINT NOT NULL,
    indicator TEXT NOT NULL,
    tally TEXT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (hour, indicator)
);

-- Announced times in which a part may be away. An empty indicator is all of them.
CREATE TABLE sla_maintenance (
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    indicator TEXT NOT NULL,
    reason TEXT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (starts_at, indicator)
);

-- The machine, minute by minute and, of old, hour by hour. Ratios from 0 to 1 of what there is; none where it could not be read.
CREATE TABLE host_minutes (
    minute BIGINT NOT NULL PRIMARY KEY,
    cpu_mean DOUBLE PRECISION,
    cpu_max DOUBLE PRECISION,
    memory_mean DOUBLE PRECISION,
    memory_max DOUBLE PRECISION,
    disk_mean DOUBLE PRECISION,
    disk_max DOUBLE PRECISION,
    instance BIGINT NOT NULL DEFAULT 1
);

CREATE TABLE host_hours (
    hour BIGINT NOT NULL PRIMARY KEY,
    minutes BIGINT NOT NULL,
    cpu_mean DOUBLE PRECISION,
    cpu_max DOUBLE PRECISION,
    memory_mean DOUBLE PRECISION,
    memory_max DOUBLE PRECISION,
    disk_mean DOUBLE PRECISION,
    disk_max DOUBLE PRECISION,
    instance BIGINT NOT NULL DEFAULT 1
);

-- What gas cost, in wei, by the execution node.
CREATE TABLE gas_minutes (
    minute BIGINT NOT NULL PRIMARY KEY,
    block_number BIGINT NOT NULL,
    gas_price_wei BIGINT NOT NULL,
    base_fee_wei BIGINT NOT NULL,
    blob_base_fee_wei BIGINT,
    instance BIGINT NOT NULL DEFAULT 1
);

CREATE TABLE gas_hours (
    hour BIGINT NOT NULL PRIMARY KEY,
    minutes BIGINT NOT NULL,
    gas_price_mean_wei BIGINT NOT NULL,
    gas_price_max_wei BIGINT NOT NULL,
    base_fee_mean_wei BIGINT NOT NULL,
    base_fee_max_wei BIGINT NOT NULL,
    blob_base_fee_mean_wei BIGINT,
    blob_base_fee_max_wei BIGINT,
    instance BIGINT NOT NULL DEFAULT 1
);

-- What was proven by doing it: load tests, drills, restores. `ok`: 1 where it held; `details`: JSON of whoever did it.
CREATE TABLE evidence (
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    ok BIGINT NOT NULL,
    summary TEXT NOT NULL,
    details TEXT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (kind, at)
);
