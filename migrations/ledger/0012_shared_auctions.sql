-- Requests for the same slot, parent and proposer share one auction: 'own' asked the relays, 'joined' waited for an auction under
-- way, 'repeated' got the bid of one that had ended. Only 'own' has bids.
ALTER TABLE auctions ADD COLUMN race TEXT NOT NULL DEFAULT 'own';
