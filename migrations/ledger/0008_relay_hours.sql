-- What each relay did, an hour and outcome a row: a week's statistics read some thousand rows whatever the ledger's size. Written with the
-- auction, in its transaction. `hour`: hours since 1970-01-01 UTC.

CREATE TABLE relay_hours (
    hour BIGINT NOT NULL,
    counterparty TEXT NOT NULL,
    outcome TEXT NOT NULL,
    calls BIGINT NOT NULL,
    bids BIGINT NOT NULL,
    wins BIGINT NOT NULL,
    PRIMARY KEY (hour, counterparty, outcome)
);

INSERT INTO relay_hours (hour, counterparty, outcome, calls, bids, wins)
SELECT o.requested_at / 3600000, o.counterparty, o.outcome, COUNT(*), COUNT(o.value_wei),
       SUM(CASE WHEN o.outcome = 'bid' AND o.block_hash = a.winner_block_hash THEN 1 ELSE 0 END)
FROM offers o LEFT JOIN auctions a ON a.id = o.auction_id
GROUP BY 1, 2, 3;

-- The newest latencies of a relay are read from the index alone.
DROP INDEX offers_by_counterparty;
CREATE INDEX offers_by_counterparty ON offers (counterparty, requested_at, outcome, latency_us);

CREATE INDEX submission_answers_by_time ON submission_answers (answered_at);
