-- Signed blocks that our decoder refuses and that are passed on as they came. `ssz` has their bytes, whatever their encoding is.

ALTER TABLE blocks ADD COLUMN undecoded TEXT;
ALTER TABLE blocks ADD COLUMN content_type TEXT;
ALTER TABLE blocks ADD COLUMN consensus_version TEXT;
