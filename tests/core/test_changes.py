"""What a revision changes: objects, runs, recipients; removals first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from boe_reconciler.core.plan import Plan, make_plan
from boe_reconciler.core.plan import changes as module
from boe_reconciler.core.plan.changes import Changes, as_json, changes, timetable
from tests.builders import a_schedule, a_snapshot

#: A Monday; clocks in Berlin went back three weeks before.
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CONNECTION = (
    "apiVersion: boe/v1\nkind: Connection\nmetadata: {name: c, owner: a@example.com}\n"
    "spec: {type: duckdb}\n"
)


def schedule(name: str = "s", **fields: str) -> str:
    lines = {
        "report": "{connection: c, query: select 1}",
        "when": '{cron: "30 6 * * *", timezone: Europe/Berlin}',
        "deliver_to": "[{type: local, base_path: exports}]",
        **fields,
    }
    spec = "".join(f"  {key}: {value}\n" for key, value in lines.items())
    return (
        "apiVersion: boe/v1\nkind: Schedule\n"
        f"metadata: {{name: {name}, owner: a@example.com}}\nspec:\n{spec}"
    )


def plan(*schedules: str, files: Mapping[str, str] | None = None) -> Plan:
    every = {f"schedules/{n}.yaml": text for n, text in enumerate(schedules)}
    found = make_plan(
        a_snapshot({"connections/c.yaml": CONNECTION, **every, **(files or {})}),
        served=None,
        now=NOW,
    )
    assert not [each for each in found.problems if each.severity == "error"]
    return found


def between(before: Plan | None, after: Plan, days: int = 2) -> Changes:
    return changes(before, after, now=NOW, days=days)


def runs(found: Any) -> list[str]:
    return [f"{run.schedule} {run.occurrence:%d %H:%M}" for run in found]


def test_without_a_plan_before_all_is_created() -> None:
    found = between(None, plan(schedule()))
    assert [(one.action, one.kind, one.name) for one in found.changes] == [
        ("create", "Connection", "c"),
        ("create", "Schedule", "s"),
    ]
    assert runs(found.runs_added) == ["s 24 05:30", "s 25 05:30"]
    assert found.recipients_added == [("s", "local", "exports")]


def test_two_plans_of_the_same_files_differ_in_nothing() -> None:
    found = between(plan(schedule()), plan(schedule()))
    assert as_json(found) == {
        "changes": [],
        "runs": {"added": [], "removed": [], "moved": []},
        "recipients": {"added": [], "removed": []},
    }


def test_removals_stand_first_then_updates_then_what_is_new() -> None:
    before = plan(schedule("gone"), schedule("kept"))
    after = plan(schedule("kept", paused="true"), schedule("new"))
    found = between(before, after)
    assert [(one.action, one.name) for one in found.changes] == [
        ("delete", "gone"),
        ("update", "kept"),
        ("create", "new"),
    ]
    assert found.changes[0].file == "schedules/0.yaml"
    assert runs(found.runs_removed) == [
        "gone 24 05:30",
        "gone 25 05:30",
        "kept 24 05:30",
        "kept 25 05:30",
    ]
    assert found.recipients_removed == [("gone", "local", "exports")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"paused": "true"}, [("spec.paused", None, True)]),
        (
            {"when": '{cron: "0 7 * * *", timezone: Europe/Berlin}'},
            [("spec.when.cron", "30 6 * * *", "0 7 * * *")],
        ),
        (
            {"deliver_to": "[{type: local, base_path: other}]"},
            [("spec.deliver_to[0].base_path", "exports", "other")],
        ),
        (
            {"when": "{every: 1h, timezone: Europe/Berlin}"},
            [("spec.when.cron", "30 6 * * *", None), ("spec.when.every", None, "1h")],
        ),
    ],
)
def test_an_update_names_each_field_with_both_values(
    fields: dict[str, str], expected: list[tuple[str, Any, Any]]
) -> None:
    found = as_json(between(plan(schedule()), plan(schedule(**fields))))
    assert [
        (one["path"], one["before"], one["after"])
        for one in found["changes"][0]["fields"]
    ] == expected


def test_a_list_of_another_length_changes_as_a_whole() -> None:
    two = "[{type: local, base_path: a}, {type: local, name: b, base_path: b}]"
    found = as_json(between(plan(schedule()), plan(schedule(deliver_to=two))))
    (field,) = found["changes"][0]["fields"]
    assert field["path"] == "spec.deliver_to"
    assert len(field["before"]) == 1
    assert len(field["after"]) == 2


def test_an_edited_query_file_is_an_update_of_its_schedule() -> None:
    text = schedule(report="{connection: c, query_file: one.sql}")
    before = plan(text, files={"schedules/one.sql": "select 1"})
    after = plan(text, files={"schedules/one.sql": "select 2"})
    (change,) = between(before, after).changes
    assert [field.path for field in change.fields] == [("schedules/one.sql",)]


def test_a_run_that_keeps_its_day_has_moved() -> None:
    later = schedule(when='{cron: "0 7 * * *", timezone: Europe/Berlin}')
    found = between(plan(schedule()), plan(later))
    assert not found.runs_added
    assert not found.runs_removed
    assert as_json(found)["runs"]["moved"][0] == {
        "schedule": "s",
        "before": {
            "utc": "2026-11-24T05:30:00Z",
            "local": "2026-11-24T06:30:00+01:00",
            "timezone": "Europe/Berlin",
        },
        "after": {
            "utc": "2026-11-24T06:00:00Z",
            "local": "2026-11-24T07:00:00+01:00",
            "timezone": "Europe/Berlin",
        },
    }


def test_a_day_with_more_runs_than_before_tells_them_as_added() -> None:
    twice = schedule(when='{cron: "0 7,8 * * *", timezone: Europe/Berlin}')
    found = between(plan(schedule()), plan(twice), days=1)
    assert runs(found.runs_removed) == ["s 24 05:30"]
    assert runs(found.runs_added) == ["s 24 06:00", "s 24 07:00"]
    assert not found.runs_moved


def test_a_run_that_stays_is_not_told() -> None:
    more = schedule(when='{cron: "30 6,7 * * *", timezone: Europe/Berlin}')
    found = between(plan(schedule()), plan(more), days=1)
    assert runs(found.runs_added) == ["s 24 06:30"]
    assert not found.runs_removed


def test_runs_stand_with_their_utc_and_local_time() -> None:
    found = as_json(between(None, plan(schedule()), days=1))
    assert found["runs"]["added"] == [
        {
            "schedule": "s",
            "utc": "2026-11-24T05:30:00Z",
            "local": "2026-11-24T06:30:00+01:00",
            "timezone": "Europe/Berlin",
        }
    ]


def test_a_paused_schedule_runs_on_neither_side() -> None:
    found = between(plan(schedule(paused="true")), plan(schedule()), days=1)
    assert runs(found.runs_added) == ["s 24 05:30"]


def test_another_title_moves_no_run() -> None:
    titled = schedule().replace("name: s,", "name: s, title: Sales,")
    found = between(plan(schedule()), plan(titled))
    assert [one.action for one in found.changes] == ["update"]
    assert not found.runs_added + found.runs_removed + found.runs_moved


def test_of_many_runs_only_as_many_are_looked_at_on_both_sides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_RUNS", 3)
    hourly = plan(schedule(when="{every: 1h, timezone: UTC}"))
    half = plan(schedule(when="{every: 30m, timezone: UTC}"))
    found = between(hourly, half, days=30)
    assert runs(found.runs_added) == ["s 23 12:30", "s 23 13:30"]
    assert not found.runs_removed


def test_addresses_and_groups_are_told_as_recipients() -> None:
    spec = a_schedule(
        destinations=[
            {
                "key": "email",
                "distribution": None,
                "spec": {
                    "type": "email",
                    "connection": "c",
                    "subject": "x",
                    "to": ["a@example.com", {"group": "g"}],
                },
            }
        ]
    )
    (found,) = module._recipients({"daily": spec})
    assert found == ("daily", "email", "a@example.com, group g")


def test_a_webhook_through_a_connection_is_told_by_its_type() -> None:
    spec = a_schedule(
        destinations=[
            {
                "key": "hook",
                "distribution": None,
                "spec": {"type": "webhook", "connection": "c"},
            }
        ]
    )
    (found,) = module._recipients({"daily": spec})
    assert found == ("daily", "hook", "webhook")


def test_an_occurrence_set_that_never_was_valid_is_a_mistake_of_ours() -> None:
    broken = a_schedule(when={"every": None}).occurrences
    with pytest.raises(ValueError, match="never valid"):
        timetable(broken)
