-- What a bundle needs to be taken up again as it was left. `builders`: ids of the builders that it goes to, as a JSON list; NULL in rows of
-- earlier versions, which were sent to those in `bundle_sends`. `delivery`: active, cancel_requested, replaced or refused: whether it is
-- still sent. `replaced_by`: the bundle that took its place. A bundle that a block decided has a `block_number` and waits for finality here.

ALTER TABLE bundles ADD COLUMN builders TEXT;
ALTER TABLE bundles ADD COLUMN delivery TEXT NOT NULL DEFAULT 'active';
ALTER TABLE bundles ADD COLUMN replaced_by BIGINT;
UPDATE bundles SET delivery = 'cancel_requested' WHERE state = 'cancel_requested' AND NOT is_final;
CREATE INDEX bundles_decided ON bundles (block_number) WHERE NOT is_final;
