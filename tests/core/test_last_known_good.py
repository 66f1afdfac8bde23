"""What goes on being served, held against a model that knows two rules alone:

a Schedule fits a Report that declares just the parameters it gives, and what cannot be
used goes on as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boe_reconciler.core.plan import Plan, PlanCache, make_plan
from boe_reconciler.core.plan.world import Key
from boe_reconciler.core.spec import Served
from tests.builders import a_snapshot

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
REPORTS = ("r0", "r1")
SCHEDULES = ("s0", "s1", "s2")
KEYS: tuple[Key, ...] = (
    *(("Report", name) for name in REPORTS),
    *(("Schedule", name) for name in SCHEDULES),
)


@dataclass(frozen=True)
class Version:
    """A Report that declares parameters, or a Schedule that gives them."""

    parameters: frozenset[str]
    #: Of a Schedule.
    report: str = ""
    #: Tells versions apart that are otherwise the same.
    edit: int = 0


BROKEN, UNREADABLE = "broken", "unreadable"
#: What the files say of each object; those without a file are left out.
Files = Mapping[Key, Version | str]

parameters = st.sets(st.sampled_from(["a", "b"])).map(frozenset)
edits = st.integers(0, 2)
report_files = st.builds(Version, parameters=parameters, edit=edits)
schedule_files = st.builds(
    Version, parameters=parameters, report=st.sampled_from(REPORTS), edit=edits
)
flaws = st.sampled_from([BROKEN, BROKEN, UNREADABLE])
revisions = st.fixed_dictionaries(
    {},
    optional={
        key: st.one_of(report_files if key[0] == "Report" else schedule_files, flaws)
        for key in KEYS
    },
)


def path_of(key: Key) -> str:
    return f"{key[0].lower()}s/{key[1]}.yaml"


def document(key: Key, version: Version | str) -> dict[str, Any]:
    kind, name = key
    metadata = {"name": name, "owner": "ops@example.com"}
    found = {"apiVersion": "boe/v1", "kind": kind, "metadata": metadata, "spec": {}}
    if isinstance(version, str):
        return found
    metadata["description"] = str(version.edit)
    names = sorted(version.parameters)
    if kind == "Report":
        declared = {one: {"type": "int", "required": True} for one in names}
        spec = {"connection": "c", "query": "select 1", "parameters": declared}
    else:
        spec = {
            "report": version.report,
            "parameters": dict.fromkeys(names, 1),
            "when": {"every": "1h", "timezone": "UTC"},
            "deliver_to": [{"type": "local", "base_path": "exports"}],
        }
    return {**found, "spec": spec}


POLICY = {
    "apiVersion": "boe/v1",
    "kind": "Policy",
    "metadata": {"name": "policy"},
    "spec": {"removals": {"max_count": 100}},
}
CONNECTION = {
    "apiVersion": "boe/v1",
    "kind": "Connection",
    "metadata": {"name": "c", "owner": "ops@example.com"},
    "spec": {"type": "duckdb"},
}


def planned(files: Files, served: Served | None, cache: PlanCache | None) -> Plan:
    texts = {
        "policy.yaml": json.dumps(POLICY),
        "connections/c.yaml": json.dumps(CONNECTION),
    }
    unreadable = {}
    for key, version in files.items():
        if version == UNREADABLE:
            unreadable[path_of(key)] = "permission denied"
        else:
            texts[path_of(key)] = json.dumps(document(key, version))
    snapshot = a_snapshot(texts, unreadable=unreadable)
    return make_plan(snapshot, served=served, now=NOW, cache=cache)


def served_by(plan: Plan) -> Served:
    activation = plan.activation
    return Served(
        attempted=activation.attempted,
        serving=activation.serving,
        objects=activation.objects,
        stalled=activation.stalled,
        problems=activation.problems,
    )


def version_of(key: Key, data: Mapping[str, Any]) -> Version:
    return Version(
        parameters=frozenset(data["spec"].get("parameters", ())),
        report=data["spec"].get("report", "") if key[0] == "Schedule" else "",
        edit=int(data["metadata"]["description"]),
    )


# --- The model ------------------------------------------------------------------------

State = dict[Key, Version]


def fits(state: State, key: Key) -> bool:
    if key[0] == "Report":
        return True
    report = state.get(("Report", state[key].report))
    return report is not None and report.parameters == state[key].parameters


def consistent(state: State) -> bool:
    return all(fits(state, key) for key in state)


def needed(state: State, key: Key) -> bool:
    return key in {
        ("Report", one.report) for k, one in state.items() if k[0] == "Schedule"
    }


def at_fault(files: Files, key: Key) -> bool:
    """Whether the revision itself shows that a Schedule does not fit."""
    version = files[key]
    assert isinstance(version, Version)
    report = files.get(("Report", version.report))
    if key[0] == "Report" or isinstance(report, str):
        return False
    return report is None or report.parameters != version.parameters


def assert_right(before: State, files: Files, after: State) -> None:
    good = {key: one for key, one in files.items() if isinstance(one, Version)}
    told = "\n".join(
        f"{key}: {before.get(key)} > {files.get(key)} > {after.get(key)}"
        for key in KEYS
    )
    assert consistent(after), told
    for key, version in after.items():
        assert version in (before.get(key), good.get(key)), told
    for key in before:
        assert key in after or key not in files, f"{key} was lost\n{told}"
    blind = UNREADABLE in files.values()
    for key in before.keys() - files.keys():
        expected = blind or needed(after, key)
        assert (key in after) == expected, f"{key} was removed or not\n{told}"
    for key, version in good.items():
        if after.get(key) != version and not at_fault(files, key):
            newer = {**after, key: version}
            assert not consistent(newer), f"{key} could be newer\n{told}"
    if consistent(good) and len(good) == len(files) and not blind:
        assert after == good, told


def check(steps: list[Files]) -> None:
    served: Served | None = None
    before: State = {}
    cache = PlanCache()
    for files in steps:
        plan = planned(files, served, cache)
        afresh = planned(files, served, None)
        assert plan.activation == afresh.activation, "the cache changed the outcome"
        after = {
            key: version_of(key, one.data)
            for key, one in plan.objects.items()
            if key in KEYS
        }
        assert_right(before, files, after)
        assert set(plan.schedules) == {
            name for kind, name in after if kind == "Schedule"
        }
        for status in plan.statuses:
            key = status.kind, status.name
            is_new = key in files and after.get(key) == files[key]
            ready_or_same = status.ready or before.get(key) == after.get(key)
            assert ready_or_same if is_new else not status.ready or key not in KEYS
        served, before = served_by(plan), after


@given(st.lists(revisions, min_size=1, max_size=4))
def test_what_cannot_be_used_goes_on_as_it_was(steps: list[Files]) -> None:
    check(steps)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(st.lists(revisions, min_size=2, max_size=8))
def test_what_cannot_be_used_goes_on_as_it_was_over_many_revisions(
    steps: list[Files],
) -> None:
    check(steps)
