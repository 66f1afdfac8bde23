"""What is wrong with runs, and with what they need, as people are told of it.

A trouble begins when something is found wrong, may turn into another, and ends when all
is well again. Who heard of it is kept with it: so that nobody is told twice, and whoever
was told of the beginning is told of the end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from boe_reconciler.core.holds import OF_OPEN_RUNS, Hold, HoldKind
from boe_reconciler.core.limits import ConnectionState, Phase
from boe_reconciler.core.notices import SHOWN, Incident
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.runs import (
    Delivery,
    DeliveryEvent,
    DeliveryStatus,
    Pause,
    Run,
    RunRecord,
    RunStatus,
)
from boe_reconciler.core.suppression import said
from boe_reconciler.core.wording import counted, sentence

#: The first word of it waits so long for more, to be told together.
GATHER = timedelta(seconds=30)
#: Nobody gets two messages within this time.
APART = timedelta(minutes=5)
#: A row that was written a little before others may be seen a little after them.
SLACK = timedelta(minutes=2)
#: An end that is near is told so long before, at most: of a pause, of a longer one.
_NEAR, _LONG = timedelta(hours=24), timedelta(hours=1)
#: Nothing that anybody has to know: it was asked for.
_MEANT = ("paused",)
_WIDE = 400
#: A mail that came back is told of for so long; those of one run are counted together
#: for so long.
BOUNCE_TOLD, BOUNCES_COUNTED = timedelta(days=1), timedelta(days=7)
_MOST_BOUNCES = 20
#: What goes on by itself once its time has come, and what a run tells of.
_TELL_NOTHING = (HoldKind.CHANGE_WINDOW, HoldKind.UNCONFIRMED)


class Kind(StrEnum):
    FAILED = "failed"
    PARTIAL = "partial"
    UNCONFIRMED = "unconfirmed"
    MISSED = "missed"
    LATE = "late"
    HOLD = "hold"
    BREAKER = "breaker"
    PAUSE = "pause"
    BOUNCED = "bounced"
    REVISION = "revision"

    @property
    def of_run(self) -> bool:
        """Whether a run ended like this: it ends with another run, not by itself."""
        return self in (Kind.FAILED, Kind.PARTIAL, Kind.UNCONFIRMED, Kind.MISSED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What somebody was told last, and when."""

    who: str
    what: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    #: What it is about: "schedule daily", "connection db", "hold …", "pause …".
    subject: str
    kind: Kind
    #: Those of one cause are told together.
    cause: str
    #: One sentence.
    what: str
    #: One line for each thing that is wrong with it, where there are several.
    details: tuple[str, ...] = ()
    #: The one command that mends it.
    command: str
    #: Since when it is not well.
    since: datetime
    #: Since when it is as it is now.
    at: datetime
    #: Name and title of the Schedule, and its zone; "" where it is about none.
    schedule: str = ""
    title: str = ""
    timezone: str = "UTC"
    run_id: str = ""
    occurrence: datetime | None = None
    revision: str = ""
    #: Who did not get it, in numbers.
    lacking: str = ""
    #: Runs that ended so, one after the other.
    count: int = 1
    #: When all was well again, and how that came.
    over_at: datetime | None = None
    outcome: str = ""
    heard: tuple[Heard, ...] = ()

    @property
    def word(self) -> str:
        """What is told of it: as long as that is the same, once."""
        return "over" if self.over_at else f"{self.kind} {self.cause}"

    def told(self, who: str) -> Heard | None:
        return next((one for one in self.heard if one.who == who), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """All that stands, and how far the ends of runs were looked at."""

    #: None: nobody ever looked, and what was before is no news.
    until: datetime | None = None
    #: Ends of runs after `until` that count already.
    seen: tuple[str, ...] = ()
    #: By subject.
    troubles: Mapping[str, Trouble]
    #: Who -> when they got the last message.
    sent: Mapping[str, datetime]


EMPTY = Board(troubles={}, sent={})


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a trouble says of its Schedule."""

    title: str
    timezone: str
    connection: str


# --- Runs that ended --------------------------------------------------------------


def looked(
    board: Board,
    ended: Sequence[RunRecord],
    about: Mapping[str, About],
    *,
    now: datetime,
) -> Board:
    """After some runs ended, in that order; `about` is by the name of the Schedule."""
    troubles, seen = dict(board.troubles), set(board.seen)
    for record in ended:
        mark = f"{record.run.run_id} {record.run.finished_at}"
        if mark not in seen:
            seen.add(mark)
            _count(troubles, record, about)
    until = now - SLACK
    return replace(
        board,
        troubles=troubles,
        until=until,
        seen=tuple(
            sorted(
                f"{one.run.run_id} {one.run.finished_at}"
                for one in ended
                if one.run.finished_at and one.run.finished_at >= until
            )
        ),
    )


def _count(
    troubles: dict[str, Trouble], record: RunRecord, about: Mapping[str, About]
) -> None:
    run = record.run
    if not run.whole or run.finished_at is None:
        return
    subject = f"schedule {run.schedule}"
    before, kind = troubles.get(subject), _kind(run)
    older = _is_older(run, before)
    if kind is not None:
        if run.owed:
            found = _of_run(record, kind, about.get(run.schedule))
            worse = _worse(before, found)
            if before and older and before.kind.of_run:
                worse = replace(before, count=worse.count)
            troubles[subject] = worse
    elif before and _went_well(run) and not older:
        troubles.pop(subject)
        cured = _cured(before, run)
        if cured is not None:
            troubles[subject] = cured


def _is_older(run: Run, before: Trouble | None) -> bool:
    """Whether the newest one is known: how that ended is how it stands."""
    known = before.occurrence if before and not before.over_at else None
    return known is not None and run.occurrence < known


def _kind(run: Run) -> Kind | None:
    if run.reason in _MEANT:
        return None
    if run.status in (RunStatus.FAILED, RunStatus.PARTIAL):
        return (
            Kind.UNCONFIRMED if run.reason == "unconfirmed" else Kind(run.status.value)
        )
    return Kind.MISSED if run.status is RunStatus.MISSED else None


def _went_well(run: Run) -> bool:
    """What its export decided to leave out is well; what never began is not."""
    if run.status is RunStatus.SUCCEEDED:
        return True
    return run.status is RunStatus.SKIPPED and run.started_at is not None


def _of_run(record: RunRecord, kind: Kind, about: About | None) -> Trouble:
    run, at = record.run, record.run.finished_at or record.run.created_at
    connection = about.connection if about else ""
    where = "" if record.artifacts or not connection else f" ({connection})"
    return Trouble(
        subject=f"schedule {run.schedule}",
        kind=kind,
        cause=f"{run.reason}{where}",
        what=sentence((run.message or run.reason)[:_WIDE]),
        command=_command(record, kind),
        since=at,
        at=at,
        schedule=run.schedule,
        title=about.title if about else run.schedule,
        timezone=about.timezone if about else "UTC",
        run_id=run.run_id,
        occurrence=run.occurrence,
        revision=run.revision,
        lacking=_lacking(record.deliveries),
    )


def _command(record: RunRecord, kind: Kind) -> str:
    """A file that is there is sent again; else it is made anew."""
    verb = "resend" if record.artifacts and kind is not Kind.MISSED else "rerun"
    only = " --unconfirmed" if kind is Kind.UNCONFIRMED else ""
    return f"boe {verb} {record.run.run_id}{only}"


def _lacking(deliveries: Sequence[Delivery]) -> str:
    """3 of 5 deliveries were not accepted, 1 may have arrived"""
    got = sum(one.status is DeliveryStatus.ACCEPTED for one in deliveries)
    unsure = sum(one.status is DeliveryStatus.UNCONFIRMED for one in deliveries)
    lost, all_ = len(deliveries) - got - unsure, len(deliveries)
    parts = [f"{lost} of {all_} deliveries were not accepted"] if lost else []
    if unsure:
        parts.append(f"{unsure} of {all_} may have arrived")
    return ", ".join(parts)


def _worse(before: Trouble | None, found: Trouble) -> Trouble:
    """The newer one; who heard of the older one is told only of what is new."""
    if before is None or before.over_at:
        return replace(found, heard=before.heard if before else ())
    again = before.kind.of_run and before.run_id != found.run_id
    count = before.count + 1 if again else before.count
    at = before.at if before.word == found.word else found.at
    return replace(found, since=before.since, at=at, count=count, heard=before.heard)


def _cured(before: Trouble, run: Run) -> Trouble | None:
    """None: nobody heard of it, and nothing of it is left."""
    same = run.occurrence == before.occurrence or (
        run.options.rerun_of == before.run_id
    )
    if not before.heard and (same or not before.kind.of_run):
        return None
    done = f"The run {run.run_id} {run.status}."
    if same or not before.kind.of_run or before.occurrence is None:
        return _mended(before, run, done)
    left = (
        "its file is still missing" if before.count == 1 else "older files are missing"
    )
    outcome = f"{done} Of {before.run_id}, {left}."
    return replace(before, over_at=run.finished_at, outcome=outcome)


def _mended(before: Trouble, run: Run, done: str) -> Trouble:
    """The very one that was told of; but it may have been the last of several."""
    over = replace(before, over_at=run.finished_at, lacking="", command="")
    more = before.count - 1
    if not more or not before.kind.of_run:
        return replace(over, outcome=done)
    whose = "its file" if more == 1 else "their files"
    left = f"Before it, {counted(more, 'run')} failed: {whose} may be missing."
    return replace(
        over,
        outcome=f"{done} {left}",
        command=f"boe runs --schedule {before.schedule}",
    )


# --- What is so now ---------------------------------------------------------------


def stands(board: Board, found: Sequence[Trouble], *, now: datetime) -> Board:
    """What is found at every look: it begins with the first one and ends without one."""
    troubles = dict(board.troubles)
    current = {one.subject: one for one in found}
    for subject, one in current.items():
        before = troubles.get(subject)
        if before is None or before.over_at or not before.kind.of_run:
            troubles[subject] = _worse(before, one)
    for subject, before in board.troubles.items():
        if subject not in current and not before.kind.of_run and not before.over_at:
            troubles.pop(subject)
            if before.heard and before.kind not in _PASS:
                end = _ENDED[before.kind]
                troubles[subject] = replace(
                    before, over_at=now, outcome=end, command=""
                )
    return replace(board, troubles=troubles)


def without(board: Board, served: Collection[str]) -> Board:
    """Nobody has to know how a Schedule fares that is served no longer."""
    troubles = {
        subject: one
        for subject, one in board.troubles.items()
        if not one.schedule or one.schedule in served
    }
    return replace(board, troubles=troubles)


#: Of these the end is no news.
_PASS = (Kind.PAUSE, Kind.BOUNCED)
_ENDED = {
    Kind.LATE: "It is not late any more.",
    Kind.HOLD: "It does not wait any more.",
    Kind.BREAKER: "It is used again.",
    Kind.REVISION: "A revision is served whole again.",
}


def late(run: Run, grace: timedelta, about: About, now: datetime) -> Trouble | None:
    """A run that should have succeeded by now."""
    due = run.occurrence + grace
    if now < due:
        return None
    why = f": {run.message}" if run.message else ""
    reason = f" ({run.reason})" if run.reason else ""
    text = f"It should have succeeded by {due:%H:%M:%S} UTC and is {run.status}{reason}"
    found = _of_run(RunRecord(run=run), Kind.LATE, about)
    return replace(
        found,
        cause=found.cause or "late",
        what=sentence(f"{text}{why}"[:_WIDE]),
        command=f"boe explain {run.run_id}",
        since=due,
        at=now,
    )


def of_connections(
    states: Sequence[ConnectionState], now: datetime
) -> Iterator[Trouble]:
    for one in states:
        if one.breaker is not Phase.CLOSED:
            text = f"It is left alone after {counted(one.failures, 'failure')} in a row"
            yield Trouble(
                subject=f"connection {one.name}",
                kind=Kind.BREAKER,
                cause=one.name,
                what=sentence(f"{text}: {one.cause}"[:_WIDE]),
                command="boe validate --online",
                since=now,
                at=now,
            )


def of_revisions(incidents: Sequence[Incident], now: datetime) -> Iterator[Trouble]:
    """As far as an incident was told: so what flaps is told no more often than that."""
    for one in incidents:
        if one.told:
            first, *more = one.message.splitlines() or [""]
            revision, _, headline = first.partition(": ")
            yield Trouble(
                subject=f"the newest {one.subject}",
                kind=Kind.REVISION,
                cause=one.told,
                what=headline,
                revision=revision,
                details=tuple(each for each in more if each != SHOWN),
                command="boe validate",
                since=one.since or now,
                at=now,
            )


def of_bounces(
    news: Sequence[tuple[str, DeliveryEvent]], about: Mapping[str, About], now: datetime
) -> Iterator[Trouble]:
    """Of each run whose mails came back within the last day; the newest come first."""
    runs: dict[str, list[DeliveryEvent]] = {}
    schedules = {one.key.run_id: schedule for schedule, one in news}
    for _, one in news:
        runs.setdefault(one.key.run_id, []).append(one)
    for run_id, events in runs.items():
        if events[0].at < now - BOUNCE_TOLD:
            continue
        schedule = schedules[run_id]
        lines = [f"{one.key.recipient} {said(one)}" for one in events]
        of = about.get(schedule)
        mails = counted(len({one.key for one in events}), "mail")
        yield Trouble(
            subject=f"bounces {run_id}",
            kind=Kind.BOUNCED,
            cause=mails,
            what=sentence(
                f"{mails} of {schedule} came back. The mail to {lines[0]}"[:_WIDE]
            ),
            details=tuple(one[:_WIDE] for one in lines[1:_MOST_BOUNCES]),
            command=f"boe show {run_id}",
            since=events[-1].at,
            at=now,
            schedule=schedule,
            title=of.title if of else schedule,
            timezone=of.timezone if of else "UTC",
            run_id=run_id,
        )


def of_holds(holds: Sequence[Hold], now: datetime) -> Iterator[Trouble]:
    """Those that need a person; of what may not have arrived, its run tells already."""
    for one in holds:
        if one.waits and one.kind not in _TELL_NOTHING:
            of_run = one.kind in OF_OPEN_RUNS
            schedule = one.subject.partition("." if of_run else " ")[0]
            yield Trouble(
                subject=f"hold {one.hold_id}",
                kind=Kind.HOLD,
                cause=str(one.kind),
                what=sentence(one.message[:_WIDE]),
                command=f'boe release {one.hold_id} --why "…"',
                since=one.since,
                at=now,
                schedule=schedule if of_run or one.kind is HoldKind.GONE else "",
                run_id=one.subject if of_run else "",
            )


def of_pauses(pauses: Sequence[Pause], now: datetime) -> Iterator[Trouble]:
    """Those that end soon, as far as they were long."""
    for one in pauses:
        if one.until is None or one.until - one.since < _LONG:
            continue
        near = min(_NEAR, (one.until - one.since) / 4)
        if now >= one.until - near:
            whose = f"the {one.target} {one.value}" if one.value else "everything"
            name = (
                one.value if one.target == "schedule" else f"--{one.target} {one.value}"
            )
            yield Trouble(
                subject=f"the pause of {whose}",
                kind=Kind.PAUSE,
                cause="pause",
                what=f"It ends at {one.until:%Y-%m-%d %H:%M} UTC: {one.why}",
                command=f'boe pause {name.rstrip()} --until T --why "…"',
                since=one.since,
                at=now,
                schedule=one.value if one.target == "schedule" else "",
            )


# --- What is told now -------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Bulletin:
    """All that one listener is told at once."""

    who: str
    news: Sequence[Trouble]
    #: Told before, and still so.
    reminders: Sequence[Trouble]
    over: Sequence[Trouble]


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    now: datetime
    remind: timedelta
    #: The process ends: nothing waits for more.
    flush: bool = False
    #: Who has yet to get an earlier message.
    busy: frozenset[str] = frozenset()


def bulletins(
    board: Board, listeners: Mapping[str, Sequence[str]], telling: Telling
) -> tuple[Board, Sequence[Bulletin]]:
    """What has to be said, and the board once it is; `listeners` are by subject.

    Of the end of something they hear who heard of it.
    """
    owing: dict[str, list[Trouble]] = {}
    for subject, one in board.troubles.items():
        for who in _listening(one, listeners.get(subject, ())):
            owing.setdefault(who, []).append(one)
    found = [
        bulletin
        for who, troubles in sorted(owing.items())
        if (bulletin := _bulletin(board, who, troubles, telling))
    ]
    return _told(board, found, listeners, telling.now), found


def _listening(one: Trouble, listeners: Sequence[str]) -> Sequence[str]:
    if not one.over_at:
        return listeners
    heard = [each.who for each in one.heard]
    # That a run did not go well is told even where it was over before that.
    return list(dict.fromkeys([*heard, *listeners])) if one.kind.of_run else heard


def _bulletin(
    board: Board, who: str, troubles: Sequence[Trouble], telling: Telling
) -> Bulletin | None:
    fresh = [one for one in troubles if _is_news(one, who)]
    again = [one for one in troubles if _is_due_again(one, who, telling)]
    if who in telling.busy or not (fresh or again):
        return None
    first = min((one.over_at or one.at for one in fresh), default=telling.now - GATHER)
    last = board.sent.get(who)
    early = telling.now < first + GATHER or (
        last is not None and last <= telling.now < last + APART
    )
    if early and not telling.flush:
        return None
    return Bulletin(
        who=who,
        news=[one for one in fresh if not one.over_at],
        reminders=again,
        over=[one for one in fresh if one.over_at],
    )


def _is_news(one: Trouble, who: str) -> bool:
    heard = one.told(who)
    return heard is None or heard.what != one.word


def _is_due_again(one: Trouble, who: str, telling: Telling) -> bool:
    heard = one.told(who)
    return (
        heard is not None
        and heard.what == one.word
        and not one.over_at
        # What lasts for weeks is told ever more seldom: a day, two, four, …
        and telling.now >= heard.at + max(telling.remind, heard.at - one.at)
    )


def _told(
    board: Board,
    found: Sequence[Bulletin],
    listeners: Mapping[str, Sequence[str]],
    now: datetime,
) -> Board:
    troubles = dict(board.troubles)
    for bulletin in found:
        for one in (*bulletin.news, *bulletin.reminders, *bulletin.over):
            troubles[one.subject] = _heard(troubles[one.subject], bulletin.who, now)
    left = {
        subject: one
        for subject, one in troubles.items()
        if not (one.over_at and _all_know(one, listeners.get(subject, ())))
    }
    sent = {**board.sent, **{one.who: now for one in found}}
    lately = {who: at for who, at in sent.items() if at > now - APART}
    return replace(board, troubles=left, sent=lately)


def _heard(one: Trouble, who: str, now: datetime) -> Trouble:
    others = tuple(each for each in one.heard if each.who != who)
    return replace(one, heard=(*others, Heard(who=who, what=one.word, at=now)))


def _all_know(one: Trouble, listeners: Sequence[str]) -> bool:
    return all(not _is_news(one, who) for who in _listening(one, listeners))
