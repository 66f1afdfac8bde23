"""News of mails that were sent, and the suppression list."""

from alembic import op

revision = "0011"
down_revision = "0010"

_STATEMENTS = """
CREATE TABLE news (
    digest TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    part TEXT NOT NULL,
    destination TEXT NOT NULL,
    recipient TEXT NOT NULL,
    copy INTEGER NOT NULL,
    kind TEXT NOT NULL
        CHECK (kind IN ('delivered', 'delayed', 'bounced', 'complained')),
    lasting INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    at INTEGER NOT NULL,
    FOREIGN KEY (run_id, part, destination, recipient, copy)
        REFERENCES deliveries (run_id, part, destination, recipient, copy)
        ON DELETE CASCADE
);
CREATE INDEX news_of ON news (run_id, part, destination, recipient, copy);
CREATE INDEX bad_news ON news (at) WHERE kind IN ('bounced', 'complained');

CREATE TABLE suppressions (
    suppression_id TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    "by" TEXT NOT NULL,
    why TEXT NOT NULL,
    since INTEGER NOT NULL,
    run_id TEXT,
    ended_at INTEGER,
    ended_by TEXT,
    ended_why TEXT,
    CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);
CREATE INDEX suppressions_of ON suppressions (mailbox);
CREATE UNIQUE INDEX one_suppression_of_a_mailbox ON suppressions (mailbox)
    WHERE ended_at IS NULL;

CREATE INDEX mails ON deliveries (json_extract(intent, '$.message_id'))
    WHERE json_extract(intent, '$.message_id') IS NOT NULL;
CREATE INDEX mails_of ON deliveries (receipt)
    WHERE type = 'email' AND receipt IS NOT NULL;

CREATE TABLE return_key (value TEXT NOT NULL);
INSERT INTO return_key VALUES (hex(randomblob(32)));
"""


def upgrade() -> None:
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)
