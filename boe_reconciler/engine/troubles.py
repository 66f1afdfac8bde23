"""People are told of troubles: found out from the ledger, so that no crash loses one.

Nothing has to be caught as it happens. Each look compares what the ledger says with what
people were told; both, and what is to be sent, are written in one transaction.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from boe_reconciler.core import troubles
from boe_reconciler.core.bulletins import message
from boe_reconciler.core.errors import LedgerClosed, Temporary
from boe_reconciler.core.facts import Noticed, Observe, unobserved
from boe_reconciler.core.listeners import Listener, Listeners
from boe_reconciler.core.notices import Owed, Word
from boe_reconciler.core.ports import Clock, Ledger
from boe_reconciler.core.runs import Event, Run
from boe_reconciler.core.spec import RunSpec, Served
from boe_reconciler.core.troubles import (
    About,
    Board,
    Bulletin,
    Kind,
    Telling,
    Trouble,
)
from boe_reconciler.engine.telling import AGAIN, Postman

log = logging.getLogger(__name__)
#: Seconds between two looks.
LOOK = 2.0
#: A board on which nothing has changed is written this often.
KEPT = timedelta(minutes=5)


@dataclass(kw_only=True)
class TroubleTeller:
    """For the one process that serves."""

    ledger: Ledger
    clock: Clock
    postmen: Sequence[Postman]
    remind: timedelta
    #: Who listens, given what is served and the day.
    listeners: Callable[[Served, datetime], Listeners]
    #: A text without the value of any secret.
    redact: Callable[[str], str]
    observe: Observe = unobserved
    #: At its end it waits for nothing more to tell together.
    flush: bool = False
    _board: Board | None = field(init=False, default=None)
    #: When it was last written.
    _kept_at: datetime | None = field(init=False, default=None)
    _ending: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread | None = field(init=False, default=None)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="troubles", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """A last look; whoever sends what it tells of ends after it."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            with suppress(LedgerClosed):
                self._safely(flush=self.flush)

    def _work(self) -> None:
        pause = LOOK
        with suppress(LedgerClosed):
            while not self._ending.wait(pause):
                pause = LOOK if self._safely() else AGAIN

    def _safely(self, *, flush: bool = False) -> bool:
        try:
            self.look(flush=flush)
            return True
        except LedgerClosed:
            raise
        except Temporary as error:
            log.warning("ledger_unavailable", extra={"detail": error.message})
        except Exception:
            log.exception("telling_crashed")
        self._board = None
        return False

    # --- One look -----------------------------------------------------------------

    def look(self, *, flush: bool = False) -> None:
        now = self.clock.now()
        before = self._board or self.ledger.board()
        found = self._found(before, now)
        if not found.troubles and not before.troubles:
            self._keep(before, found, now)
            return
        served = self.ledger.served()
        names = {one.name for one in served.objects if one.kind == "Schedule"}
        found = troubles.without(found, names)
        listening = self._listening(found, served, now)
        after, told = troubles.bulletins(
            found,
            {subject: [*each] for subject, each in listening.items()},
            Telling(now=now, remind=self.remind, flush=flush, busy=self._busy()),
        )
        known = {who: one for each in listening.values() for who, one in each.items()}
        owed = [self._owed(one, known, served, now) for one in told]
        self._keep(before, after, now, [one for one in owed if one])
        self._say(told, owed)

    def _found(self, board: Board, now: datetime) -> Board:
        """What is wrong now, and what ended since the last look."""
        if board.until is None:
            # What was before anybody looked is no news.
            board = replace(board, until=now)
        names = [one.schedule for one in board.troubles.values() if one.schedule]
        assert board.until is not None  # noqa: S101 just said
        ended = self.ledger.ended_since(board.until, names)
        about = self._about({one.run.schedule for one in ended})
        board = troubles.looked(board, ended, about, now=now)
        current = [
            *self._late(now),
            *troubles.of_revisions(self.ledger.notices(), now),
            *troubles.of_connections(self.ledger.limits(now=now), now),
            *troubles.of_holds(self.ledger.holds(), now),
            *self._bounces(now),
            *troubles.of_pauses(self.ledger.pauses(), now),
        ]
        return troubles.stands(board, current, now=now)

    def _bounces(self, now: datetime) -> Iterator[Trouble]:
        news = self.ledger.news_since(now - troubles.BOUNCES_COUNTED)
        about = self._about({schedule for schedule, _ in news})
        return troubles.of_bounces(news, about, now)

    def _late(self, now: datetime) -> Iterator[Trouble]:
        for run in self.ledger.unfinished(now):
            found = self._late_one(run, now)
            if found is not None:
                yield found

    def _late_one(self, run: Run, now: datetime) -> Trouble | None:
        # A tick takes the mark away as it notes that the run is late.
        if run.late_at is not None or not run.whole:
            return None
        spec = self.ledger.schedule_spec(run.schedule)
        if spec is None or spec.execution.grace is None:
            return None
        return troubles.late(run, spec.execution.grace, _about(spec), now)

    def _about(self, schedules: set[str]) -> Mapping[str, About]:
        specs = {name: self.ledger.schedule_spec(name) for name in schedules}
        return {name: _about(spec) for name, spec in specs.items() if spec}

    def _listening(
        self, board: Board, served: Served, now: datetime
    ) -> Mapping[str, Mapping[str, Listener]]:
        """Subject -> who hears of it, by who they are."""
        found = self.listeners(served, now)
        return {
            subject: {each.who: each for each in found.of(one)}
            for subject, one in board.troubles.items()
        }

    def _busy(self) -> frozenset[str]:
        """Who has yet to get a message: what is new waits for the next one."""
        return frozenset(
            owed.body["who"]
            for channel in {one.channel for one in self.postmen}
            for owed in self.ledger.owed(channel)
            if "who" in owed.body
        )

    # --- What is told -------------------------------------------------------------

    def _owed(
        self,
        bulletin: Bulletin,
        known: Mapping[str, Listener],
        served: Served,
        now: datetime,
    ) -> Owed | None:
        listener = known.get(bulletin.who)
        if listener is None:
            # They heard of the beginning, and listen no longer.
            return None
        said = message(bulletin, environment=served.environment, now=now)
        body: dict[str, Any] = {
            "who": listener.who,
            "connection": listener.connection,
            "url": listener.url,
            "environment": served.environment or "",
            "subject": said.subject,
            "text": said.text,
            "at": now.isoformat(),
            "sections": [
                {
                    "title": one.title,
                    "what": one.what,
                    "facts": [[*fact] for fact in one.facts],
                    "each": [*one.each],
                    "command": one.command,
                }
                for one in said.sections
            ],
            "footer": said.footer,
        }
        return Owed(
            channel=listener.channel,
            key=f"{listener.who} {now.isoformat()}",
            body=_redacted(body, self.redact),
            since=now,
            next_try=now,
        )

    def _keep(
        self, before: Board, after: Board, now: datetime, owed: Sequence[Owed] = ()
    ) -> None:
        changed = (after.troubles, after.sent) != (before.troubles, before.sent)
        old = self._kept_at is None or abs(now - self._kept_at) >= KEPT
        if changed or owed or old:
            events = [_event(one, now) for one in owed]
            self.ledger.report(after, owed, events)
            self._kept_at = now
        self._board = after
        if owed:
            for one in self.postmen:
                one.wake()

    def _say(self, told: Sequence[Bulletin], owed: Sequence[Owed | None]) -> None:
        for bulletin, one in zip(told, owed, strict=True):
            if one is None:
                continue
            log.warning(
                "trouble_told",
                extra={"channel": one.channel, "detail": one.body["subject"]},
            )
            for word, of in (
                (Word.FAILING, bulletin.news),
                (Word.REMINDER, bulletin.reminders),
                (Word.RECOVERED, bulletin.over),
            ):
                # Those about revisions are counted where they are decided.
                if any(each.kind is not Kind.REVISION for each in of):
                    self.observe(Noticed(word=word, about="runs"))


def _about(spec: RunSpec) -> About:
    return About(
        title=spec.title, timezone=spec.timezone, connection=spec.connection_name
    )


def _event(owed: Owed, now: datetime) -> Event:
    text = f"{owed.body['who']} is told: {owed.body['subject']}."
    return Event(at=now, action="told", message=text)


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        # Where it goes to is a reference, or an address that has to stay as it is.
        kept = ("who", "connection", "url")
        return {
            key: each if key in kept else _redacted(each, redact)
            for key, each in value.items()
        }
    return (
        [_redacted(each, redact) for each in value]
        if isinstance(value, list)
        else value
    )
