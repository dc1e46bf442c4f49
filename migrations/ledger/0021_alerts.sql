-- Alerts: what was wrong, who was told, and what is still to be sent. What follows from one look at all troubles is one transaction: an alert, its
-- group and the messages about it are there together or not at all.

-- One row an episode: from when a trouble was first seen until it was over. `id` is counted by each instance. `phase`: pending, firing, clearing,
-- resolved. `live`: whether the service still needs `state` (JSON); of what is done, `state` is empty. Times: Unix milliseconds.
CREATE TABLE alerts (
    id BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    component TEXT NOT NULL,
    phase TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    pending_at BIGINT NOT NULL,
    firing_at BIGINT,
    resolved_at BIGINT,
    told_at BIGINT,
    acknowledged_at BIGINT,
    acknowledged_by TEXT,
    incident TEXT,
    live BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, id)
);
CREATE INDEX alerts_live ON alerts (id) WHERE live;
CREATE INDEX alerts_by_time ON alerts (pending_at);
CREATE INDEX alerts_by_fingerprint ON alerts (fingerprint, pending_at);
CREATE INDEX alerts_by_incident ON alerts (incident) WHERE incident IS NOT NULL;

-- What is told together and escalated together: one row for each severity and component, and one for what belongs to none (`clock`, `digest`).
CREATE TABLE alert_groups (
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, id)
);

-- Alerts that nobody is told of for a time. `matchers`: JSON. `kind`: silence (made by a person), maintenance (made from a schedule).
CREATE TABLE alert_silences (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    matchers TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    comment TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (instance, id)
);
CREATE INDEX alert_silences_by_end ON alert_silences (ends_at);

-- Who was told what, and when; kept longer than the queue. Whether it arrived, the row of the same message and channel in `alert_outbox` says.
CREATE TABLE alert_notifications (
    id TEXT NOT NULL,
    channel TEXT NOT NULL,
    incident TEXT NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    title TEXT NOT NULL,
    fingerprints TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (id, channel)
);
CREATE INDEX alert_notifications_by_time ON alert_notifications (made_at);
CREATE INDEX alert_notifications_by_incident ON alert_notifications (incident);

-- Messages to be sent, each to one channel. `state`: queued, sending, sent, dead. `body`: the message as JSON.
CREATE TABLE alert_outbox (
    id TEXT NOT NULL,
    channel TEXT NOT NULL,
    severity TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    attempts BIGINT NOT NULL DEFAULT 0,
    not_before BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    last_attempt_at BIGINT,
    sent_at BIGINT,
    last_error TEXT,
    instance BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (id, channel)
);
CREATE INDEX alert_outbox_due ON alert_outbox (state, not_before);
