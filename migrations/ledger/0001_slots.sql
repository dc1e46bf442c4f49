-- What happened in each slot. Times: Unix milliseconds. Amounts: decimal wei as text. Hashes and keys: 0x hex as text.
-- A counterparty is a relay before Gloas, a relay or a builder after it.

CREATE TABLE auctions (
    id INTEGER PRIMARY KEY,
    slot BIGINT NOT NULL,
    parent_hash TEXT NOT NULL,
    proposer TEXT NOT NULL,
    fork TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    ms_into_slot BIGINT NOT NULL,
    budget_ms BIGINT NOT NULL,
    answered_in_us BIGINT NOT NULL,
    user_agent TEXT NOT NULL,
    winner_block_hash TEXT,
    winner_value_wei TEXT,
    winner_counterparties TEXT,
    why_no_bid TEXT NOT NULL
);
CREATE INDEX auctions_by_slot ON auctions (slot);

CREATE TABLE offers (
    auction_id BIGINT NOT NULL,
    counterparty TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    http_status BIGINT,
    latency_us BIGINT NOT NULL,
    value_wei TEXT,
    block_hash TEXT,
    verified BOOLEAN NOT NULL,
    requested_at BIGINT NOT NULL,
    PRIMARY KEY (auction_id, counterparty)
);
CREATE INDEX offers_by_counterparty ON offers (counterparty, requested_at);

CREATE TABLE submissions (
    slot BIGINT NOT NULL,
    block_hash TEXT NOT NULL,
    parent_hash TEXT NOT NULL,
    proposer_index BIGINT NOT NULL,
    fork TEXT NOT NULL,
    version BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    ms_into_slot BIGINT NOT NULL,
    offered_by TEXT NOT NULL,
    fate TEXT NOT NULL DEFAULT 'pending',
    decided_by TEXT,
    decided_in_us BIGINT,
    decided_at BIGINT,
    PRIMARY KEY (slot, block_hash)
);

CREATE TABLE submission_answers (
    slot BIGINT NOT NULL,
    block_hash TEXT NOT NULL,
    counterparty TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    http_status BIGINT,
    latency_us BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    answered_at BIGINT NOT NULL,
    PRIMARY KEY (slot, block_hash, counterparty)
);

CREATE TABLE registrations (
    pubkey TEXT PRIMARY KEY,
    fee_recipient TEXT NOT NULL,
    gas_limit BIGINT NOT NULL,
    signed_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL
);

CREATE TABLE registration_answers (
    counterparty TEXT NOT NULL,
    answered_at BIGINT NOT NULL,
    accepted BOOLEAN NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    http_status BIGINT,
    latency_us BIGINT NOT NULL
);
CREATE INDEX registration_answers_by_counterparty ON registration_answers (counterparty, answered_at);

CREATE TABLE counterparty_states (
    counterparty TEXT NOT NULL,
    since BIGINT NOT NULL,
    usable BOOLEAN NOT NULL,
    why TEXT NOT NULL
);
