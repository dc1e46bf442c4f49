-- What is known of each block that was promised: promises, answers, the chain, the payment. Relays are judged by it, also after a restart.

CREATE TABLE block_records (
    slot BIGINT NOT NULL,
    block_hash TEXT NOT NULL,
    record TEXT NOT NULL,
    saved_at BIGINT NOT NULL,
    PRIMARY KEY (slot, block_hash)
);
