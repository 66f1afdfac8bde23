"""The parts of a burst: keys, labels, files with recipients, jumps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core import burst
from boe_reconciler.core.burst import Flaw, Reach
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.names import sanitise
from boe_reconciler.core.prepare import prepare
from tests.engine.world import a_spec


def labels(*keys: str) -> list[str]:
    return [one.label for one in burst.parts([{"k": key} for key in keys], "k", None)]


def test_a_label_is_the_key_where_that_is_a_name() -> None:
    assert labels("EMEA", "Köln", "a/b", "") == ["EMEA", "Köln", "a_b", "file"]


def test_labels_differ_where_no_file_system_would_tell_keys_apart() -> None:
    assert labels("a/b", "a:b", "A_B") == ["a_b", "a_b (2)", "A_B (3)"]


def test_a_label_never_means_something_else_in_a_delivery() -> None:
    assert labels("-", "csv north", "csv") == ["_", "csv_north", "csv"]


@given(st.lists(st.text(max_size=200), unique=True, max_size=20))
def test_labels_are_safe_and_differ(keys: list[str]) -> None:
    found = labels(*keys)
    assert len({one.casefold() for one in found}) == len(keys)
    assert all(0 < len(one.encode()) <= 100 for one in found)
    assert all(sanitise(one) == one for one in found)


def test_more_parts_than_there_may_be_are_told() -> None:
    with pytest.raises(Permanent, match="more than 1 parts"):
        burst.parts([{"k": "a"}, {"k": "b"}], "k", 1)


def test_a_csv_file_is_read_with_its_quotes() -> None:
    rows, flaws = burst.rows_of('k,to\n"a, b",x\n\n', "k")
    assert (rows, flaws) == ([{"k": "a, b", "to": "x"}], [])


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ("", (1, "it is empty")),
        ("a\n", (1, "it has no column k (split_on); it has a")),
        ("k,\n", (1, "a column has no name, or that of another")),
        ("k,b\n1\n", (2, "the line has 1 values, and the header 2")),
        ("k,b\n,1\n", (2, "k (split_on) is empty")),
        ('k\n"1\n', (2, "it is no csv: unexpected end of data")),
    ],
)
def test_what_is_wrong_with_a_file_is_told_at_its_line(
    text: str, flaw: tuple[int, str]
) -> None:
    assert burst.rows_of(text, "k")[1] == [Flaw(line=flaw[0], detail=flaw[1])]


def reach(parts: int, recipients: int = 0) -> Reach:
    return Reach(
        parts={f"p{n:02}" for n in range(parts)},
        recipients={f"{n}@example.com" for n in range(recipients)},
    )


def test_a_change_within_bounds_is_no_jump() -> None:
    assert burst.jump(reach(10), reach(15), "50%") == ""
    assert burst.jump(reach(10), reach(5), "50%") == ""


def test_a_jump_says_from_what_to_what_and_which_are_new_or_gone() -> None:
    assert burst.jump(reach(2), reach(5), "50%") == (
        "The burst has changed by more than 50%: 2 parts last time, 5 now; "
        "new: p02, p03, p04."
    )
    told = burst.jump(reach(30, 4), reach(5, 4), "50%")
    assert "gone: p05, p06" in told
    assert told.endswith("p14 and 15 more.")


def test_recipients_may_jump_where_parts_do_not() -> None:
    assert burst.jump(reach(1, 1), reach(1, 2), "50%") == (
        "The burst has changed by more than 50%: 1 recipients last time, 2 now."
    )


# --- Parameters of a query for each part ----------------------------------------------


def asked(part: dict[str, str] | None, **burst_: Any) -> dict[str, Any]:
    spec = a_spec(
        "select :a, :b",
        report={
            "parameters": {
                "a": {"type": "int"},
                "b": {"type": "list", "default": ["x"]},
            }
        },
        parameters={"a": "{{ part.n }}"},
        burst={"recipients_query": "select 1 as n", "split_on": "n", **burst_},
    )
    occurrence = datetime(2026, 11, 24, tzinfo=UTC)
    found = prepare(spec, run_id="r", occurrence=occurrence, part=part)
    return dict(found.parameters)


def test_what_needs_a_part_has_no_value_before_there_is_one() -> None:
    assert asked(None, mode="query") == {"a": None, "b": ["x"]}
    assert asked({"n": "7"}, mode="query") == {"a": 7, "b": ["x"]}


def test_all_rows_at_once_belong_to_no_part() -> None:
    with pytest.raises(Permanent, match="part"):
        asked(None)
