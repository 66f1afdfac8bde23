"""Two plans -> what changes: objects field by field, runs, and who gets what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.changes import Changes, changes
from boe_reconciler.core.changes.compare import Terms, compare, compare_with_served
from boe_reconciler.core.changes.fields import FieldChange
from boe_reconciler.core.changes.review import review
from boe_reconciler.core.changes.runs import MOST_RUNS, timetable
from boe_reconciler.core.changes.shapes import as_json
from boe_reconciler.core.changes.uses import uses_of
from boe_reconciler.core.plan import Plan, served_plan
from boe_reconciler.core.plan.world import Key, World
from boe_reconciler.core.resources.when import When
from boe_reconciler.core.spec import OccurrenceSet
from tests.revisions import GOOD, NOW, Ledger, a_document, a_snapshot, plan_of


def between(
    before: dict[str, str] | None, after: dict[str, str], days: int = 3
) -> Changes:
    old = plan_of(before) if before is not None else None
    return changes(old, plan_of(after), now=NOW, days=days)


def told(before: dict[str, str] | None, after: dict[str, str], days: int = 3) -> Any:
    """The JSON of it."""
    terms, head = Terms(now=NOW), a_snapshot(after)
    if before is None:
        compared = compare_with_served(None, head, terms)
    else:
        compared = compare(a_snapshot(before), head, terms)
    return as_json(review(compared, now=NOW, days=days))


def edited(path: str, old: str, new: str) -> dict[str, str]:
    assert old in GOOD[path]
    return {**GOOD, path: GOOD[path].replace(old, new)}


def when(text: str) -> dict[str, str]:
    return edited("schedules/daily.yaml", '{cron: "30 6 * * *", timezone: UTC}', text)


def runs(found: Changes) -> dict[str, Any]:
    def at(run: Any) -> str:
        return f"{run.occurrence:%m-%dT%H:%M}"

    return {
        "added": [at(run) for run in found.runs_added],
        "removed": [at(run) for run in found.runs_removed],
        "moved": [(at(was), at(will)) for was, will in found.runs_moved],
    }


def test_without_a_plan_before_everything_is_new() -> None:
    found = between(None, GOOD)
    assert [(one.action, one.kind, one.name, one.file) for one in found.changes] == [
        ("create", "Connection", "db", "connections/db.yaml"),
        ("create", "Distribution", "archive", "distributions/archive.yaml"),
        ("create", "Report", "sales", "reports/sales.yaml"),
        ("create", "Schedule", "daily", "schedules/daily.yaml"),
    ]
    assert len(found.runs_added) == 3
    [gained] = found.deliveries.gained
    assert gained.key == ("daily", "exports", "")
    assert gained.destination == "archive/local"


def test_a_plan_against_itself_changes_nothing() -> None:
    found = told(GOOD, GOOD)
    assert found["changes"] == found["moves"] == found["files"] == []
    for part in ("runs", "recipients", "places"):
        assert not any(found[part].values())


def test_each_field_is_told_with_what_it_was_and_will_be() -> None:
    files = edited(
        "schedules/daily.yaml",
        "deliver_to: [archive]",
        "deliver_to: [{distribution: archive, as: a}]\n  paused: true",
    )
    files["schedules/daily.yaml"] = files["schedules/daily.yaml"].replace(
        "  owner: ops@example.com", "  owner: anna@example.com"
    )
    [change] = told(GOOD, files)["changes"]
    assert change == {
        "action": "update",
        "kind": "Schedule",
        "name": "daily",
        "file": "schedules/daily.yaml",
        "fields": [
            {
                "path": "metadata.owner",
                "before": "ops@example.com",
                "after": "anna@example.com",
            },
            {
                "path": "spec.deliver_to[0]",
                "before": "archive",
                "after": {"distribution": "archive", "as": "a"},
            },
            {"path": "spec.paused", "before": None, "after": True},
        ],
        "schedules": [],
    }


def test_of_a_list_only_the_entries_that_differ_are_told() -> None:
    files = edited(
        "schedules/daily.yaml", "[archive]", "[{type: local, base_path: x}, archive]"
    )
    [change] = between(GOOD, files).changes
    inline = {"type": "local", "base_path": "x"}
    assert change.fields == [
        FieldChange(path=("spec", "deliver_to", 0), before=None, after=inline)
    ]
    [back] = between(files, GOOD).changes
    assert back.fields == [
        FieldChange(path=("spec", "deliver_to", 0), before=inline, after=None)
    ]


def test_a_file_that_is_referred_to_counts_as_a_field() -> None:
    report = a_document("Report", "sales", "connection: db\nquery_file: sales.sql")
    before = {**GOOD, "reports/sales.yaml": report, "reports/sales.sql": "select 1"}
    [change] = between(before, {**before, "reports/sales.sql": "select 2"}).changes
    assert (change.kind, [field.path for field in change.fields]) == (
        "Report",
        [("reports/sales.sql",)],
    )


def test_removals_come_first() -> None:
    files = edited("reports/sales.yaml", "select 1", "select 2")
    files["schedules/new.yaml"] = files.pop("schedules/daily.yaml").replace(
        "name: daily", "name: new"
    )
    found = [(one.action, one.name) for one in between(GOOD, files).changes]
    assert found == [("delete", "daily"), ("update", "sales"), ("create", "new")]


def test_a_run_that_changes_its_time_within_a_day_is_moved() -> None:
    found = between(GOOD, when('{cron: "0 8 * * *", timezone: UTC}'), days=2)
    assert runs(found) == {
        "added": [],
        "removed": [],
        "moved": [("11-24T06:30", "11-24T08:00"), ("11-25T06:30", "11-25T08:00")],
    }


def test_days_are_those_of_each_zone() -> None:
    before = when('{cron: "0 23 * * *", timezone: Asia/Tokyo}')
    after = when('{cron: "0 1 * * *", timezone: Asia/Tokyo}')
    found = between(before, after, days=1)
    assert runs(found)["moved"] == []
    assert told(before, after, days=1)["runs"]["added"] == [
        {
            "schedule": "daily",
            "utc": "2026-11-23T16:00:00Z",
            "local": "2026-11-24T01:00:00+09:00",
            "timezone": "Asia/Tokyo",
        }
    ]
    assert runs(found)["removed"] == ["11-23T14:00"]


def test_more_runs_a_day_are_added_and_fewer_removed() -> None:
    twice = when('{cron: "30 6,18 * * *", timezone: UTC}')
    assert runs(between(GOOD, twice, days=1)) == {
        "added": ["11-23T18:30"],
        "removed": [],
        "moved": [],
    }
    assert runs(between(twice, GOOD, days=1))["removed"] == ["11-23T18:30"]


def test_a_pause_removes_runs_and_its_end_adds_them() -> None:
    paused = edited(
        "schedules/daily.yaml", "report: sales", "report: sales\n  paused: true"
    )
    assert len(between(GOOD, paused).runs_removed) == 3
    assert len(between(paused, GOOD).runs_added) == 3
    assert between(paused, paused).runs_added == []


def test_a_change_of_something_else_moves_no_run() -> None:
    found = between(GOOD, edited("reports/sales.yaml", "select 1", "select 2"))
    assert runs(found) == {"added": [], "removed": [], "moved": []}


def test_of_dense_schedules_only_what_is_known_of_both_is_compared() -> None:
    minutely = when("{every: 1m, timezone: UTC}")
    fives = when("{every: 5m, timezone: UTC}")
    end = NOW + timedelta(minutes=MOST_RUNS)
    found = between(minutely, fives, days=30)
    assert found.runs_added == []
    assert len(found.runs_removed) == MOST_RUNS * 4 // 5
    assert max(one.occurrence for one in found.runs_removed) <= end


def test_who_gets_what_is_told_by_schedule_and_destination() -> None:
    files = edited(
        "distributions/archive.yaml", "base_path: exports", "base_path: elsewhere"
    )
    found = told(GOOD, files)
    [gained], [lost] = found["recipients"]["added"], found["recipients"]["removed"]
    assert gained == {
        "schedule": "daily",
        "destination": "archive/local",
        "recipient": "elsewhere",
        "type": "local",
        "group": None,
        "until": None,
    }
    assert lost == {**gained, "recipient": "exports"}
    assert found["places"] == {
        "added": ["folder elsewhere"],
        "removed": ["folder exports"],
    }


def test_only_a_valid_occurrence_set_has_a_timetable() -> None:
    wrong = OccurrenceSet(when=When(cron="never"), timezone="UTC")
    with pytest.raises(ValueError, match="never valid"):
        timetable(wrong)


# --- As it is told, so it comes -------------------------------------------------------

EDITS = {
    "schedules/daily.yaml": ("sales", "30 6", "archive", "daily", "UTC", "spec"),
    "reports/sales.yaml": ("select 1", "sales", "db", "query"),
    "distributions/archive.yaml": ("local", "exports", "archive"),
    "connections/db.yaml": ("duckdb", "db", "type"),
}
PLACES = [(path, word) for path, words in EDITS.items() for word in words]


def test_what_refers_to_what_is_asked_once_for_all_schedules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0

    def references(world: World) -> dict[Key, list[Key]]:
        nonlocal asked
        asked += 1
        return {("Schedule", name): [("Report", "r")] for name in plan.schedules}

    schedule = GOOD["schedules/daily.yaml"]
    more = {
        f"schedules/{name}.yaml": schedule.replace("daily", name)
        for name in ("weekly", "yearly")
    }
    plan = plan_of(GOOD | more)
    monkeypatch.setattr(World, "references", property(references))
    assert uses_of(plan) == {name: {("Report", "r")} for name in plan.schedules}
    assert (len(plan.schedules), asked) == (3, 1)


@st.composite
def revisions(draw: Any) -> dict[str, str]:
    files = dict(GOOD)
    for path, word in draw(st.lists(st.sampled_from(PLACES), max_size=3)):
        new = draw(st.sampled_from(["x", "select 2", "0 7", "sqlite", "", "archive"]))
        files[path] = files.get(path, GOOD[path]).replace(word, new, 1)
    for path in draw(st.lists(st.sampled_from(sorted(GOOD)), max_size=1)):
        files.pop(path, None)
    return files


@given(st.lists(revisions(), min_size=1, max_size=4))
def test_what_a_plan_tells_is_what_the_activation_does(
    steps: list[dict[str, str]],
) -> None:
    ledger = Ledger()
    ledger.step(GOOD)
    for files in steps:
        before = now_served(ledger)
        after = ledger.plan(files)
        found = changes(before, after, now=NOW, days=3)
        ledger.activate(after)
        served = now_served(ledger)
        assert changes(before, served, now=NOW, days=3) == found
        assert applied(before, found, after) == {
            key: one.data for key, one in served.objects.items()
        }
        assert due(before, found) == {
            (name, moment)
            for name, one in served.schedules.items()
            for moment in timetable(one.occurrences).iter(NOW, NOW + timedelta(days=3))
        }
        assert not changes(served, served, now=NOW, days=3).changes


def now_served(ledger: Ledger) -> Plan:
    assert ledger.served
    return served_plan(ledger.served, now=NOW, read_blob=ledger.read)


def applied(before: Plan, told: Changes, after: Plan) -> dict[tuple[str, str], Any]:
    """The objects before, changed as it was told; new ones are told by name."""
    found: dict[tuple[str, str], Any] = {
        key: one.data for key, one in before.objects.items()
    }
    for change in told.changes:
        key = change.kind, change.name
        if change.action == "delete":
            del found[key]
        elif change.action == "create":
            found[key] = after.objects[key].data
        for field in change.fields:
            found[key] = put(found[key], field.path, field.after)
    return found


def put(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        assert isinstance(step, int)
        return [
            put(one, rest, new) if n == step else one for n, one in enumerate(value)
        ]
    changed = {**value, step: put(value.get(step), rest, new)}
    return {
        key: one
        for key, one in changed.items()
        if key != step or rest or new is not None
    }


def due(before: Plan, told: Changes) -> set[tuple[str, Any]]:
    found = {
        (name, moment)
        for name, one in before.schedules.items()
        for moment in timetable(one.occurrences).iter(NOW, NOW + timedelta(days=3))
    }
    found -= {(one.schedule, one.occurrence) for one in told.runs_removed}
    found -= {(was.schedule, was.occurrence) for was, _ in told.runs_moved}
    found |= {(one.schedule, one.occurrence) for one in told.runs_added}
    return found | {(will.schedule, will.occurrence) for _, will in told.runs_moved}
