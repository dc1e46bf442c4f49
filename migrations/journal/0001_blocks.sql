-- Signed blinded blocks, durable before the first relay sees them, and what became of them.

CREATE TABLE blocks (
    slot BIGINT NOT NULL,
    block_hash TEXT NOT NULL,
    parent_hash TEXT NOT NULL,
    proposer_index BIGINT NOT NULL,
    fork TEXT NOT NULL,
    version BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    ms_into_slot BIGINT NOT NULL,
    offered_by TEXT NOT NULL,
    ssz BLOB NOT NULL,
    fate TEXT NOT NULL DEFAULT 'pending',
    decided_by TEXT,
    decided_in_us BIGINT,
    decided_at BIGINT,
    PRIMARY KEY (slot, block_hash)
);

CREATE TABLE answers (
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
