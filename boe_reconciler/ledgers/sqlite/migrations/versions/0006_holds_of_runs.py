"""What becomes of the Holds of a run is asked whenever a run ends."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("CREATE INDEX holds_of ON holds (subject)")
