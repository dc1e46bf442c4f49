-- Slots of our validators in which the consensus client asked for no header, with what is known of why.
CREATE TABLE missed_requests (
    slot BIGINT NOT NULL,
    proposer TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    last_request_at BIGINT,
    found_at BIGINT NOT NULL,
    PRIMARY KEY (slot, proposer)
);

-- When this service ran: what a slot without request is put down to while it did not. `seen_at`: the last sign of life.
CREATE TABLE service_runs (
    started_at BIGINT PRIMARY KEY,
    seen_at BIGINT NOT NULL,
    stopped_at BIGINT
);
