"""What belongs to the runs of a schedule lies together in the file.

An attempt, a file and a delivery lie where their run's id puts them, and no longer where
their row was added: what is shown of fifty runs is in a few pages, not in hundreds.
And runs that did not succeed are found without a look at the others.
"""

from alembic import op

revision = "0014"
down_revision = "0013"

_STATEMENTS = """
CREATE TABLE attempts_anew (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    worker TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'succeeded', 'retry', 'failed',
        'cancelled', 'lost', 'released')),
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (run_id, number),
    CHECK ((status = 'running') = (finished_at IS NULL))
) WITHOUT ROWID;
INSERT INTO attempts_anew
    SELECT run_id, number, fence, worker, status, reason, message, started_at, finished_at
    FROM attempts ORDER BY run_id, number;
DROP TABLE attempts;
ALTER TABLE attempts_anew RENAME TO attempts;
CREATE UNIQUE INDEX attempts_one_open ON attempts (run_id) WHERE status = 'running';

DROP TRIGGER deliveries_have_files;
CREATE TABLE artifacts_anew (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    part TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    rows INTEGER NOT NULL,
    rows_digest TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "values" TEXT NOT NULL,
    format TEXT NOT NULL,
    preview TEXT NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (run_id, part)
) WITHOUT ROWID;
INSERT INTO artifacts_anew
    SELECT run_id, part, name, media_type, bytes, sha256, rows, rows_digest, "key",
        "values", format, preview, rowid
    FROM artifacts ORDER BY run_id, part;
DROP TABLE artifacts;
ALTER TABLE artifacts_anew RENAME TO artifacts;
CREATE INDEX artifacts_by_hash ON artifacts (sha256);
CREATE INDEX artifacts_preview ON artifacts (preview) WHERE preview <> '';

CREATE TABLE news_kept AS SELECT * FROM news ORDER BY rowid;
DROP TABLE news;
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
    linked INTEGER NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (run_id, part, destination, recipient, copy)
) WITHOUT ROWID;
INSERT INTO deliveries_anew
    SELECT run_id, part, destination, recipient, copy, type, status, attempts, reason,
        message, receipt, remote, intent, first_attempt_at, next_attempt_at, at, role,
        notice, resent, linked, rowid
    FROM deliveries ORDER BY run_id, part, destination, recipient, copy;
DROP TABLE deliveries;
ALTER TABLE deliveries_anew RENAME TO deliveries;
CREATE INDEX deliveries_stored ON deliveries (json_extract(intent, '$.stored'))
    WHERE status <> 'accepted' AND json_extract(intent, '$.stored') IS NOT NULL;
CREATE INDEX mails ON deliveries (json_extract(intent, '$.message_id'))
    WHERE json_extract(intent, '$.message_id') IS NOT NULL;
CREATE INDEX mails_of ON deliveries (receipt)
    WHERE type = 'email' AND receipt IS NOT NULL;

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
INSERT INTO news SELECT * FROM news_kept ORDER BY rowid;
DROP TABLE news_kept;
CREATE INDEX news_of ON news (run_id, part, destination, recipient, copy);
CREATE INDEX bad_news ON news (at) WHERE kind IN ('bounced', 'complained');

CREATE INDEX runs_in_vain ON runs (status, occurrence, created_at, run_id)
    WHERE status = 'failed' OR status = 'partial' OR status = 'cancelled'
        OR status = 'missed' OR status = 'skipped';
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
    for statement in (*_STATEMENTS.split(";\n"), *_TRIGGERS):
        if statement.strip():
            op.execute(statement)
