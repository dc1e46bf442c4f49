-- Bundles of searchers, whom they were sent to, and what became of them. `request`: the JSON-RPC request as it came, to go on after a
-- restart. `state`: pending, cancel_requested, included, missed, failed, cancelled, replaced, partly_included, unbundled. Amounts: decimal
-- wei as text, signed where they may be below zero.

CREATE TABLE bundles (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    searcher TEXT NOT NULL,
    kind TEXT NOT NULL,
    uuid TEXT,
    canonical_uuid TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    transactions TEXT NOT NULL,
    request TEXT NOT NULL,
    first_block BIGINT NOT NULL,
    last_block BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    reason TEXT NOT NULL DEFAULT '',
    block_number BIGINT,
    block_hash TEXT,
    block_builder TEXT,
    is_final BOOLEAN NOT NULL DEFAULT FALSE,
    simulation TEXT,
    gas_cost_wei TEXT,
    paid_to_builder_wei TEXT,
    eth_wei TEXT,
    weth_wei TEXT,
    profit_wei TEXT
);
CREATE INDEX bundles_by_hash ON bundles (hash);
CREATE INDEX bundles_by_state ON bundles (state);
CREATE INDEX bundles_open ON bundles (id) WHERE NOT is_final;

CREATE TABLE bundle_sends (
    bundle_id BIGINT NOT NULL,
    builder TEXT NOT NULL,
    block BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    PRIMARY KEY (bundle_id, builder, block)
);
