"""What waits for a person's release, and who released it."""

from alembic import op

revision = "0004"
down_revision = "0003"

_TABLES = """
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

CREATE UNIQUE INDEX holds_open ON holds (kind, subject) WHERE ended_at IS NULL;
"""


def upgrade() -> None:
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
