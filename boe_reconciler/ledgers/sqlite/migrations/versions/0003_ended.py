"""What ended lately, and why, is counted from an index alone."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute(
        "CREATE INDEX runs_ended ON runs (finished_at, status, reason) "
        "WHERE finished_at IS NOT NULL"
    )
