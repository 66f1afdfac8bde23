"""When changes may be activated, by the Policy that is served."""

from __future__ import annotations

from typing import Any

import pytest

from boe_reconciler.core.holds import HoldKind
from boe_reconciler.core.plan import Plan
from boe_reconciler.core.plan.past import in_its_window
from boe_reconciler.core.resources.others import PolicySpec
from boe_reconciler.core.windows import next_window
from tests.builders import at
from tests.revisions import GOOD, Ledger, a_document, plan_of, spot, unmarked

OFFICE = {"cron": "0 8 * * mon-thu", "duration": "8h"}
BERLIN = {"timezone": "Europe/Berlin"}
#: A Tuesday at 13:00 in Berlin, and the evening of the Thursday after it.
INSIDE, OUTSIDE = at("2026-11-24 12:00"), at("2026-11-26 20:00")


def opens(now: str, *windows: dict[str, Any], **defaults: Any) -> str | None:
    spec = {"change_windows": list(windows), "defaults": defaults}
    found = next_window(PolicySpec.model_validate(spec), at(now))
    return str(found) if found else None


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-24 06:59", "Tue 2026-11-24 08:00 CET (07:00 UTC)"),
        ("2026-11-24 07:00", "Tue 2026-11-24 08:00 CET (07:00 UTC)"),
        ("2026-11-24 14:59", "Tue 2026-11-24 15:59 CET (14:59 UTC)"),
        ("2026-11-26 15:00", "Mon 2026-11-30 08:00 CET (07:00 UTC)"),
    ],
)
def test_a_window_opens_at_its_local_time(now: str, expected: str) -> None:
    assert opens(now, OFFICE, **BERLIN) == expected
    assert opens(now, OFFICE | BERLIN) == expected


def test_without_windows_it_is_always_now() -> None:
    assert opens("2026-11-26 15:00") == "Thu 2026-11-26 15:00 UTC"


def test_of_several_windows_the_first_to_open_counts() -> None:
    night = {"cron": "0 22 * * *", "duration": "1h", "timezone": "UTC"}
    expected = "Thu 2026-11-26 22:00 UTC"
    assert opens("2026-11-26 15:00", OFFICE, night, **BERLIN) == expected


def test_a_window_that_has_passed_for_good_never_opens() -> None:
    never = {"cron": "0 0 30 2 *", "duration": "1h", "timezone": "UTC"}
    assert opens("2026-11-26 15:00", never) is None


# --- What is odd about them -------------------------------------------------------------


@pytest.mark.parametrize(
    "windows",
    [
        "[{cron: '0 * * * *', duration: ⟦BOE155⟧90m, timezone: UTC}, *never*]",
        "⟦BOE155⟧[{cron: '0 0 * * *', duration: 24h, timezone: UTC}]",
        "[{cron: '0 8 * * *', duration: 8h, timezone: UTC}]",
        "[{cron: ⟦BOE067⟧'0 0 30 2 *', duration: 8h, timezone: UTC}]",
    ],
)
def test_odd_windows_are_told(windows: str) -> None:
    windows = windows.replace(", *never*", "")
    text = a_document("Policy", "policy", f"change_windows:\n  {windows}")
    files, expected = unmarked({**GOOD, "policy.yaml": text})
    found = {spot(one) for one in plan_of(files).problems}
    if "90m" in windows:  # … and so it never closes, either.
        assert {one[0] for one in found} == {"BOE155"}
        found &= expected
    assert found == expected


# --- A plan and its window --------------------------------------------------------------


def policy(*windows: dict[str, Any]) -> dict[str, str]:
    text = f"change_windows: {list(windows)}\ndefaults: {BERLIN}"
    return {"policy.yaml": a_document("Policy", "policy", text)}


@pytest.fixture
def ledger() -> Ledger:
    """One that serves GOOD and a Policy with windows."""
    found = Ledger()
    found.step(GOOD | policy(OFFICE))
    return found


def judged(ledger: Ledger, files: dict[str, Any], **options: Any) -> Plan:
    assert ledger.served
    plan = ledger.plan(files, now=options.get("now", OUTSIDE))
    return in_its_window(plan, ledger.served, **{"now": OUTSIDE, **options})


def edited(**changes: str) -> dict[str, Any]:
    files = GOOD | policy(OFFICE)
    report = files["reports/sales.yaml"].replace("select 1 as one", "select 2 as two")
    return files | {"reports/sales.yaml": report} | changes


