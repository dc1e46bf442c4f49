-- What is known of each relay over restarts, how its place changed, and each poll of a race.

CREATE TABLE counterparty_standings (
    counterparty TEXT PRIMARY KEY,
    standing TEXT NOT NULL,
    saved_at BIGINT NOT NULL
);

CREATE TABLE counterparty_places (
    counterparty TEXT NOT NULL,
    since BIGINT NOT NULL,
    place TEXT NOT NULL,
    before TEXT,
    why TEXT NOT NULL,
    score DOUBLE PRECISION NOT NULL
);
CREATE INDEX counterparty_places_by_counterparty ON counterparty_places (counterparty, since);

-- Timing games and streams: every answer within a race. `sent_ms_into_slot` is when it was asked for (a stream: when it came).
CREATE TABLE polls (
    auction_id BIGINT NOT NULL,
    counterparty TEXT NOT NULL,
    number BIGINT NOT NULL,
    sent_ms_into_slot BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    value_wei TEXT,
    PRIMARY KEY (auction_id, counterparty, number)
);

ALTER TABLE auctions ADD COLUMN policy TEXT NOT NULL DEFAULT '';
ALTER TABLE offers ADD COLUMN score_wei TEXT;
