"""Runs as they go: bars on a terminal, a line for each end everywhere."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from boe_reconciler.cli.history import took
from boe_reconciler.cli.output import (
    STYLES,
    console,
    counted,
    harmless,
    near,
    one_line,
    say,
    say_parts,
    size,
)
from boe_reconciler.core.errors import Temporary
from boe_reconciler.core.facts import Delivered, Fact, RunEnded, Sent
from boe_reconciler.core.runs import RunStatus

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from boe_reconciler.app import App
    from boe_reconciler.core.ports import Clock, Ledger
    from boe_reconciler.core.runs import DeliveryKey, RunRecord

#: Seconds between two looks at the ledger: for bars, and for lines alone.
_LOOK, _LOOK_FOR_LINES = 0.2, 1.0
#: Runs that are looked at together; as many without an end, and the others wait.
_AHEAD = 16
#: Seconds in which nothing ran before somebody is told what keeps the runs waiting.
_PATIENCE = 3.0
#: Seconds between two lines about one delivery, where there is no terminal.
_SELDOM = 10.0


@contextmanager
def shown(app: App, run_ids: Sequence[str], *, others: bool = False) -> Iterator[None]:
    """While the context lasts, another thread shows how the runs are doing.

    Of other runs of this process it shows, if asked, what they send.
    """
    done, sending = threading.Event(), Sending(app.clock)
    given = app.ledger, run_ids, done, sending, others
    watcher = threading.Thread(target=_watch, args=given, daemon=True)
    app.observers.append(sending.observe)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(
    ledger: Ledger,
    run_ids: Sequence[str],
    done: threading.Event,
    sending: Sending,
    others: bool,
) -> None:
    from rich.progress import BarColumn, Progress, TextColumn

    text = TextColumn("{task.description}", markup=False)
    screen = console(stderr=False)
    still = not screen.is_terminal or screen.is_dumb_terminal
    pause = _LOOK_FOR_LINES if still else _LOOK
    with Progress(
        BarColumn(), text, console=screen, transient=True, disable=still
    ) as progress:
        task = progress.add_task("", total=len(run_ids), visible=bool(run_ids))
        left, idle = list(run_ids), 0.0
        while (left or others) and not done.is_set():
            left, running = _look(ledger, left, progress, task)
            sending.show(progress)
            idle = 0.0 if running else idle + pause
            if left and _PATIENCE <= idle < _PATIENCE + pause:
                say(f"Waiting. `boe explain {left[0]}` says what for.", style="yellow")
            done.wait(pause)
        _look(ledger, left, progress, task)


def _look(
    ledger: Ledger, run_ids: Sequence[str], progress: Progress, task: TaskID
) -> tuple[list[str], list[str]]:
    """Print those that ended; the ids of those that have not, and what runs.

    Runs start in order: once some are found that have not ended, neither have
    those behind them.
    """
    left: list[str] = []
    running = []
    while run_ids and len(left) < _AHEAD:
        some, run_ids = run_ids[:_AHEAD], run_ids[_AHEAD:]
        known = _known(ledger, some)
        for run_id in some:
            record = known.get(run_id)
            if record is None or not (record.run.status.final or record.run.held):
                left.append(run_id)
                if record and record.run.status is RunStatus.RUNNING:
                    running.append(record.run.schedule)
                continue
            say_end(record)
            progress.advance(task)
    left += run_ids
    count = f"{progress.tasks[0].completed:.0f}/{progress.tasks[0].total:.0f}"
    progress.update(task, description=f"{count} {', '.join(running)}")
    return left, running


class Sending:
    """How far the deliveries are that take a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now: dict[DeliveryKey, Sent] = {}
        self._bars: dict[DeliveryKey, TaskID] = {}
        #: When a line about it was printed.
        self._said: dict[DeliveryKey, float] = {}

    def observe(self, fact: Fact) -> None:
        """Called on the engine's threads."""
        if isinstance(fact, Sent):
            self._now[fact.key] = fact
        elif isinstance(fact, Delivered):
            self._now.pop(fact.key, None)
        elif isinstance(fact, RunEnded):
            run_id = fact.claimed.record.run.run_id
            for key in [one for one in list(self._now) if one.run_id == run_id]:
                self._now.pop(key, None)

    def show(self, progress: Progress) -> None:
        """A bar for each on a terminal, else a line now and then."""
        now = dict(self._now)
        for key in [one for one in self._bars if one not in now]:
            progress.remove_task(self._bars.pop(key))
        for key, sent in now.items():
            if progress.disable:
                self._say(key, sent)
            elif key not in self._bars:
                self._bars[key] = progress.add_task(_told(sent), total=sent.total)
            else:
                bar = self._bars[key]
                progress.update(bar, completed=sent.bytes, description=_told(sent))

    def _say(self, key: DeliveryKey, sent: Sent) -> None:
        now = self._clock.monotonic()
        if now - self._said.get(key, -_SELDOM) >= _SELDOM:
            self._said[key] = now
            say(_told(sent))


def _told(sent: Sent) -> str:
    where = f"{sent.filename} → {sent.key.destination}"
    return harmless(f"{where} {size(sent.bytes)} of {size(sent.total)}")


class Telling(logging.Handler):
    """On a terminal, what a process that serves does, in the words of its history."""

    def __init__(self, ledger: Ledger, shown_already: Sequence[str]) -> None:
        super().__init__(logging.INFO)
        self._ledger = ledger
        self._shown_already = frozenset(shown_already)

    def emit(self, record: logging.LogRecord) -> None:
        run_id = str(getattr(record, "run_id", ""))
        if record.msg == "run_finished" and run_id not in self._shown_already:
            found = _known(self._ledger, [run_id])
            for one in found.values():
                say_end(one)
        elif record.msg == "revision_activated":
            count = getattr(record, "problems", 0)
            more = f" {count} problems: `boe validate`." if count else ""
            say(f"The files changed; they are taken up.{more}", style="dim")


def _known(ledger: Ledger, run_ids: Sequence[str]) -> Mapping[str, RunRecord]:
    """None while the ledger cannot be asked: the next look may tell."""
    try:
        return ledger.records(run_ids)
    except Temporary:
        return {}


def _places(record: RunRecord) -> list[str]:
    """Where its files are; of mails, how many."""
    mails = [counted(record.mails, "mail")] if record.mails else []
    return [*map(near, record.places), *mails]


def say_end(record: RunRecord) -> None:
    """One line: what became of a run, and where its files are or why there are none."""
    run = record.run
    places = _places(record)
    good = run.status is RunStatus.SUCCEEDED and places
    tail = ", ".join(places) if good else one_line(run.message) or run.reason
    rows = "" if run.rows is None else f"{run.rows:,} rows"
    status = f"{run.status.value:<10}", STYLES.get(run.status.value, "")
    say_parts([status, (f"{run.schedule:<24}{rows:>13}{took(record):>9}  {tail}", "")])
