"""Connections with limits, and runs that can be late."""

import json

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"

_TABLES = """
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

ALTER TABLE schedules ADD COLUMN connection TEXT NOT NULL DEFAULT '';
UPDATE schedules SET connection = (
    SELECT json_extract(spec, '$.connection_name') FROM specs WHERE digest = spec_digest
);

ALTER TABLE runs ADD COLUMN connection TEXT;
UPDATE runs SET connection = (
    SELECT json_extract(spec, '$.connection_name') FROM specs WHERE digest = spec_digest
)
WHERE status IN ('pending', 'waiting', 'running')
    AND run_id NOT IN (SELECT run_id FROM artifacts);

ALTER TABLE runs ADD COLUMN late_at INTEGER;
CREATE INDEX runs_late ON runs (late_at) WHERE late_at IS NOT NULL;

-- With what a claim leaves out, so that a crowd that waits is not read row by row.
DROP INDEX runs_to_start;
CREATE INDEX runs_to_start ON runs
    (not_before, occurrence, run_id, connection, schedule_uid)
    WHERE status IN ('pending', 'waiting');
"""

_LIMITS = ("max_concurrent", "rate_limit", "blackouts", "circuit_breaker")


def upgrade() -> None:
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    _fill_connections()


def _fill_connections() -> None:
    """What is served now; a later activation does the same."""
    connection = op.get_bind()
    served = (
        "SELECT spec FROM specs WHERE digest IN (SELECT spec_digest FROM schedules)"
    )
    found = {}
    for (spec,) in connection.execute(text(served)).fetchall():
        known = json.loads(spec)
        limits = {key: known["connection"].get(key) for key in _LIMITS}
        found[known["connection_name"]] = {k: v for k, v in limits.items() if v}
    for name, limits in found.items():
        connection.execute(
            text(
                "INSERT INTO connections VALUES (:name, :limits, 0, NULL, '', NULL, "
                "NULL, NULL, NULL, '')"
            ),
            {"name": name, "limits": json.dumps(limits)},
        )
