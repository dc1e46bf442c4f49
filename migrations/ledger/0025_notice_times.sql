-- What was wrong since a time, and how often the gravest: reports and the forgetting of what is old ask by time.

CREATE INDEX notices_by_time ON notices (raised_at);
CREATE INDEX notices_by_severity ON notices (severity, raised_at);
