"""Two revisions -> what the reconciler would do, and what it cannot be known to do."""

from __future__ import annotations

from dataclasses import replace

from boe_reconciler.core.changes.compare import Terms, compare, compare_with_served
from boe_reconciler.core.plan import reading
from boe_reconciler.core.snapshot import History, Snapshot
from tests.revisions import GOOD, NOW, Files, Ledger, a_document, a_snapshot

TERMS = Terms(now=NOW)
BROKEN = "kind: Schedule\nmetadata: {name: daily\n"
QUERY = "connection: db\nquery_file: sales.sql"


def many(count: int) -> dict[str, str]:
    connections = {
        f"connections/c{number}.yaml": a_document(
            "Connection", f"c{number}", "type: duckdb"
        )
        for number in range(count)
    }
    return {**GOOD, **connections}


def after(base: Files, head: Files) -> Ledger:
    """What the reconciler makes of both, one after the other."""
    ledger = Ledger()
    ledger.step(base)
    ledger.step(head)
    return ledger


def with_trailer(snapshot: Snapshot, number: int) -> Snapshot:
    found = History(descends=True, allow_removals=number)
    return replace(snapshot, since=lambda _: found)


def test_it_is_what_the_reconciler_does() -> None:
    heads: list[Files] = [
        {**GOOD, "schedules/daily.yaml": BROKEN},
        {**GOOD, "connections/db.yaml": a_document("Connection", "db", "type: none")},
        {path: text for path, text in GOOD.items() if "reports" not in path},
        {},
    ]
    for head in heads:
        served = after(GOOD, head).served
        assert served is not None
        found = compare(a_snapshot(GOOD), a_snapshot(head), TERMS).after.activation
        assert list(found.objects) == list(served.objects)
        assert list(found.statuses) == list(served.statuses)


def test_what_is_served_is_compared_as_a_revision_is() -> None:
    ledger = Ledger()
    ledger.step(GOOD)
    head = a_snapshot({**GOOD, "schedules/daily.yaml": BROKEN})
    terms = Terms(now=NOW, read_blob=ledger.read)
    found = compare_with_served(ledger.served, head, terms)
    other = compare(a_snapshot(GOOD), head, TERMS)
    assert found.after == other.after
    assert found.before is not None
    assert other.before is not None
    assert found.before.objects == other.before.objects
    assert found.before.references == other.before.references


def test_without_anything_served_there_is_nothing_before() -> None:
    assert compare_with_served(None, a_snapshot(GOOD), TERMS).before is None


def test_what_cannot_be_used_in_the_base_is_named() -> None:
    base = {**GOOD, "connections/db.yaml": a_document("Connection", "db", "type: none")}
    found = compare(a_snapshot(base), a_snapshot(GOOD), TERMS)
    assert [(one.kind, one.name) for one in found.unknown] == [
        ("Connection", "db"),
        ("Report", "sales"),
        ("Schedule", "daily"),
    ]
    assert compare(a_snapshot(GOOD), a_snapshot(base), TERMS).unknown == []


def test_removals_wait_for_a_trailer_between_the_two() -> None:
    base, head = a_snapshot(many(10)), a_snapshot(GOOD)
    waiting = compare(base, head, TERMS).after
    assert [one.code for one in waiting.problems] == ["BOE138"]
    assert len(waiting.objects) == 14
    for allowed in (
        compare(base, with_trailer(head, 10), TERMS),
        compare(base, head, Terms(now=NOW, allow_removals=10)),
    ):
        assert len(allowed.after.objects) == 4
        assert allowed.after.problems == []


def test_strict_takes_up_nothing_of_a_head_with_a_problem() -> None:
    head = {**GOOD, "schedules/daily.yaml": BROKEN}
    head["schedules/other.yaml"] = GOOD["schedules/daily.yaml"].replace("daily", "new")
    terms = Terms(now=NOW, strict=True)
    strict = compare(a_snapshot(GOOD), a_snapshot(head), terms).after
    assert ("Schedule", "new") not in strict.objects
    loose = compare(a_snapshot(GOOD), a_snapshot(head), TERMS).after
    assert ("Schedule", "new") in loose.objects


def test_a_file_that_both_have_is_parsed_once(monkeypatch) -> None:
    parsed = []
    load = reading._load
    monkeypatch.setattr(
        reading, "_load", lambda path, *more: parsed.append(path) or load(path, *more)
    )
    head = {**GOOD, "schedules/daily.yaml": GOOD["schedules/daily.yaml"] + "\n"}
    compare(a_snapshot(GOOD), a_snapshot(head), Terms(now=NOW))
    assert parsed == [*sorted(GOOD), "schedules/daily.yaml"]


def test_files_of_both_sides_can_be_read() -> None:
    report = a_document("Report", "sales", QUERY)
    base = {**GOOD, "reports/sales.yaml": report, "reports/sales.sql": "select 1"}
    head = {**base, "reports/sales.sql": "select 2"}
    found = compare(a_snapshot(base), a_snapshot(head), TERMS)
    assert found.before is not None
    files = [
        plan.objects["Report", "sales"].files["reports/sales.sql"]
        for plan in (found.before, found.after)
    ]
    assert [found.read_blob(sha256) for sha256 in files] == [b"select 1", b"select 2"]
    kept = compare(a_snapshot(base), a_snapshot({}), TERMS)
    assert kept.read_blob(files[0]) == b"select 1"
    ledger = Ledger()
    ledger.step(base)
    terms = Terms(now=NOW, read_blob=ledger.read)
    served = compare_with_served(ledger.served, a_snapshot(base), terms)
    assert served.read_blob(files[0]) == b"select 1"


def test_an_environment_that_the_base_lacks_makes_all_of_it_new() -> None:
    staging = a_document("Environment", "staging", "redirect: {others: deliver}")
    head = {**GOOD, "environments/staging.yaml": staging}
    terms = Terms(now=NOW, environment="staging")
    assert compare(a_snapshot(GOOD), a_snapshot(head), terms).before is None
    assert compare(a_snapshot(head), a_snapshot(head), terms).before is not None
