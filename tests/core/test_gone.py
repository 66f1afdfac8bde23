"""What a receiver that wants no more switches off: one destination, at one address."""

from __future__ import annotations

from typing import Any

from boe_reconciler.core import gone
from boe_reconciler.core.holds import Hold, HoldKind
from boe_reconciler.core.spec import PlannedDestination, RunSpec
from tests.builders import a_schedule, at

NOW = at("2026-03-01 06:30")


def subject(key: str = "hooks/hook", **spec: Any) -> str:
    given = {"type": "webhook", "send": "event", **spec}
    planned = PlannedDestination.model_validate(
        {"key": key, "distribution": "hooks", "spec": given}
    )
    return gone.subject(planned, a_spec())


def a_spec(url: str = "https://a.example/key") -> RunSpec:
    crm = {"type": "webhook", "url": url}
    spec = a_schedule().spec.model_dump(by_alias=True)
    return RunSpec.model_validate({**spec, "connections": {"crm": crm}})


def test_another_address_is_another_one_and_the_address_is_not_told() -> None:
    one, other = (subject(url=f"https://a.example/{key}") for key in ("x1y2", "z3"))
    assert one != other
    assert one.rpartition(" ")[0] == "daily hooks/hook"
    assert "x1y2" not in one
    assert subject(connection="crm") not in (one, other)


def test_a_hold_of_an_older_address_is_outdated_and_no_other() -> None:
    new, old, other = (
        subject(url="https://a.example/new"),
        subject(url="https://a.example/old"),
        subject("hooks/other", url="https://a.example/old"),
    )
    holds = [
        Hold(hold_id=name, kind=HoldKind.GONE, subject=name, message="…", since=NOW)
        for name in (new, old, other)
    ]
    assert [one.subject for one in gone.outdated(holds, new)] == [old]
    found = gone.stands(holds, old)
    assert found is not None
    assert found.subject == old
