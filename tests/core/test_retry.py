"""How long to wait before another try."""

from __future__ import annotations

from datetime import timedelta

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
