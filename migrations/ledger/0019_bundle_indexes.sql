-- Booking finds the bundles of a final block by its hash; reports those of a span of time.

CREATE INDEX bundles_to_book ON bundles (block_hash) WHERE NOT is_final;
CREATE INDEX bundles_by_time ON bundles (received_at, state);
