-- Slots whose end cannot be proven: a node that has pruned their blocks is asked with growing pauses, and not for ever.
-- `status`: open (not looked at), provisional (seen at the head), final, unknowable (given up: no node here has the blocks).
-- `refusals`: how often in a row the node could not tell; `look_after`: not looked at before (Unix milliseconds).

ALTER TABLE settlements ADD COLUMN refusals BIGINT NOT NULL DEFAULT 0;
ALTER TABLE settlements ADD COLUMN look_after BIGINT NOT NULL DEFAULT 0;
DROP INDEX settlements_open;
CREATE INDEX settlements_unsettled ON settlements (slot) WHERE status <> 'final' AND status <> 'unknowable';
CREATE INDEX settlements_unknowable ON settlements (slot) WHERE status = 'unknowable';

-- Private transactions are nobody's any more once they are final.
UPDATE bundles SET request = '' WHERE is_final;
ALTER TABLE bundles ADD COLUMN profit_confidence TEXT;
