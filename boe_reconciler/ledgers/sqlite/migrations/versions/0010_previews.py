"""The first rows of a file, for mails; and mails that link from then on."""

from alembic import op

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    op.execute("ALTER TABLE artifacts ADD COLUMN preview TEXT NOT NULL DEFAULT ''")
    op.execute(
        "CREATE INDEX artifacts_preview ON artifacts (preview) WHERE preview <> ''"
    )
    op.execute("ALTER TABLE deliveries ADD COLUMN linked INTEGER NOT NULL DEFAULT 0")
