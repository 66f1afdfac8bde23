"""What the edit of an Environment does there stands in the plan."""

from __future__ import annotations

from dataclasses import replace

from boe_reconciler.core.changes.compare import Comparison, Terms, compare
from boe_reconciler.core.changes.lines import sections
from boe_reconciler.core.changes.review import review
from boe_reconciler.core.snapshot import History
from tests.core.test_environments import files
from tests.revisions import NOW, a_document, a_snapshot


def compared(base: dict[str, str], head: dict[str, str]) -> Comparison:
    return compare(a_snapshot(base), a_snapshot(head), Terms(now=NOW))


def test_in_an_environment_that_the_head_brings_all_is_new() -> None:
    base = files()
    del base["environments/staging.yaml"]
    terms = Terms(now=NOW, environment="staging")
    found = compare(a_snapshot(base), a_snapshot(files()), terms)
    assert found.before is None
    assert found.after.activation.environment == "staging"
    again = compare(a_snapshot(files()), a_snapshot(files()), terms)
    assert again.before
    assert again.before.schedules == again.after.schedules


def told(base: dict[str, str], head: dict[str, str]) -> dict[str, list[str]]:
    seen = review(compared(base, head), now=NOW, days=7)
    return {
        one.title: [f"{sign} {text}" for sign, text in one.lines]
        for one in sections(seen)
        if one.title.startswith("In the Environment")
    }


def test_another_host_and_another_folder_are_told() -> None:
    overlay = "connections: {db: {host: other.internal}}\nredirect: {local: rehearsal}"
    (lines,) = told(files(), files(overlay)).values()
    assert lines[0] == "~ reads otherwise: daily"
    gone = [line for line in lines if line.startswith("- ")]
    come = [line for line in lines if line.startswith("+ ")]
    assert any("staging/exports" in line for line in gone)
    assert any("rehearsal/exports" in line for line in come)


def test_a_redirect_that_is_gone_is_told() -> None:
    found = told(files(), files("connections: {db: {host: staging.internal}}"))
    assert (
        "+ for the first time to folder exports" in found["In the Environment staging"]
    )


def test_a_redirect_that_leaves_all_out_is_told() -> None:
    found = told(files(), files("redirect: {others: drop}"))
    assert "  delivers nothing: daily" in found["In the Environment staging"]


def test_an_environment_that_stays_has_no_section() -> None:
    head = files()
    head["schedules/daily.yaml"] += "  paused: true\n"
    assert told(files(), head) == {}


def test_one_that_is_new_says_where_it_delivers() -> None:
    base = files()
    del base["environments/staging.yaml"]
    (lines,) = told(base, files()).values()
    assert any("staging/exports" in line for line in lines)


def test_removals_that_a_commit_allows_are_allowed_there_too() -> None:
    many = {
        f"connections/c{number}.yaml": a_document(
            "Connection", f"c{number}", "type: duckdb"
        )
        for number in range(20)
    }
    head = a_snapshot(files("redirect: {others: drop}"))
    history = History(descends=True, allow_removals=20)
    head = replace(head, since=lambda _: history)
    found = compare(a_snapshot({**files(), **many}), head, Terms(now=NOW))
    assert found.after.objects.keys() == found.elsewhere["staging"][1].objects.keys()
