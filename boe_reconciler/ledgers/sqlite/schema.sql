-- Made by `make schema` from migrations/versions.
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0014');
CREATE TABLE "artifacts" (
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
CREATE TABLE "attempts" (
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
CREATE TABLE connections (
    name TEXT PRIMARY KEY,
    limits TEXT NOT NULL,
    failures INTEGER NOT NULL,
    opened_at INTEGER,
    cause TEXT NOT NULL,
    trying TEXT,
    tokens REAL,
    tokens_at INTEGER,
    full_at INTEGER,
    full_by TEXT NOT NULL,
    CHECK ((tokens IS NULL) = (tokens_at IS NULL))
);
CREATE TABLE "deliveries" (
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
CREATE TABLE events (
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    message TEXT NOT NULL,
    run_id TEXT,
    schedule TEXT
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
CREATE TABLE holds (
    hold_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    released_at INTEGER,
    released_by TEXT NOT NULL,
    why TEXT NOT NULL,
    ended_at INTEGER,
    ended_as TEXT,
    CHECK ((released_at IS NULL) = (released_by = '')),
    CHECK ((ended_at IS NULL) = (ended_as IS NULL))
);
CREATE TABLE incidents (
    subject TEXT PRIMARY KEY,
    since INTEGER,
    failing TEXT NOT NULL,
    message TEXT NOT NULL,
    told TEXT NOT NULL,
    told_at TEXT NOT NULL,
    CHECK ((since IS NULL) = (failing = '' AND told = ''))
);
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL);
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
CREATE TABLE objects (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    "index" INTEGER NOT NULL,
    data TEXT NOT NULL,
    files TEXT NOT NULL,
    revision TEXT NOT NULL
);
CREATE TABLE outbox (
    channel TEXT NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,
    since INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_try INTEGER,
    result TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (channel, key),
    CHECK ((next_try IS NULL) = (result <> 'open'))
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
CREATE TABLE return_key (value TEXT NOT NULL);
INSERT INTO "return_key" VALUES(hex(randomblob(32)));
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
    created_at INTEGER NOT NULL, connection TEXT, late_at INTEGER,
    CHECK (attempts BETWEEN 0 AND max_attempts),
    CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CHECK ((status = 'running') = (worker IS NOT NULL)),
    CHECK ((status IN ('pending', 'waiting', 'running')) = (finished_at IS NULL)),
    CHECK ("trigger" NOT IN ('schedule', 'catchup') OR started_at IS NULL
        OR started_at >= occurrence)
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
, connection TEXT NOT NULL DEFAULT '');
CREATE TABLE specs (
    digest TEXT PRIMARY KEY,
    spec TEXT NOT NULL,
    version INTEGER NOT NULL
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
CREATE INDEX schedules_due ON schedules (next_due, name);
CREATE INDEX schedules_paused ON schedules (uid) WHERE paused;
CREATE UNIQUE INDEX runs_owed_once ON runs (schedule_uid, occurrence)
    WHERE "trigger" IN ('schedule', 'catchup');
CREATE UNIQUE INDEX runs_executing ON runs
    (schedule_uid, CASE overlap WHEN 'skip' THEN '' ELSE run_id END)
    WHERE status = 'running';
CREATE INDEX runs_to_expire ON runs (expires)
    WHERE status = 'pending' AND started_at IS NULL;
CREATE INDEX runs_by_time ON runs (occurrence, created_at, run_id);
CREATE INDEX runs_by_schedule ON runs (schedule, occurrence, created_at, run_id);
CREATE INDEX runs_delivered ON runs (schedule_uid, finished_at)
    WHERE status = 'succeeded' AND whole;
CREATE INDEX events_by_run ON events (run_id);
CREATE TRIGGER high_water_never_falls BEFORE UPDATE OF high_water ON schedules
    WHEN NEW.high_water < OLD.high_water
    BEGIN SELECT RAISE(ABORT, 'a high-water mark never falls'); END;
CREATE TRIGGER fences_only_grow BEFORE UPDATE OF fence ON runs
    WHEN NEW.fence < OLD.fence
    BEGIN SELECT RAISE(ABORT, 'a fence only grows'); END;
CREATE TRIGGER final_runs_stay BEFORE UPDATE OF status ON runs
    WHEN OLD.finished_at IS NOT NULL AND NEW.status <> OLD.status
        AND NOT (NEW.status = 'pending' AND NEW.reopened = OLD.reopened + 1)
    BEGIN SELECT RAISE(ABORT, 'the final state of a run is final'); END;
CREATE INDEX runs_late ON runs (late_at) WHERE late_at IS NOT NULL;
CREATE INDEX runs_to_start ON runs
    (not_before, occurrence, run_id, connection, schedule_uid)
    WHERE status IN ('pending', 'waiting');
CREATE INDEX runs_ended ON runs (finished_at, status, reason) WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX holds_open ON holds (kind, subject) WHERE ended_at IS NULL;
CREATE INDEX holds_of ON holds (subject);
CREATE INDEX suppressions_of ON suppressions (mailbox);
CREATE UNIQUE INDEX one_suppression_of_a_mailbox ON suppressions (mailbox)
    WHERE ended_at IS NULL;
CREATE UNIQUE INDEX attempts_one_open ON attempts (run_id) WHERE status = 'running';
CREATE INDEX artifacts_by_hash ON artifacts (sha256);
CREATE INDEX artifacts_preview ON artifacts (preview) WHERE preview <> '';
CREATE INDEX deliveries_stored ON deliveries (json_extract(intent, '$.stored'))
    WHERE status <> 'accepted' AND json_extract(intent, '$.stored') IS NOT NULL;
CREATE INDEX mails ON deliveries (json_extract(intent, '$.message_id'))
    WHERE json_extract(intent, '$.message_id') IS NOT NULL;
CREATE INDEX mails_of ON deliveries (receipt)
    WHERE type = 'email' AND receipt IS NOT NULL;
CREATE INDEX news_of ON news (run_id, part, destination, recipient, copy);
CREATE INDEX bad_news ON news (at) WHERE kind IN ('bounced', 'complained');
CREATE INDEX runs_in_vain ON runs (status, occurrence, created_at, run_id)
    WHERE status = 'failed' OR status = 'partial' OR status = 'cancelled'
        OR status = 'missed' OR status = 'skipped';
CREATE TRIGGER deliveries_have_files BEFORE INSERT ON deliveries
    WHEN NOT EXISTS (
        SELECT 1 FROM artifacts
        WHERE run_id = NEW.run_id AND (part = NEW.part OR "key" = NEW.part)
    )
    BEGIN SELECT RAISE(ABORT, 'a delivery needs a file that was committed'); END;
CREATE TRIGGER accepted_deliveries_stay BEFORE UPDATE OF status ON deliveries
    WHEN OLD.status = 'accepted' AND NEW.status <> 'accepted'
    BEGIN SELECT RAISE(ABORT, 'an accepted delivery stays accepted'); END;
CREATE TRIGGER final_deliveries_only_open_again
    BEFORE UPDATE OF status ON deliveries
    WHEN OLD.status IN ('refused', 'unconfirmed', 'failed', 'suppressed', 'cancelled')
        AND NEW.status NOT IN (OLD.status, 'pending')
    BEGIN SELECT RAISE(ABORT, 'the final state of a delivery is final'); END;
