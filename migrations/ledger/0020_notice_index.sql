-- The writer looks for a notice among those of its rule and subject, open or not, with each that is told.

CREATE INDEX notices_by_subject ON notices (rule, subject, raised_at);
