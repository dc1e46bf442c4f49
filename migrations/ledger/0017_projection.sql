-- The sums of days and months follow the slots by a position, and not by marks that every writer has to set: each change of a slot gets the
-- next revision, and `position` is the last one that the sums have taken in. Slots of earlier versions have revision 0: their sums are made,
-- or their days are still marked in `profit_stale_days`, which is read once more and written never again.
ALTER TABLE settlements ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
CREATE INDEX settlements_changed ON settlements (revision, slot) WHERE revision > 0;

CREATE TABLE projections (
    name TEXT PRIMARY KEY,
    position BIGINT NOT NULL
);
