"""What runs wait for, in words and instants."""

from __future__ import annotations

from typing import Any

import pytest

from boe_reconciler.core import approval, waits
from boe_reconciler.core.resources.schedule import Approval
from boe_reconciler.core.wording import local
from tests.builders import at
from tests.engine.world import a_spec

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ""),
        ({"wait_for": [{"query": "select true"}]}, "waits for its query"),
        (
            {"wait_for": [{"file": "a.csv"}, {"schedule": "load"}]},
            "waits for a.csv and load",
        ),
        (
            {"approval": {"by": ["finance", "cfo@example.com"]}},
            "waits for a release by finance or cfo@example.com",
        ),
    ],
)
def test_what_a_schedule_waits_for_is_known_from_its_files(
    fields: dict[str, Any], words: str
) -> None:
    assert waits.foreseen(a_spec(**fields)) == words


@pytest.mark.parametrize(
    ("moment", "first", "last"),
    [
        ("2026-11-24 22:59", "2026-11-23 23:00", "2026-11-24 22:59:59"),
        ("2026-11-24 23:00", "2026-11-24 23:00", "2026-11-25 22:59:59"),
        ("2026-10-25 12:00", "2026-10-24 22:00", "2026-10-25 22:59:59"),
        ("2026-03-29 12:00", "2026-03-28 23:00", "2026-03-29 21:59:59"),
    ],
)
def test_a_local_day_has_its_own_first_and_last_second(
    moment: str, first: str, last: str
) -> None:
    assert waits.local_day(at(moment), BERLIN) == (at(first), at(last))


@pytest.mark.parametrize(
    ("before", "now", "until"),
    [
        ("4h", "2026-11-24 05:30", "Tue 2026-11-24 10:30 CET"),
        ("09:00", "2026-11-24 05:30", "Tue 2026-11-24 09:00 CET"),
        ("09:00", "2026-11-24 08:00", "Wed 2026-11-25 09:00 CET"),
        ("09:00", "2026-03-28 12:00", "Sun 2026-03-29 09:00 CEST"),
    ],
)
def test_an_approval_is_asked_for_by_the_next_such_time(
    before: str, now: str, until: str
) -> None:
    asked = Approval.model_validate(
        {"by": ["ada@example.com"], "before": before, "otherwise": "send"}
    )
    found = approval.wait(asked, "daily.m1", BERLIN, at(now))
    assert found.until is not None
    assert local(found.until, BERLIN) == until
