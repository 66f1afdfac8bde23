"""The first tables. Instants are microseconds since 1970, JSON is text."""

from alembic import op

revision = "0001"
down_revision = None

_TABLES = """
CREATE TABLE specs (
    digest TEXT PRIMARY KEY,
    spec TEXT NOT NULL,
    version INTEGER NOT NULL
);

CREATE TABLE schedules (
    uid TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    revision TEXT NOT NULL,
    spec_digest TEXT NOT NULL REFERENCES specs (digest),
    timing TEXT NOT NULL,
    covered_from INTEGER NOT NULL,
    high_water INTEGER NOT NULL CHECK (high_water >= covered_from),
    next_due INTEGER,
    paused_in_git INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    paused_until INTEGER,
    failures INTEGER NOT NULL
);
CREATE INDEX schedules_due ON schedules (next_due, name);
CREATE INDEX schedules_paused ON schedules (uid) WHERE paused;

CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    schedule TEXT NOT NULL,
    schedule_uid TEXT NOT NULL,
    occurrence INTEGER NOT NULL CHECK (occurrence % 1000000 = 0),
    "trigger" TEXT NOT NULL
        CHECK ("trigger" IN ('schedule', 'catchup', 'manual', 'backfill', 'rerun')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'waiting', 'running', 'succeeded',
        'partial', 'failed', 'skipped', 'missed', 'cancelled')),
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    expires INTEGER,
    expires_reason TEXT NOT NULL,
    overlap TEXT NOT NULL,
    max_concurrent INTEGER,
    options TEXT NOT NULL,
    whole INTEGER NOT NULL,
    cancel_requested INTEGER NOT NULL,
    cancel_requested_at INTEGER,
    fence INTEGER NOT NULL,
    worker TEXT,
    lease_until INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    rows INTEGER,
    lost INTEGER NOT NULL,
    reopened INTEGER NOT NULL,
    parameters TEXT NOT NULL,
    revision TEXT NOT NULL CHECK (revision <> ''),
    spec_digest TEXT NOT NULL REFERENCES specs (digest),
    tzdb TEXT NOT NULL CHECK (tzdb <> ''),
    created_at INTEGER NOT NULL,
    CHECK (attempts BETWEEN 0 AND max_attempts),
    CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CHECK ((status = 'running') = (worker IS NOT NULL)),
    CHECK ((status IN ('pending', 'waiting', 'running')) = (finished_at IS NULL)),
    CHECK ("trigger" NOT IN ('schedule', 'catchup') OR started_at IS NULL
        OR started_at >= occurrence)
);
CREATE UNIQUE INDEX runs_owed_once ON runs (schedule_uid, occurrence)
    WHERE "trigger" IN ('schedule', 'catchup');
-- Under skip a second running row of the schedule has no place.
CREATE UNIQUE INDEX runs_executing ON runs
    (schedule_uid, CASE overlap WHEN 'skip' THEN '' ELSE run_id END)
    WHERE status = 'running';
CREATE INDEX runs_to_start ON runs (not_before, occurrence, run_id)
    WHERE status IN ('pending', 'waiting');
CREATE INDEX runs_to_expire ON runs (expires)
    WHERE status = 'pending' AND started_at IS NULL;
CREATE INDEX runs_by_time ON runs (occurrence, created_at, run_id);
CREATE INDEX runs_by_schedule ON runs (schedule, occurrence, created_at, run_id);
CREATE INDEX runs_delivered ON runs (schedule_uid, finished_at)
    WHERE status = 'succeeded' AND whole;

CREATE TABLE attempts (
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
);
CREATE UNIQUE INDEX attempts_one_open ON attempts (run_id) WHERE status = 'running';

CREATE TABLE artifacts (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    part TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
    rows INTEGER NOT NULL,
    rows_digest TEXT NOT NULL,
    PRIMARY KEY (run_id, part)
);
CREATE INDEX artifacts_by_hash ON artifacts (sha256);

CREATE TABLE deliveries (
    run_id TEXT NOT NULL,
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
    PRIMARY KEY (run_id, part, destination, recipient, copy),
    -- Nothing is accepted before its artifact's hash is committed.
    FOREIGN KEY (run_id, part) REFERENCES artifacts (run_id, part) ON DELETE CASCADE
);

CREATE TABLE gaps (
    schedule TEXT NOT NULL,
    schedule_uid TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count > 0),
    reason TEXT NOT NULL,
    PRIMARY KEY (schedule_uid, since),
    CHECK (since < until)
);

CREATE TABLE pauses (
    target TEXT NOT NULL,
    value TEXT NOT NULL,
    "by" TEXT NOT NULL,
    why TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (target, value)
);

CREATE TABLE events (
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    message TEXT NOT NULL,
    run_id TEXT,
    schedule TEXT
);
CREATE INDEX events_by_run ON events (run_id);

CREATE TABLE objects (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    "index" INTEGER NOT NULL,
    data TEXT NOT NULL,
    files TEXT NOT NULL,
    revision TEXT NOT NULL
);

CREATE TABLE statuses (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    ready INTEGER NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    observed_revision TEXT NOT NULL,
    serving_revision TEXT
);

CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

_TRIGGERS = (
    # The name of a promise, when it is about to be broken, and how.
    """
    CREATE TRIGGER high_water_never_falls BEFORE UPDATE OF high_water ON schedules
    WHEN NEW.high_water < OLD.high_water
    BEGIN SELECT RAISE(ABORT, 'a high-water mark never falls'); END
    """,
    """
    CREATE TRIGGER fences_only_grow BEFORE UPDATE OF fence ON runs
    WHEN NEW.fence < OLD.fence
    BEGIN SELECT RAISE(ABORT, 'a fence only grows'); END
    """,
    """
    CREATE TRIGGER final_runs_stay BEFORE UPDATE OF status ON runs
    WHEN OLD.finished_at IS NOT NULL AND NEW.status <> OLD.status
        AND NOT (NEW.status = 'pending' AND NEW.reopened = OLD.reopened + 1)
    BEGIN SELECT RAISE(ABORT, 'the final state of a run is final'); END
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
