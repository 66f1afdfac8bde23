"""Where a revision comes from: rewritten histories, removals by trailer, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from boe_reconciler.core.errors import Refused
from boe_reconciler.core.holds import HoldKind
from boe_reconciler.core.plan import REASONS
from boe_reconciler.core.plan.past import past_of, refused_plan
from boe_reconciler.core.snapshot import History, Snapshot
from boe_reconciler.core.spec import Served
from tests.revisions import GOOD, Ledger, a_document, a_snapshot

OLD, NEW, TRIED = (f"main@sha1:{digit * 40}" for digit in "abc")


def served(policy: str | None = None, attempted: str = OLD) -> Served:
    ledger = Ledger()
    text = a_document("Policy", "policy", policy) if policy else ""
    ledger.step({**GOOD, **({"policy.yaml": text} if policy else {})})
    assert ledger.served
    return replace(ledger.served, serving=OLD, attempted=attempted)


def coming_from(known: Mapping[str, History]) -> Snapshot:
    return replace(a_snapshot(GOOD), revision=NEW, since=known.get)


def gone() -> History:
    return History(descends=False, allow_removals=0)


def follows(removals: int = 0) -> History:
    return History(descends=True, allow_removals=removals)


HOLDS = "hold_rewritten_history: true"


def test_commits_since_what_is_served_allow_removals() -> None:
    past = past_of(coming_from({OLD: follows(7)}), served(HOLDS))
    assert (past.lost, past.allow_removals, past.refusal) == (None, 7, None)


@pytest.mark.parametrize(
    "policy", [None, "hold_rewritten_history: false", "require: []"]
)
def test_a_rewritten_history_is_told_and_served(policy: str | None) -> None:
    past = past_of(coming_from({OLD: gone()}), served(policy))
    assert (past.lost, past.refusal) == (OLD, None)


def test_where_the_served_policy_holds_it_a_rewritten_history_waits() -> None:
    past = past_of(coming_from({OLD: gone()}), served(HOLDS))
    assert past.lost == OLD
    assert past.refusal
    assert past.refusal.code == "BOE196"
    assert past.refusal.revision == NEW
    assert f"boe release {'b' * 40}" in past.refusal.help


def test_a_release_lets_it_through() -> None:
    released = {(HoldKind.REWRITTEN_HISTORY, NEW)}
    past = past_of(coming_from({OLD: gone()}), served(HOLDS), released)
    assert (past.lost, past.refusal) == (OLD, None)


@pytest.mark.parametrize(
    "released",
    [(HoldKind.REWRITTEN_HISTORY, TRIED), (HoldKind.CHANGE_WINDOW, NEW)],
)
def test_another_release_does_not(released: tuple[HoldKind, str]) -> None:
    assert past_of(coming_from({OLD: gone()}), served(HOLDS), {released}).refusal


def test_what_was_tried_and_not_served_may_vanish_but_is_told() -> None:
    known = {OLD: follows(), TRIED: gone()}
    past = past_of(coming_from(known), served(HOLDS, attempted=TRIED))
    assert (past.lost, past.refusal) == (TRIED, None)


def test_of_a_folder_or_another_branch_nothing_is_told() -> None:
    past = past_of(coming_from({}), served(HOLDS))
    assert (past.lost, past.allow_removals, past.refusal) == (None, 0, None)
    assert a_snapshot(GOOD).since(OLD) is None


def test_a_refused_revision_changes_nothing_and_says_why() -> None:
    before = served(HOLDS)
    refusal = past_of(coming_from({OLD: gone()}), before).refusal
    assert refusal
    plan = refused_plan(before, refusal)
    assert plan.activation.serving is None
    assert plan.activation.attempted == NEW
    assert plan.activation.objects == before.objects
    assert [one.code for one in plan.problems] == ["BOE196"]
    assert {(one.ready, one.reason) for one in plan.statuses} == {(False, "Refused")}
    assert {one.message for one in plan.statuses} == {REASONS["Refused"]}
    assert len(plan.statuses) == len(before.objects)
    (wait,) = plan.activation.waits
    assert (wait.kind, wait.subject) == (HoldKind.REWRITTEN_HISTORY, NEW)


def test_an_unsigned_commit_waits_for_nobodys_release() -> None:
    refusal = Refused(NEW, "BOE195", "It is not signed.", "Sign it.")
    assert refused_plan(served(), refusal).activation.waits == []
