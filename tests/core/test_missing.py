"""Names that lead nowhere: each gets advice, and thousands of them take no hour."""

from __future__ import annotations

from boe_reconciler.core.plan.missing import MOST, Missing

MANY = [f"{number}-a-report-with-quite-a-long-name" for number in range(20_000)]


def test_a_slip_is_guessed_until_there_are_too_many_of_them() -> None:
    missing = Missing(names=lambda _: ["sales", *MANY])
    looks = MOST // (len(MANY) + 1)
    told = [missing.todo("Report", f"sale{number}") for number in range(looks + 1)]
    assert set(told[:looks]) == {'did you mean "sales"?'}
    assert told[-1].startswith("there is 0-a-report-with-quite-a-long-name, 1-a-")
    assert told[-1].endswith(", …")
    assert missing.todo("Report", "sale0") == told[0]


def test_what_is_there_is_listed_and_a_kind_without_any_is_told() -> None:
    missing = Missing(names=lambda kind: ["b", "a"] if kind == "Report" else [])
    assert missing.todo("Report", "something") == "there is a, b"
    assert missing.todo("Group", "something") == "this repo has no Group at all"
