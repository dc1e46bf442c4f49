-- What was trimmed for its age: of each part (bids, slots, money), the slot before which nothing is left.
CREATE TABLE ledger_trims (
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    trimmed_at BIGINT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, name)
);

-- How relays' answers ended in auctions whose bids were trimmed, by day (its first slot): sums that are made again come out the same.
CREATE TABLE trimmed_bids (
    first_slot BIGINT NOT NULL,
    counterparty TEXT NOT NULL,
    outcome TEXT NOT NULL,
    n BIGINT NOT NULL,
    without_bid BIGINT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, first_slot, counterparty, outcome)
);
