-- Why a signed block could not be decoded, where it was passed on as it came.

ALTER TABLE submissions ADD COLUMN undecoded TEXT;
