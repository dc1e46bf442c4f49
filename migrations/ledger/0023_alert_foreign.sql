-- Alerts that others sent to the hook and that last: what is firing by their word. `alert`: all that is kept of it, as JSON. `heard_at`: when it was
-- sent last; what is not sent again is over some day. Times: Unix milliseconds.
CREATE TABLE alert_foreign (
    fingerprint TEXT NOT NULL,
    severity TEXT NOT NULL,
    alert TEXT NOT NULL,
    heard_at BIGINT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, fingerprint)
);
