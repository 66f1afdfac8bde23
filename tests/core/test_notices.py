"""What people are told of revisions, and when they are left in peace."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from boe_reconciler.core import notices
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.holds import HoldKind, Wait
from boe_reconciler.core.notices import Finding, Incident, Owed, Sent, Word
from boe_reconciler.core.spec import Activation, ObjectStatus
from tests.builders import REVISION, a_schedule, an_activation, at

NOW = at("2026-03-01 06:30")
MINUTE = timedelta(minutes=1)
DAY = timedelta(hours=24)
WELL = Finding(failing="", message="All is served.")
BAD = Finding(failing="a", message="2 of 14 objects keep their last good version.")
WORSE = Finding(failing="b", message="3 of 14.")


def told(*found: tuple[float, Finding], remind: timedelta = DAY) -> list[str]:
    """The words of the notices when this is found, minutes after the start."""
    incident, words = Incident(subject="revision"), []
    for minutes, finding in found:
        now = NOW + minutes * MINUTE
        incident, notice = notices.tell(incident, finding, now=now, remind=remind)
        if notice:
            words.append(notice.word.value)
    return words


def test_a_failure_is_told_once_and_its_end_once() -> None:
    assert told((0, WELL), (1, BAD), (2, BAD), (9, BAD), (10, WELL), (11, WELL)) == [
        "failing",
        "recovered",
    ]


def test_a_failure_that_changes_is_told_again() -> None:
    assert told((0, BAD), (1, WORSE), (2, WORSE)) == ["failing", "changed"]


def test_a_failure_that_lasts_is_told_again_each_day() -> None:
    hours = [(60.0 * hour, BAD) for hour in range(50)]
    assert told(*hours) == ["failing", "reminder", "reminder"]


def test_what_flaps_is_told_four_times_an_hour_and_its_last_state_in_the_end() -> None:
    flapping = [(minute, WELL if minute % 2 else BAD) for minute in range(50)]
    assert told(*flapping) == ["failing", "recovered", "failing", "recovered"]
    assert told(*flapping, (51, BAD), (80, BAD))[4:] == ["failing"]
    assert told(*flapping, (51, BAD), (52, WELL), (80, WELL))[4:] == []


def test_what_changes_while_it_flaps_is_one_incident() -> None:
    incident = Incident(subject="revision")
    for minute, found in enumerate([BAD, WORSE, BAD, WORSE, WELL, BAD]):
        incident, _ = notices.tell(
            incident, found, now=NOW + minute * MINUTE, remind=DAY
        )
    assert incident.since == NOW
    later = NOW + 2 * 60 * MINUTE
    over, notice = notices.tell(incident, WELL, now=later, remind=DAY)
    assert over.since is None
    assert notice is not None
    assert notice.word is Word.RECOVERED
    assert "2026-03-01 06:30 UTC" in notice.text


def test_a_notice_says_since_when() -> None:
    before = Incident(
        subject="revision", since=NOW, failing="a", told="a", told_at=(NOW,)
    )
    _, changed = notices.tell(before, WORSE, now=NOW + MINUTE, remind=DAY)
    _, reminder = notices.tell(before, BAD, now=NOW + DAY, remind=DAY)
    for notice in (changed, reminder):
        assert notice is not None
        assert "since 2026-03-01 06:30 UTC" in notice.text


# --- Of a revision ----------------------------------------------------------------


def status(
    name: str, *, ready: bool = True, serving: str | None = "old"
) -> ObjectStatus:
    return ObjectStatus(
        kind="Schedule",
        name=name,
        ready=ready,
        reason="Served" if ready else "Invalid",
        message="",
        observed_revision=REVISION,
        serving_revision=serving,
    )


def problem(line: int = 3, **fields: Any) -> dict[str, Any]:
    base = {
        "severity": "error",
        "code": "BOE012",
        "detail": "no cron",
        "resource": {"kind": "Schedule", "name": "a"},
        "range": {"filename": "schedules/a.yaml", "start": {"line": line}},
    }
    return base | fields


def activation(
    *statuses: ObjectStatus, serving: str | None = REVISION, problems: Any = ()
) -> Activation:
    served = [a_schedule(one.name) for one in statuses if one.serving_revision]
    return Activation(
        attempted=REVISION,
        serving=serving,
        objects=an_activation(*served).objects,
        stalled=[one for one in statuses if not one.ready],
        schedules=(),
        problems=problems,
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (activation(status("a"), status("b")), "All is served: 2 objects."),
        (
            activation(status("a", ready=False), status("b")),
            "1 of 2 objects keeps its last good version.",
        ),
        (
            activation(
                status("a", ready=False),
                status("b", ready=False),
                status("c", ready=False, serving=None),
            ),
            "2 of 3 objects keep their last good version, 1 of 3 objects is not served.",
        ),
        (
            activation(
                status("a", ready=False, serving=None),
                status("b", ready=False, serving=None),
            ),
            "2 of 2 objects are not served.",
        ),
        (
            activation(status("a"), problems=[problem()]),
            "All is served, with 1 error.",
        ),
        (
            activation(serving=None, problems=[problem(detail="not signed")]),
            "Nothing of it is served. not signed",
        ),
        (activation(serving=None), "Nothing of it is served."),
    ],
)
def test_one_sentence_says_how_much_of_a_revision_is_served(
    found: Activation, words: str
) -> None:
    assert notices.headline(found) == words


def failing(found: Activation) -> str:
    finding = notices.finding(found)
    assert finding is not None
    return finding.failing


def waiting(kind: HoldKind, **fields: Any) -> Activation:
    wait = Wait(kind=kind, subject=REVISION, message="It waits for Monday.")
    return replace(activation(serving=None, **fields), waits=[wait])


def test_a_revision_that_waits_for_its_window_is_neither_good_nor_bad() -> None:
    found = waiting(HoldKind.CHANGE_WINDOW)
    assert notices.finding(found) is None
    status_ = notices.commit_status(found, "boe", None)
    assert (status_.state, status_.description) == ("pending", "It waits for Monday.")


def test_a_revision_that_waits_for_a_person_or_is_wrong_as_well_is_bad() -> None:
    for found in (
        waiting(HoldKind.REWRITTEN_HISTORY),
        waiting(HoldKind.CHANGE_WINDOW, problems=[problem()]),
    ):
        assert notices.commit_status(found, "boe", None).state == "failure"


def test_only_a_revision_that_is_served_whole_is_well() -> None:
    assert failing(activation(status("a"))) == ""
    warned = activation(status("a"), problems=[problem(severity="warning")])
    assert failing(warned) == ""
    for bad in (
        activation(status("a", ready=False)),
        activation(status("a"), serving=None),
        activation(status("a"), problems=[problem()]),
    ):
        assert failing(bad)


def test_a_line_that_moved_or_other_words_are_the_same_failure() -> None:
    first = failing(activation(problems=[problem()]))
    same = problem(line=9, detail="other words")
    assert failing(activation(problems=[same, same])) == first
    for other in (
        problem(code="BOE013"),
        problem(resource=None),
        problem(range={"filename": "b.yaml", "start": {"line": 3}}),
    ):
        assert failing(activation(problems=[other])) != first


def test_a_notice_names_the_first_problems_and_counts_the_rest() -> None:
    many = [problem(line=line) for line in range(8)]
    found = notices.finding(activation(problems=many))
    assert found is not None
    lines = found.message.splitlines()
    assert lines[0].startswith(f"{REVISION}: ")
    assert lines[1] == "schedules/a.yaml:0: BOE012 no cron"
    assert lines[-2:] == ["… and 3 more.", "`boe status` shows all."]


def test_a_commit_is_green_only_where_all_is_served() -> None:
    good = notices.commit_status(activation(status("a")), "boe", None)
    bad = notices.commit_status(activation(status("a", ready=False)), "boe/test", "u")
    assert (good.state, good.context) == ("success", "boe")
    assert (bad.state, bad.context, bad.target_url) == ("failure", "boe/test", "u")


# --- Sending ----------------------------------------------------------------------

OWED = Owed(channel="forge", key="k", body={}, since=NOW, next_try=NOW)


def failed(owed: Owed, error: Any, now: datetime) -> Owed:
    return notices.failed(owed, error, now=now, random=1.0)


def test_what_may_pass_is_tried_again_after_longer_and_longer() -> None:
    error = Temporary("forge_down", "No.")
    waits, owed = [], OWED
    for _ in range(12):
        owed = failed(owed, error, NOW)
        assert owed.next_try is not None
        waits.append((owed.next_try - NOW).total_seconds())
    assert waits[:3] == [5, 10, 20]
    assert waits[-1] == 15 * 60
    assert owed.detail == "No."
    assert not owed.is_due(NOW)
    assert owed.is_due(NOW + 15 * MINUTE)


def test_a_far_side_that_names_a_wait_gets_it() -> None:
    error = Temporary("forge_busy", "Wait.", delay=timedelta(seconds=77))
    assert failed(OWED, error, NOW).next_try == NOW + timedelta(seconds=77)


def test_what_has_no_sense_any_more_is_given_up() -> None:
    over = [
        failed(OWED, Permanent("forge_forbidden", "No."), NOW),
        failed(OWED, Temporary("forge_down", "No."), NOW + notices.GIVE_UP),
    ]
    for one in over:
        assert (one.result, one.next_try, one.tries) == (Sent.GIVEN_UP, None, 1)
        assert not one.is_due(NOW + DAY)


def test_what_is_sent_is_over() -> None:
    assert notices.sent(OWED) == replace(OWED, tries=1, next_try=None, result=Sent.SENT)
