"""How long to wait before another try."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core import retry

INITIAL, MOST = timedelta(seconds=30), timedelta(minutes=15)


def wait(tries: int, random: float = 0.0) -> float:
    found = retry.delay(tries, initial=INITIAL, most=MOST, random=random)
    return found.total_seconds()


@pytest.mark.parametrize(
    ("tries", "least"), [(1, 15), (2, 30), (3, 60), (5, 240), (6, 450), (60, 450)]
)
def test_each_wait_is_twice_the_one_before_up_to_a_cap(tries: int, least: int) -> None:
    assert wait(tries) == least
    assert wait(tries, 0.5) == least * 1.5


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_lies_between_half_and_all_of_it(tries: int, random: float) -> None:
    full = wait(tries) * 2
    assert full / 2 <= wait(tries, random) <= full <= MOST.total_seconds()


# --- What the far side asks for ------------------------------------------------------

NOW = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 0),
        ("9" * 5000, 3600),
        ("Tue, 24 Nov 2026 05:32:00 GMT", 120),
        ("Tuesday, 24-Nov-26 05:32:00 GMT", 120),
        ("Tue Nov 24 05:32:00 2026", 120),
        ("Tue, 24 Nov 2020 05:32:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("Tue, 24 Nov 99999 05:32:00 GMT", None),
        *[(text, None) for text in ("", "soon", "-5", "1.5", "٣", "²", "1e9", "Tue,")],
        ("2026-11-24T05:32:00Z", None),
    ],
)
def test_a_wait_is_asked_for_in_seconds_or_by_a_date(
    text: str, seconds: int | None
) -> None:
    wait = retry.asked({"retry-after": text}, NOW, most=HOUR)
    assert wait == (None if seconds is None else timedelta(seconds=seconds))


def test_a_date_counts_from_the_clock_of_those_who_name_it() -> None:
    answer = {
        "date": "Tue, 24 Nov 2026 06:00:00 GMT",
        "retry-after": "Tue, 24 Nov 2026 06:01:00 GMT",
    }
    for now in (NOW, None):
        assert retry.asked(answer, now, most=HOUR) == timedelta(minutes=1)
    broken = {**answer, "date": "today"}
    assert retry.asked(broken, NOW, most=HOUR) == timedelta(minutes=31)
    assert retry.asked(broken, None, most=HOUR) is None


@given(st.text(max_size=60) | st.text("0123456789 +-:,GMTNovTue", max_size=60))
def test_no_answer_makes_a_wait_that_is_negative_or_endless(text: str) -> None:
    wait = retry.asked({"retry-after": text, "date": text}, NOW, most=HOUR)
    assert wait is None or timedelta() <= wait <= HOUR
