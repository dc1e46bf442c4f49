-- Why a relay's mode changed, as a kind: a relay that does not answer is no dishonest one. Empty in rows of earlier versions.

ALTER TABLE counterparty_places ADD COLUMN reason TEXT NOT NULL DEFAULT '';
