-- Whose a row is. An instance is one sidecar on one chain; every table that several sidecars may share one day says which instance wrote a
-- row, and thereby of which chain it is. Ids are counted by each instance: two sidecars may give the same id, and never the same instance and id.
-- Rows of earlier versions are those of this file's first instance. `name`: kept for the life of the file.
CREATE TABLE instances (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    chain TEXT NOT NULL,
    UNIQUE (name, chain)
);

ALTER TABLE auctions ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE offers ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE polls ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE submissions ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE submission_answers ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE registrations ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE registration_answers ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE registration_drifts ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE counterparty_states ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE counterparty_standings ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE counterparty_places ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE settlements ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE profit_days ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE profit_months ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE notices ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE bundles ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE bundle_sends ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE block_records ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE relay_hours ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE missed_requests ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
ALTER TABLE service_runs ADD COLUMN instance BIGINT NOT NULL DEFAULT 1;
