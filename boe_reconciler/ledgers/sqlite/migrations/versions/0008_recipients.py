"""A delivery row for each recipient of a mail, which may have several files."""

from alembic import op

revision = "0008"
down_revision = "0006"

_TABLES = """
ALTER TABLE artifacts ADD COLUMN "key" TEXT NOT NULL DEFAULT '-';
ALTER TABLE artifacts ADD COLUMN "values" TEXT NOT NULL DEFAULT '{}';
ALTER TABLE artifacts ADD COLUMN format TEXT NOT NULL DEFAULT '';

CREATE TABLE deliveries_anew (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    part TEXT NOT NULL,
    destination TEXT NOT NULL,
    recipient TEXT NOT NULL,
    copy INTEGER NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'sending', 'deferred', 'accepted',
        'refused', 'unconfirmed', 'failed', 'suppressed', 'cancelled')),
    attempts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    receipt TEXT,
    remote TEXT,
    intent TEXT NOT NULL,
    first_attempt_at INTEGER,
    next_attempt_at INTEGER,
    at INTEGER NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('', 'to', 'cc', 'bcc', 'asked')),
    notice TEXT NOT NULL CHECK (notice IN ('', 'empty', 'unchanged')),
    resent INTEGER NOT NULL,
    PRIMARY KEY (run_id, part, destination, recipient, copy)
);
INSERT INTO deliveries_anew
    SELECT run_id, part, destination, recipient, copy, type, status, attempts, reason,
        message, receipt, remote, intent, first_attempt_at, next_attempt_at, at,
        '', '', 0
    FROM deliveries ORDER BY rowid;
DROP TABLE deliveries;
ALTER TABLE deliveries_anew RENAME TO deliveries;
CREATE INDEX deliveries_stored ON deliveries (json_extract(intent, '$.stored'))
    WHERE status <> 'accepted' AND json_extract(intent, '$.stored') IS NOT NULL;
"""

_TRIGGERS = (
    """
    CREATE TRIGGER deliveries_have_files BEFORE INSERT ON deliveries
    WHEN NOT EXISTS (
        SELECT 1 FROM artifacts
        WHERE run_id = NEW.run_id AND (part = NEW.part OR "key" = NEW.part)
    )
    BEGIN SELECT RAISE(ABORT, 'a delivery needs a file that was committed'); END
    """,
    """
    CREATE TRIGGER accepted_deliveries_stay BEFORE UPDATE OF status ON deliveries
    WHEN OLD.status = 'accepted' AND NEW.status <> 'accepted'
    BEGIN SELECT RAISE(ABORT, 'an accepted delivery stays accepted'); END
    """,
    """
    CREATE TRIGGER final_deliveries_only_open_again
    BEFORE UPDATE OF status ON deliveries
    WHEN OLD.status IN ('refused', 'unconfirmed', 'failed', 'suppressed', 'cancelled')
        AND NEW.status NOT IN (OLD.status, 'pending')
    BEGIN SELECT RAISE(ABORT, 'the final state of a delivery is final'); END
    """,
)


def upgrade() -> None:
    for statement in (*_TABLES.split(";\n"), *_TRIGGERS):
        if statement.strip():
            op.execute(statement)
