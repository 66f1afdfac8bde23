"""What this version does not do yet is told where a Schedule uses it."""

from __future__ import annotations

from typing import Any

import pytest

from boe_reconciler.core.language import availability
from boe_reconciler.core.language.availability import (
    NOT_AVAILABLE,
    Lack,
    unavailable_in,
    unavailable_in_schedule,
    unavailable_through,
)
from boe_reconciler.core.problems import dotted

NOTHING: dict[str, Any] = {
    "report": {"connection": "x", "query": "select 1", "on_too_many": "fail"},
    "deliver_to": ["archive", {"type": "local", "base_path": "x"}],
    "wait_for": [{"query": "x"}],
    "approval": {"by": ["x"]},
    "burst": {"values_from": "x"},
    "if_empty": "notice",
    "if_unchanged": "notice",
}


@pytest.fixture(autouse=True)
def a_destination_lacks_something(monkeypatch: pytest.MonkeyPatch) -> None:
    lack = Lack(place="Destination", path=("smoke",), what="sending smoke signals")
    warned = Lack(
        place="Connection", path=("drums",), what="drumming", severity="warning"
    )
    monkeypatch.setattr(availability, "NOT_AVAILABLE", (*NOT_AVAILABLE, lack, warned))


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"deliver_to": ["a", {"smoke": True}]}, "spec.deliver_to[1].smoke"),
    ],
)
def test_what_a_schedule_says_itself_is_told_at_its_field(
    spec: dict[str, Any], place: str
) -> None:
    (finding,) = unavailable_in_schedule(NOTHING | spec)
    assert (finding.code, dotted(finding.path)) == ("BOE190", place)


def test_what_works_is_not_mentioned() -> None:
    assert list(unavailable_in_schedule(NOTHING)) == []
    assert list(unavailable_in_schedule({"report": "by-name"})) == []


def test_what_has_no_effect_yet_is_a_warning() -> None:
    spec = {"type": "smtp", "drums": {"loud": True}}
    found = list(unavailable_in("Connection", spec, ("spec",)))
    assert [finding.severity for finding in found] == ["warning"]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (
            "Distribution",
            {"destinations": [{"type": "local"}, {"smoke": True}]},
        ),
    ],
)
def test_what_it_uses_through_a_name_is_told_at_the_name(
    kind: str, spec: dict[str, Any]
) -> None:
    (finding,) = unavailable_through(kind, "x", spec, ("spec", "deliver_to", 0))
    assert finding.path == ("spec", "deliver_to", 0)
    assert f"{kind} x" in finding.detail


def test_other_kinds_have_nothing_to_lack() -> None:
    assert list(unavailable_through("Calendar", "x", {}, ())) == []


def test_each_line_of_the_table_reads_like_the_beginning_of_a_sentence() -> None:
    assert all(lack.what and not lack.what.endswith(".") for lack in NOT_AVAILABLE)
