"""Random edits, one after the other: what a plan remembers of the last one changes nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boe_reconciler.core.plan import Plan, PlanCache
from boe_reconciler.core.plan.removals import NoEnvironment
from tests.revisions import NOW, Ledger, a_document


def a_schedule(name: str, more: str = "", metadata: str = "") -> str:
    spec = f"""
        report: r1
        when: {{cron: "30 2 * * *", timezone: Europe/Berlin}}
        deliver_to: [d1]
        {more}
    """
    return a_document("Schedule", name, spec, metadata)


def a_policy(spec: str) -> str:
    return a_document("Policy", "policy", spec)


def a_report(connection: str, query: str) -> str:
    return a_document("Report", "r1", f"connection: {connection}\n{query}")


#: Path -> its contents of which an edit takes one; "": there is no such file.
CHOICES = {
    "policy.yaml": (
        "",
        a_policy("limits: {schedules_per_owner: 1}"),
        a_policy("limits: {schedules_per_owner: {ops@example.com: 2}}"),
        a_policy("require: [metadata.description]"),
        a_policy("removals: {max_count: 0, max_fraction: 0}"),
        a_policy("limits: nonsense"),
    ),
    "groups/ops.yaml": (
        "",
        a_document("Group", "ops", "members: [a@example.com]"),
        a_document("Group", "ops", "members: [b@example.com]"),
    ),
    "calendars/k1.yaml": (
        "",
        a_document("Calendar", "k1", "days_off: [2026-12-24]"),
        a_document("Calendar", "k1", "days_off: [2026-12-25]"),
    ),
    "environments/staging.yaml": (
        a_document("Environment", "staging", "redirect: {mail: [t@example.com]}"),
        a_document("Environment", "staging", "redirect: {mail: [u@example.com]}"),
        "kind: [",
    ),
    "connections/c1.yaml": (
        a_document("Connection", "c1", "type: duckdb"),
        a_document("Connection", "c1", "{type: duckdb, max_concurrent: 2}"),
        a_document("Connection", "c1", "type: nonsense"),
        "",
    ),
    "templates/t1.yaml": (
        a_document("ScheduleTemplate", "t1", "export: {format: csv}"),
        a_document("ScheduleTemplate", "t1", "export: {format: xlsx}"),
        "",
    ),
    "distributions/d1.yaml": (
        a_document("Distribution", "d1", "destinations: [{type: local, base_path: x}]"),
        a_document("Distribution", "d1", "destinations: [{type: local, base_path: y}]"),
        "kind: Distribution",
    ),
    "reports/r1.yaml": (
        a_report("c1", "query: select 1 as one"),
        a_report("c1", "query_file: one.sql"),
        a_report("c9", "query: select 1 as one"),
    ),
    "reports/one.sql": ("select 2 as two", "select 3 as three", ""),
    "schedules/s1.yaml": (
        a_schedule("s1"),
        a_schedule("s1", "template: t1"),
        a_schedule("s1", "paused: true"),
        a_schedule("s1", "wait_for: [{schedule: s3}]"),
        a_schedule("s1-new", metadata="  renamed_from: s1\n"),
        a_schedule("s2"),
        "kind: Schedule\nmetadata: {name: s1}\n---\n}",
        "",
    ),
    "schedules/s2.yaml": (
        a_schedule("s2"),
        a_schedule("s2", "nonsense: true"),
        a_schedule("s2-new", metadata="  renamed_from: s2\n"),
        a_schedule("s3").replace("timezone", "calendar: k1, timezone"),
        "",
    ),
}
FIRST = {path: next(filter(None, choice)) for path, choice in CHOICES.items()}
EDITS = st.sampled_from(
    [(path, text) for path, choice in CHOICES.items() for text in choice]
)
STEPS = st.lists(
    st.tuples(
        st.lists(EDITS, min_size=1, max_size=2),
        # Paths that cannot be read in this step.
        st.one_of(st.just(set[str]()), st.sampled_from([{path} for path in CHOICES])),
        st.sampled_from([0, 0, 1, 13, 24 * 30]),
        st.sampled_from([False, False, False, True]),
    ),
    min_size=4,
    max_size=8,
)


@settings(max_examples=10, deadline=None)
@given(steps=STEPS, environment=st.sampled_from([None, "staging"]))
def test_a_plan_that_remembers_the_last_one_is_one_from_scratch(
    steps: list[tuple[list[tuple[str, str]], set[str], int, bool]],
    environment: str | None,
) -> None:
    compare(steps, environment)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(steps=STEPS, environment=st.sampled_from([None, "staging"]))
def test_so_it_is_over_many_edits(
    steps: list[tuple[list[tuple[str, str]], set[str], int, bool]],
    environment: str | None,
) -> None:
    compare(steps, environment)


def compare(
    steps: list[tuple[list[tuple[str, str]], set[str], int, bool]],
    environment: str | None,
) -> None:
    ledger, cache, now = Ledger(), PlanCache(), NOW
    files = dict(FIRST)
    for edits, locked, hours, strict in [([], set(), 0, False), *steps]:
        files |= dict(edits)
        now += timedelta(hours=hours)
        there = {path: text for path, text in files.items() if text}
        options = {
            "now": now,
            "strict": strict,
            "environment": environment,
            "unreadable": dict.fromkeys(locked, "it is locked"),
        }
        read = {path: text for path, text in there.items() if path not in locked}
        found, scratch = (
            outcome(ledger, read, options, memory) for memory in (cache, PlanCache())
        )
        assert found == scratch
        if isinstance(found, Plan) and isinstance(scratch, Plan):
            assert found.references == scratch.references
            ledger.activate(found)


def outcome(
    ledger: Ledger, files: dict[str, str], options: dict[str, object], cache: PlanCache
) -> Plan | str:
    try:
        return ledger.plan(files, **options, cache=cache)
    except NoEnvironment as error:
        return error.message
