"""A schedule may leave its revision out, where that is the one that is served.

Rows stay as they are; an older BOE would make runs of no revision.
"""

revision = "0013"
down_revision = "0011"


def upgrade() -> None:
    """Nothing is to be done."""
