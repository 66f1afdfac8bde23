"""What waits for a person, and what a release lets go on (docs/operating/holds.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.holds import Hold, HoldKind, Wait
from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.spec import ServedObject
from tests.builders import a_schedule, a_wait, an_activation, at

START = at("2026-03-01 06:30")
NOW = START + timedelta(hours=1)
A, B = (f"main@sha1:{digit * 40}" for digit in "ab")
REWRITTEN, WINDOW = HoldKind.REWRITTEN_HISTORY, HoldKind.CHANGE_WINDOW


@pytest.fixture
def ledger(ledger: Ledger) -> Iterator[Ledger]:
    """One that serves `daily`."""
    ledger.activate(an_activation(a_schedule()), now=START)
    yield ledger
    assert ledger.broken_invariants(now=NOW) == []


def look_at(ledger: Ledger, revision: str, *waits: Wait) -> None:
    """A revision is looked at; it is served unless it has to wait."""
    serving = None if waits else revision
    found = an_activation(
        a_schedule(), revision=revision, serving=serving, waits=[*waits]
    )
    ledger.activate(found, now=NOW)


def held(ledger: Ledger, revision: str, kind: HoldKind = WINDOW) -> Hold:
    look_at(ledger, revision, a_wait(revision, kind))
    (hold,) = ledger.holds()
    return hold


def release(ledger: Ledger, hold: Hold) -> Hold:
    return ledger.release(hold.hold_id, by="ada", why="urgent", now=NOW)


def waiting(ledger: Ledger) -> list[tuple[HoldKind, str]]:
    return [(one.kind, one.subject) for one in ledger.holds() if one.waits]


def test_what_waits_is_kept_until_it_is_released(ledger: Ledger) -> None:
    until = NOW + timedelta(hours=3)
    look_at(ledger, A, a_wait(A, until=until))
    (hold,) = ledger.holds()
    assert (hold.kind, hold.subject, hold.since) == (WINDOW, A, NOW)
    assert (hold.until, hold.waits, len(hold.hold_id)) == (until, True, 8)
    found = release(ledger, hold)
    assert (found.released_by, found.why, found.released_at) == ("ada", "urgent", NOW)
    assert ledger.holds() == [found]
    assert not found.waits


def test_looking_again_makes_no_second_hold_but_tells_what_is_new(
    ledger: Ledger,
) -> None:
    first = held(ledger, A)
    later = NOW + timedelta(hours=3)
    look_at(ledger, A, a_wait(A, until=later))
    (again,) = ledger.holds()
    assert (again.hold_id, again.since, again.until) == (
        first.hold_id,
        first.since,
        later,
    )


def test_a_release_is_taken_up_once(ledger: Ledger) -> None:
    hold = release(ledger, held(ledger, A))
    look_at(ledger, A)
    assert ledger.holds() == []
    with pytest.raises(InputError, match="released already, by ada at 2026-03-01"):
        release(ledger, hold)
    # The same revision, some time later, has to wait once more.
    look_at(ledger, B)
    assert held(ledger, A).hold_id != hold.hold_id


def test_a_newer_revision_waits_for_itself_though_the_older_one_was_released(
    ledger: Ledger,
) -> None:
    old = release(ledger, held(ledger, A))
    new = held(ledger, B)
    assert waiting(ledger) == [(WINDOW, B)]
    with pytest.raises(InputError, match="a newer revision has replaced"):
        release(ledger, old)
    assert new.waits


def test_what_needs_no_release_any_more_says_so(ledger: Ledger) -> None:
    hold = held(ledger, A)
    look_at(ledger, A)
    assert ledger.holds() == []
    with pytest.raises(InputError, match="waits no longer"):
        release(ledger, hold)


def test_a_release_is_kept_while_the_revision_waits_for_something_else(
    ledger: Ledger,
) -> None:
    release(ledger, held(ledger, A, REWRITTEN))
    look_at(ledger, A, a_wait(A, WINDOW))
    assert [(one.kind, one.waits) for one in ledger.holds()] == [
        (REWRITTEN, False),
        (WINDOW, True),
    ]
    # Refused for another reason than a Hold, it is still released.
    ledger.activate(an_activation(revision=A, serving=None), now=NOW)
    assert [one.kind for one in ledger.holds()] == [REWRITTEN]


def test_nobody_releases_what_nobody_knows(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="Nothing with the id 'nothing' waits"):
        ledger.release("nothing", by="ada", why="urgent", now=NOW)


def test_holds_are_counted_while_they_wait(ledger: Ledger) -> None:
    assert ledger.census(now=NOW).holds == {}
    hold = held(ledger, A)
    assert ledger.census(now=NOW).holds == {WINDOW: 1}
    release(ledger, hold)
    assert ledger.census(now=NOW).holds == {}


def test_a_hold_and_its_release_come_back_from_a_backup(ledger: Ledger) -> None:
    hold = release(ledger, held(ledger, A))
    ledger.restored(NOW, catch_up=False, now=NOW)
    assert ledger.holds() == [hold]


def test_the_policy_that_judged_what_is_served_is_kept(ledger: Ledger) -> None:
    judge = ServedObject(
        kind="Policy",
        name="policy",
        file="policy.yaml",
        index=0,
        data={"spec": {"require": ["description"]}},
        revision=A,
    )
    ledger.activate(replace(an_activation(revision=B), judge=judge), now=NOW)
    assert ledger.served().judge == judge
    held(ledger, A)
    assert ledger.served().judge == judge
    look_at(ledger, A)
    assert ledger.served().judge is None
