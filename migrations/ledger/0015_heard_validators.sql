-- When a validator's registration was last repeated, in milliseconds of time in which registrations were heard at all. What was known before is
-- as good as any other.
ALTER TABLE registrations ADD COLUMN heard_at BIGINT NOT NULL DEFAULT 0;
