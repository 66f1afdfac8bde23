"""What is wrong, who heard of it, and what they hear next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from boe_reconciler.core.bulletins import HTML, message, span
from boe_reconciler.core.holds import Hold, HoldKind
from boe_reconciler.core.limits import ConnectionState, Phase
from boe_reconciler.core.runs import (
    Delivery,
    DeliveryKey,
    DeliveryStatus,
    Pause,
    PauseTarget,
    RunOptions,
    RunRecord,
    RunStatus,
    Trigger,
)
from boe_reconciler.core.templates import render
from boe_reconciler.core.troubles import (
    EMPTY,
    About,
    Board,
    Bulletin,
    Kind,
    Telling,
    Trouble,
    bulletins,
    late,
    looked,
    of_bounces,
    of_connections,
    of_holds,
    of_pauses,
    stands,
    without,
)
from tests.builders import a_bounce, a_mail, an_artifact, at
from tests.core.test_rerun import a_run

NOW = at("2026-03-01 06:30")
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
ABOUT = {"daily": About(title="Sales", timezone="Europe/Berlin", connection="db")}
ADA = {"schedule daily": ["ada@example.com"]}


def ended(
    status: RunStatus = RunStatus.FAILED,
    when: datetime = NOW,
    deliveries: Sequence[DeliveryStatus] = (),
    *,
    built: bool = False,
    **changes: Any,
) -> RunRecord:
    run = a_run(
        **{
            "run_id": f"daily.{when:%H%M}",
            "occurrence": when,
            "status": status,
            "reason": "gave_up",
            "message": "the database is down",
            "started_at": when,
            "finished_at": when,
            **changes,
        }
    )
    rows = tuple(
        a_delivery_row(run.run_id, number, one) for number, one in enumerate(deliveries)
    )
    return RunRecord(
        run=run, artifacts=(an_artifact(),) if built else (), deliveries=rows
    )


def a_delivery_row(run_id: str, number: int, status: DeliveryStatus) -> Delivery:
    return Delivery(
        key=DeliveryKey(
            run_id=run_id, part="-", destination="mail", recipient=f"{number}@x.com"
        ),
        type="email",
        status=status,
        attempts=1,
        reason="",
        message="",
        receipt=None,
        remote=None,
        intent={},
        first_attempt_at=None,
        next_attempt_at=None,
        at=NOW,
    )


def after(*records: RunRecord, board: Board = EMPTY) -> Board:
    now = max((one.run.finished_at or NOW for one in records), default=NOW)
    return looked(board, records, ABOUT, now=now)


def only(board: Board) -> Trouble:
    (one,) = board.troubles.values()
    return one


def told(
    board: Board, now: datetime = NOW + MINUTE, **telling: Any
) -> tuple[Board, Sequence[Bulletin]]:
    return bulletins(board, ADA, Telling(now=now, remind=DAY, **telling))


# --- Runs -------------------------------------------------------------------------


def test_a_run_that_ended_badly_is_a_trouble_of_its_schedule() -> None:
    one = only(after(ended()))
    assert (one.subject, one.kind, one.what) == (
        "schedule daily",
        Kind.FAILED,
        "The database is down.",
    )
    assert one.command == "boe rerun daily.0630"
    assert one.cause == "gave_up (db)"


def test_a_file_that_is_there_is_sent_again_and_who_lacks_it_is_counted() -> None:
    accepted, failed, unsure = (
        DeliveryStatus.ACCEPTED,
        DeliveryStatus.FAILED,
        DeliveryStatus.UNCONFIRMED,
    )
    record = ended(RunStatus.PARTIAL, deliveries=[accepted, failed, unsure], built=True)
    one = only(after(record))
    assert (one.kind, one.cause) == (Kind.PARTIAL, "gave_up")
    assert one.command == "boe resend daily.0630"
    expected = "1 of 3 deliveries were not accepted, 1 of 3 may have arrived"
    assert one.lacking == expected
    sure = replace(record.run, reason="unconfirmed")
    unsure_one = only(after(replace(record, run=sure)))
    assert unsure_one.kind is Kind.UNCONFIRMED
    assert unsure_one.command == "boe resend daily.0630 --unconfirmed"


def test_what_was_meant_so_is_no_trouble() -> None:
    records = [
        ended(RunStatus.MISSED, reason="paused"),
        ended(RunStatus.CANCELLED),
        ended(RunStatus.SKIPPED),
        ended(RunStatus.SUCCEEDED),
        ended(options=RunOptions(dry_run=True)),
        ended(trigger=Trigger.MANUAL),
        ended(finished_at=None),
    ]
    for one in records:
        assert after(one).troubles == {}


def test_an_end_that_is_seen_twice_counts_once() -> None:
    board = after(ended())
    assert only(after(ended(), board=board)).count == 1
    again = after(ended(when=NOW + MINUTE), board=board)
    assert only(again).count == 2
    assert len(again.seen) == 1
    assert after(ended(when=NOW + DAY), board=again).until == NOW + DAY - 2 * MINUTE


def test_a_schedule_that_nobody_knows_has_its_name() -> None:
    board = looked(EMPTY, [ended(message="")], {}, now=NOW)
    assert (only(board).title, only(board).what) == ("daily", "Gave_up.")


def test_the_same_report_at_last_is_nothing_to_tell_before_it_was_told() -> None:
    board = after(ended())
    again = ended(RunStatus.SUCCEEDED, when=NOW, started_at=None)
    later = replace(again, run=replace(again.run, finished_at=NOW + MINUTE))
    assert after(later, board=board).troubles == {}
    rerun = RunOptions(rerun_of="daily.0630")
    other = ended(RunStatus.SUCCEEDED, when=NOW + DAY, options=rerun)
    assert after(other, board=board).troubles == {}


def test_that_one_failed_is_told_though_the_next_went_well() -> None:
    board = after(ended())
    board = after(ended(RunStatus.SUCCEEDED, when=NOW + MINUTE), board=board)
    one = only(board)
    assert one.outcome == (
        "The run daily.0631 succeeded. Of daily.0630, its file is still missing."
    )
    assert one.command == "boe rerun daily.0630"
    board, (bulletin,) = told(board, NOW + 3 * MINUTE)
    assert (len(bulletin.over), bulletin.news) == (1, [])
    assert board.troubles == {}


def test_several_that_failed_leave_older_files_missing() -> None:
    board = after(ended(), ended(when=NOW + MINUTE))
    board, _ = told(board, NOW + 3 * MINUTE)
    well = ended(RunStatus.SKIPPED, when=NOW + 4 * MINUTE)
    board = after(well, board=board)
    assert "older files are missing" in only(board).outcome
    worse = after(ended(when=NOW + 5 * MINUTE), board=board)
    assert only(worse).over_at is None
    assert only(worse).heard


def test_a_rerun_that_was_told_of_leaves_nothing_to_do() -> None:
    board, _ = told(after(ended()))
    same = ended(RunStatus.SUCCEEDED, when=NOW)
    same = replace(same, run=replace(same.run, finished_at=NOW + 2 * MINUTE))
    assert only(after(same, board=board)).command == ""


def resent(status: RunStatus, when: datetime = NOW) -> RunRecord:
    """A run that ended ten minutes ago, and again now."""
    record = ended(status, when=when)
    return replace(record, run=replace(record.run, finished_at=NOW + 10 * MINUTE))


def test_what_is_sent_again_and_arrives_is_missing_no_more() -> None:
    lost = ended(RunStatus.PARTIAL, NOW, [DeliveryStatus.REFUSED], built=True)
    board, _ = told(after(lost))
    one = only(after(resent(RunStatus.SUCCEEDED), board=board))
    assert (one.lacking, one.command) == ("", "")
    assert one.outcome == "The run daily.0630 succeeded."


def test_a_run_that_is_sent_again_in_vain_is_still_one() -> None:
    board = after(ended(RunStatus.PARTIAL))
    assert only(after(resent(RunStatus.PARTIAL), board=board)).count == 1


def test_an_older_run_that_is_mended_says_nothing_of_the_newest() -> None:
    board = after(ended(), ended(when=NOW + MINUTE))
    board, _ = told(board, NOW + 3 * MINUTE)
    one = only(after(resent(RunStatus.SUCCEEDED), board=board))
    assert (one.over_at, one.run_id) == (None, "daily.0631")
    worse = only(after(resent(RunStatus.FAILED), board=board))
    assert (worse.run_id, worse.count) == ("daily.0631", 3)
    newest = only(after(resent(RunStatus.SUCCEEDED, NOW + MINUTE), board=board))
    assert newest.over_at
    assert newest.outcome == (
        "The run daily.0631 succeeded. Before it, 1 run failed: its file may be missing."
    )
    assert newest.command == "boe runs --schedule daily"


# --- What stands ------------------------------------------------------------------


def a_state(phase: Phase = Phase.OPEN) -> ConnectionState:
    return ConnectionState(
        name="db",
        running=0,
        max_concurrent=None,
        blackout_until=None,
        breaker=phase,
        breaker_until=None,
        failures=5,
        cause="it is down",
        next_by_rate=None,
        held_by="",
    )


def test_a_breaker_is_a_trouble_until_it_closes() -> None:
    board = stands(EMPTY, [*of_connections([a_state()], NOW)], now=NOW)
    assert only(board).what == (
        "It is left alone after 5 failures in a row: it is down."
    )
    assert stands(board, [*of_connections([a_state(Phase.CLOSED)], NOW)], now=NOW) == (
        EMPTY
    )
    listeners = {"connection db": ["ops"]}
    telling = Telling(now=NOW + MINUTE, remind=DAY)
    board, _ = bulletins(board, listeners, telling)
    again = stands(board, [*of_connections([a_state()], NOW + DAY)], now=NOW + DAY)
    assert again == board
    over = stands(board, [], now=NOW + MINUTE)
    assert only(over).outcome == "It is used again."
    assert stands(over, [], now=NOW + MINUTE) == over


def test_a_hold_waits_for_a_person() -> None:
    hold = Hold(
        hold_id="h1",
        kind=HoldKind.REWRITTEN_HISTORY,
        subject="main@sha1:1",
        message="main was rewritten",
        since=NOW,
    )
    window = replace(hold, kind=HoldKind.CHANGE_WINDOW)
    run = replace(hold, kind=HoldKind.APPROVAL, subject="daily.m1")
    holds = [hold, window, replace(hold, ended_at=NOW), run]
    first, second = of_holds(holds, NOW)
    assert first.command == 'boe release h1 --why "…"'
    assert (first.schedule, second.schedule, second.run_id) == ("", "daily", "daily.m1")


def a_pause(hours: int, target: PauseTarget = PauseTarget.SCHEDULE) -> Pause:
    return Pause(
        target=target,
        value="" if target is PauseTarget.ALL else "daily",
        by="ada",
        why="a holiday",
        since=NOW,
        until=NOW + timedelta(hours=hours) if hours else None,
    )


def test_the_end_of_a_long_pause_is_told_before() -> None:
    assert [
        *of_pauses([a_pause(0), replace(a_pause(1), until=NOW + MINUTE)], NOW)
    ] == []
    assert [*of_pauses([a_pause(8)], NOW + timedelta(hours=5))] == []
    (one,) = of_pauses([a_pause(8)], NOW + timedelta(hours=6))
    assert (one.subject, one.schedule) == ("the pause of the schedule daily", "daily")
    (all_,) = of_pauses([a_pause(8, PauseTarget.ALL)], NOW + timedelta(hours=6))
    assert all_.subject == "the pause of everything"
    board, _ = bulletins(
        stands(EMPTY, [one], now=NOW),
        {one.subject: ["ada"]},
        Telling(now=NOW + DAY, remind=DAY),
    )
    # It is no news that it ended.
    assert stands(board, [], now=NOW + DAY) == replace(board, troubles={})


def test_a_run_is_late_after_its_grace() -> None:
    run = a_run(status=RunStatus.WAITING, occurrence=NOW, reason="", message="")
    assert late(run, MINUTE, ABOUT["daily"], NOW) is None
    one = late(run, MINUTE, ABOUT["daily"], NOW + MINUTE)
    assert one is not None
    assert one.what == "It should have succeeded by 06:31:00 UTC and is waiting."
    why = replace(run, reason="breaker_open", message="db is left alone")
    one = late(why, MINUTE, ABOUT["daily"], NOW + MINUTE)
    assert one is not None
    assert one.what.endswith("is waiting (breaker_open): db is left alone.")
    # What failed before is worse than being late.
    board = after(ended())
    assert stands(board, [one], now=NOW) == board
    failed = after(ended(), board=stands(EMPTY, [one], now=NOW))
    assert (only(failed).kind, only(failed).count) == (Kind.FAILED, 1)
    came = after(ended(RunStatus.SUCCEEDED), board=stands(EMPTY, [one], now=NOW))
    assert came.troubles == {}


def test_of_what_is_served_no_longer_nothing_stands() -> None:
    (breaker,) = of_connections([a_state()], NOW)
    board = stands(after(ended()), [breaker], now=NOW)
    assert without(board, ["daily"]) == board
    assert only(without(board, [])) == breaker


# --- Telling ----------------------------------------------------------------------


def test_what_begins_waits_half_a_minute_for_more() -> None:
    board = after(ended())
    assert told(board, NOW)[1] == []
    assert len(told(board, NOW, flush=True)[1]) == 1
    assert told(board, busy=frozenset({"ada@example.com"}))[1] == []
    board, (bulletin,) = told(board)
    assert bulletin.news == [only(after(ended()))]
    assert told(board, NOW + 2 * MINUTE)[1] == []


def test_nobody_gets_two_messages_within_five_minutes() -> None:
    board, _ = told(after(ended()))
    board = after(ended(when=NOW + 2 * MINUTE, reason="other"), board=board)
    assert told(board, NOW + 3 * MINUTE)[1] == []
    assert len(told(board, NOW + 6 * MINUTE)[1]) == 1


def test_who_listens_anew_hears_of_it_and_who_heard_hears_the_end() -> None:
    board, _ = told(after(ended()))
    both = {"schedule daily": ["ada@example.com", "bob@example.com"]}
    telling = Telling(now=NOW + 9 * MINUTE, remind=DAY)
    board, (bulletin,) = bulletins(board, both, telling)
    assert bulletin.who == "bob@example.com"
    board = stands(board, [], now=NOW)
    over = after(ended(RunStatus.SUCCEEDED, when=NOW + 10 * MINUTE), board=board)
    _, found = bulletins(over, {}, replace(telling, now=NOW + DAY))
    assert [one.who for one in found] == ["ada@example.com", "bob@example.com"]


def test_a_reminder_says_how_long_it_lasts() -> None:
    board, _ = told(after(ended()))
    board, (bulletin,) = told(board, NOW + DAY + MINUTE)
    assert len(bulletin.reminders) == 1
    found = message(bulletin, environment=None, now=NOW + DAY + MINUTE)
    assert found.subject == "Sales (daily) still failed"
    assert "2026-03-01 06:30 UTC, 1 day 0 h ago" in found.text


# --- What is said -----------------------------------------------------------------


def a_trouble(name: str = "daily", **changes: Any) -> Trouble:
    found = {
        "subject": f"schedule {name}",
        "kind": Kind.FAILED,
        "cause": "down",
        "what": "The database is down.",
        "command": f"boe rerun {name}.1",
        "since": NOW,
        "at": NOW,
        "schedule": name,
        **changes,
    }
    return Trouble(**found)


def said(*news: Trouble, over: Sequence[Trouble] = (), environment: str = "") -> Any:
    bulletin = Bulletin(who="ada", news=news, reminders=(), over=over)
    return message(bulletin, environment=environment or None, now=NOW)


def test_schedules_with_one_cause_are_told_in_one_piece() -> None:
    found = said(*(a_trouble(f"r{number:02}", occurrence=NOW) for number in range(25)))
    assert found.subject == "25 schedules failed"
    assert "- r00, Sun 2026-03-01 06:30 UTC" in found.text
    assert "… and 5 more" in found.text
    assert "boe rerun --failed --since 2026-03-01T06:30:00Z" in found.text


def test_each_that_was_missed_needs_its_own_command() -> None:
    missed = [
        a_trouble(name, kind=Kind.MISSED, lacking="1 of 2 deliveries were not accepted")
        for name in ("a", "b")
    ]
    text = said(*missed).text
    assert "boe rerun a.1   (and so on for each)" in text
    assert "- a: 1 of 2 deliveries were not accepted" in text
    holds = [
        a_trouble(name, subject=f"hold {name}", kind=Kind.HOLD, schedule="")
        for name in ("a", "b")
    ]
    assert said(*holds).subject == "2 holds wait for a person"
    late_ones = [a_trouble(name, kind=Kind.LATE) for name in ("a", "b")]
    assert said(*late_ones).subject == "2 schedules are late"


def test_causes_are_apart_and_the_subject_counts_them() -> None:
    sales = said(a_trouble("a", title="Sales", lacking="1 of 2 may have arrived"))
    assert sales.subject == "Sales (a) failed"
    assert "Not received  1 of 2 may have arrived" in sales.text
    found = said(
        a_trouble("a"), a_trouble("b", cause="other", count=3), environment="staging"
    )
    assert found.subject == "[staging] a failed, and 1 more"
    assert "So far        3 runs in a row" in found.text
    many = said(*(a_trouble(f"r{number}", cause=f"{number}") for number in range(25)))
    assert len(many.sections) == 20
    assert "There are 5 more like these." in many.footer


def test_the_end_says_how_long_it_was() -> None:
    over = a_trouble(over_at=NOW + 130 * MINUTE, outcome="The run daily.2 succeeded.")
    found = said(over=[over])
    assert found.subject == "Well again: daily"
    assert "It was not for 2 h 10 min" in found.text
    assert "boe rerun daily.1" in found.text
    breaker = replace(
        over, kind=Kind.BREAKER, subject="connection db", schedule="", over_at=None
    )
    both = said(over=[over, breaker])
    assert both.subject == "Well again: 2 things"
    assert "Well again: Connection db" in both.text
    assert span(timedelta(days=2, hours=5)) == "2 days 5 h"
    assert span(timedelta(seconds=59)) == "less than a minute"


def test_many_that_are_well_again_are_told_together() -> None:
    end = {"over_at": NOW + 10 * MINUTE, "outcome": "It succeeded."}
    mended = [a_trouble(f"r{one}", command="", **end) for one in range(30)]
    left = [a_trouble(f"s{one}", **end) for one in range(2)]
    found = said(over=mended)
    assert found.subject == "Well again: 30 schedules"
    (section,) = found.sections
    assert "They were not for 10 min at most (failed: The database is down" in (
        section.what
    )
    assert section.each[-1] == "… and 10 more"
    assert section.command == ""
    both = said(over=[*mended, *left])
    assert both.subject == "Well again: 32 things"
    assert "Their files are still missing." in both.sections[1].what
    assert both.sections[1].command.startswith("boe rerun --failed --since")


def test_what_stands_in_html_is_no_html() -> None:
    found = said(a_trouble(what="<b>no</b>", revision="main@sha1:1", run_id="daily.1"))
    page = render(HTML, {"notice": found}, html=True)
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert "<b>" not in page


def test_mails_that_came_back_are_one_trouble_of_their_run_for_a_day() -> None:
    day = timedelta(days=1)
    new, old = [
        a_bounce(digest=str(number)).event(a_mail("daily.m1", who).key, moment)
        for number, (who, moment) in enumerate(
            [("anna@example.com", NOW), ("bob@example.com", NOW - 2 * day)]
        )
    ]
    about = {"daily": About(title="Ships", timezone="Europe/Berlin", connection="db")}
    [one] = of_bounces([("daily", new), ("daily", old)], about, NOW)
    assert (one.kind, one.cause, one.title, one.since) == (
        *(Kind.BOUNCED, "2 mails", "Ships", old.at),
    )
    assert one.what.startswith(
        "2 mails of daily came back. The mail to anna@example.com bounced for good: 5.1.1"
    )
    assert one.details[0].startswith("bob@example.com bounced for good")
    assert one.command == "boe show daily.m1"
    [other] = of_bounces([("daily", new)], {}, NOW)
    assert (other.title, other.timezone) == ("daily", "UTC")
    assert list(of_bounces([("daily", new)], about, NOW + 2 * day)) == []
