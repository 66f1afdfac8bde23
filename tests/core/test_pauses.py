"""Which pause holds a schedule."""

from __future__ import annotations

from datetime import timedelta

import pytest

from boe_reconciler.core import pauses
from boe_reconciler.core.runs import PauseTarget
from tests.builders import a_pause, a_spec, at

START = at("2026-03-01 07:00")
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("target", "value", "held"),
    [
        (PauseTarget.ALL, "", True),
        (PauseTarget.SCHEDULE, "daily", True),
        (PauseTarget.SCHEDULE, "other", False),
        (PauseTarget.OWNER, "ops@example.com", True),
        (PauseTarget.OWNER, "ops", False),
        (PauseTarget.LABEL, "team=finance", True),
        (PauseTarget.LABEL, "team", False),
        (PauseTarget.CONNECTION, "flights", True),
        (PauseTarget.CONNECTION, "mail", False),
    ],
)
def test_what_a_pause_covers(target: PauseTarget, value: str, held: bool) -> None:
    spec = a_spec(labels={"team": "finance"})
    assert pauses.covers(a_pause(START, target=target, value=value), spec) == held


def test_the_pause_that_ends_last_holds() -> None:
    short, long = a_pause(START, until=START + HOUR), a_pause(START)
    middle = a_pause(START, until=START + 2 * HOUR)
    spec = a_spec()
    assert pauses.holding([short, middle], spec, START) == middle
    assert pauses.holding([short, long, middle], spec, START) == long
    assert pauses.holding([short], spec, START + HOUR) is None
    assert pauses.holding([], spec, START) is None