def test_outside_its_windows_a_change_waits(ledger: Ledger) -> None:
    plan = judged(ledger, edited())
    (wait,) = plan.activation.waits
    assert plan.activation.serving is None
    assert (wait.kind, wait.subject) == (HoldKind.CHANGE_WINDOW, plan.revision)
    assert wait.until == at("2026-11-30 07:00")
    opens_ = "the change window that opens Mon 2026-11-30 08:00 CET (07:00 UTC)"
    assert wait.message == f"{plan.revision} waits for {opens_}."
    assert ledger.served
    assert plan.activation.objects == list(ledger.served.objects)
    reasons = {one.name: (one.ready, one.reason) for one in plan.statuses}
    assert reasons["sales"] == (False, "ChangeWindow")
    assert reasons["daily"] == (True, "Served")
    assert {one.serving_revision for one in plan.statuses} == {ledger.served.serving}


def test_within_a_window_it_does_not(ledger: Ledger) -> None:
    plan = judged(ledger, edited(), now=INSIDE)
    assert plan.activation.serving == plan.revision
    assert not plan.activation.waits


def test_a_release_names_its_revision(ledger: Ledger) -> None:
    plan = judged(ledger, edited())
    other = (HoldKind.CHANGE_WINDOW, "main@sha1:" + "f" * 40)
    assert judged(ledger, edited(), released={other}).activation.waits
    meant = (HoldKind.CHANGE_WINDOW, plan.revision)
    assert not judged(ledger, edited(), released={meant}).activation.waits


def test_no_change_lets_itself_in(ledger: Ledger) -> None:
    """Neither by removing the windows, nor by removing their Policy."""
    for files in (
        GOOD | policy(),
        dict(GOOD),
        GOOD | policy({**OFFICE, "cron": "@daily"}),
    ):
        plan = judged(ledger, files)
        assert plan.activation.waits, files
        reasons = {one.kind: one.reason for one in plan.statuses}
        assert reasons["Policy"] == "ChangeWindow"
        assert reasons["Schedule"] == "Served"


def test_what_is_new_or_wrong_is_told_as_it_is(ledger: Ledger) -> None:
    files = edited(
        **{
            "schedules/new.yaml": GOOD["schedules/daily.yaml"].replace(
                "name: daily", "name: new"
            )
        }
    )
    files["connections/bad.yaml"] = a_document("Connection", "bad", "type: nothing")
    told = {one.name: one for one in judged(ledger, files).statuses}
    assert (told["new"].reason, told["new"].serving_revision) == ("ChangeWindow", None)
    assert (told["bad"].reason, told["bad"].ready) == ("Invalid", False)


def test_where_no_window_opens_only_a_release_helps(ledger: Ledger) -> None:
    assert ledger.served
    never = policy({**OFFICE, "cron": "0 0 30 2 *"})["policy.yaml"]
    (served,) = [one for one in ledger.served.objects if one.kind == "Policy"]
    served.data["spec"]["change_windows"][0]["cron"] = "0 0 30 2 *"
    assert never
    (wait,) = judged(ledger, edited()).activation.waits
    assert (wait.until, wait.message[-26:]) == (None, "waits for a change window.")


def test_nothing_waits_that_changes_nothing(ledger: Ledger) -> None:
    same = judged(ledger, GOOD | policy(OFFICE) | {"sql/unused.sql": "select 1"})
    assert ledger.served
    assert same.revision != ledger.served.serving
    assert same.activation.serving == same.revision
    first = Ledger().plan(GOOD | policy(OFFICE), now=OUTSIDE)
    assert first.activation.serving == first.revision


def test_the_first_activation_never_waits() -> None:
    fresh = Ledger().plan(GOOD | policy(OFFICE), now=OUTSIDE)
    nothing = Ledger()
    nothing.step(GOOD)
    assert nothing.served
    from dataclasses import replace

    before = replace(nothing.served, serving=None, objects=())
    assert in_its_window(fresh, before, now=OUTSIDE) is fresh


def test_what_strict_refuses_waits_for_no_window(ledger: Ledger) -> None:
    bad = edited(
        **{"connections/bad.yaml": a_document("Connection", "bad", "type: no")}
    )
    assert ledger.served
    plan = ledger.plan(bad, strict=True)
    assert in_its_window(plan, ledger.served, now=OUTSIDE) is plan
