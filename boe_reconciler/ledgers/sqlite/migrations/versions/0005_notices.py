"""What people were told about, and what is still to be sent to them."""

from alembic import op

revision = "0005"
down_revision = "0004"

_TABLES = """
CREATE TABLE incidents (
    subject TEXT PRIMARY KEY,
    since INTEGER,
    failing TEXT NOT NULL,
    message TEXT NOT NULL,
    told TEXT NOT NULL,
    told_at TEXT NOT NULL,
    CHECK ((since IS NULL) = (failing = '' AND told = ''))
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
"""


def upgrade() -> None:
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)
