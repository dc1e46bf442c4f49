-- Earlier versions wrote down whatever slot was asked for. One of long ago decided where reports begin, one far ahead which slots are the newest,
-- and one beyond all time stopped the sums. They go; a slot is about now where it was asked for from a month before it until a month after.
-- Walks the slots' index from both ends, up to the first slot that is about now.

CREATE TABLE slots_of_other_times (slot BIGINT PRIMARY KEY);

INSERT INTO slots_of_other_times (slot)
SELECT DISTINCT slot FROM auctions
WHERE slot < 0 OR slot > 4294967295
   OR slot < (SELECT slot FROM auctions WHERE slot >= 0 AND ms_into_slot BETWEEN -2592000000 AND 2592000000 ORDER BY slot LIMIT 1)
   OR slot > (SELECT slot FROM auctions WHERE slot <= 4294967295 AND ms_into_slot BETWEEN -2592000000 AND 2592000000
              ORDER BY slot DESC LIMIT 1);

DELETE FROM slots_of_other_times WHERE slot BETWEEN 0 AND 4294967295
    AND (slot IN (SELECT slot FROM submissions) OR slot IN (SELECT slot FROM missed_requests));

DELETE FROM offers WHERE auction_id IN
    (SELECT id FROM auctions WHERE slot IN (SELECT slot FROM slots_of_other_times));
DELETE FROM polls WHERE auction_id IN
    (SELECT id FROM auctions WHERE slot IN (SELECT slot FROM slots_of_other_times));
DELETE FROM auctions WHERE slot IN (SELECT slot FROM slots_of_other_times);
DELETE FROM settlements WHERE slot IN (SELECT slot FROM slots_of_other_times) OR slot < 0 OR slot > 4294967295;

DROP TABLE slots_of_other_times;
