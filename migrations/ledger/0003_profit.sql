-- What came of each slot on chain, and what it paid. One row a slot, made with its first auction or submission.
-- `status`: open (not looked at), provisional (seen at the head), final. Amounts: decimal wei as text.

ALTER TABLE auctions ADD COLUMN fee_recipient TEXT;
ALTER TABLE auctions ADD COLUMN winner_builder TEXT;
ALTER TABLE auctions ADD COLUMN winner_fork TEXT;
ALTER TABLE auctions ADD COLUMN winner_bid_ssz BLOB;

CREATE TABLE settlements (
    slot BIGINT PRIMARY KEY,
    status TEXT NOT NULL DEFAULT 'open',
    outcome TEXT,
    payment TEXT,
    proposer TEXT,
    proposer_index BIGINT,
    fee_recipient TEXT,
    relay TEXT,
    builder TEXT,
    promised_block TEXT,
    promised_wei TEXT,
    missed_value_wei TEXT,
    timing_wei TEXT,
    block_hash TEXT,
    block_number BIGINT,
    coinbase TEXT,
    received_wei TEXT,
    method TEXT,
    confidence TEXT,
    transactions TEXT,
    other_inflows_wei TEXT,
    withdrawals_gwei BIGINT,
    consensus_reward_gwei BIGINT,
    data_api TEXT,
    words TEXT NOT NULL DEFAULT '',
    told BOOLEAN NOT NULL DEFAULT FALSE,
    looked_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX settlements_open ON settlements (slot) WHERE status <> 'final';

INSERT INTO settlements (slot) SELECT slot FROM auctions UNION SELECT slot FROM submissions;

-- One row a day and key, so that a year's report reads hundreds of rows and not millions. `dimension`: all, relay, validator, builder.
-- `day`: days since 1970-01-01 UTC. Made anew from the rows above whenever a slot of the day changes.
CREATE TABLE profit_days (
    day BIGINT NOT NULL,
    dimension TEXT NOT NULL,
    name TEXT NOT NULL,
    tally TEXT NOT NULL,
    PRIMARY KEY (dimension, day, name)
);

-- The same a month (year * 12 + month - 1), for months that are over: a thousand validators are 30,000 rows a month above, and 1,000 here.
-- Gone whenever a day of the month is made anew.
CREATE TABLE profit_months (
    month BIGINT NOT NULL,
    dimension TEXT NOT NULL,
    name TEXT NOT NULL,
    tally TEXT NOT NULL,
    PRIMARY KEY (dimension, month, name)
);

CREATE TABLE profit_stale_days (day BIGINT PRIMARY KEY);

-- What each relay has registered for a validator, as far as it was asked, and what is wrong with it.
CREATE TABLE registration_drifts (
    counterparty TEXT NOT NULL,
    pubkey TEXT NOT NULL,
    looked_at BIGINT NOT NULL,
    drift TEXT NOT NULL,
    PRIMARY KEY (counterparty, pubkey)
);

-- What the operator was told to look at, and whether it is over.
CREATE TABLE notices (
    id INTEGER PRIMARY KEY,
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    words TEXT NOT NULL,
    raised_at BIGINT NOT NULL,
    resolved_at BIGINT
);
CREATE INDEX notices_open ON notices (rule, subject) WHERE resolved_at IS NULL;
