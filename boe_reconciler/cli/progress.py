"""Runs as they go: a bar on a terminal, a line for each end everywhere."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from boe_reconciler.cli.history import took
from boe_reconciler.cli.output import STYLES, console, near, one_line, say, say_parts
from boe_reconciler.core.errors import Temporary
from boe_reconciler.core.runs import RunStatus

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from boe_reconciler.core.ports import Ledger
    from boe_reconciler.core.runs import RunRecord

#: Seconds between two looks at the ledger.
LOOK = 0.2
#: Runs without an end after which the look at the others waits.
_AHEAD = 16
#: Looks at which nothing ran before somebody is told what keeps the runs waiting.
_PATIENCE = 15


@contextmanager
def shown(ledger: Ledger, run_ids: Sequence[str]) -> Iterator[None]:
    """While the context lasts, another thread shows how the runs are doing."""
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(ledger, run_ids, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(ledger: Ledger, run_ids: Sequence[str], done: threading.Event) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    quiet = not console(stderr=False).is_terminal
    with Progress(
        *columns, console=console(stderr=False), transient=True, disable=quiet
    ) as progress:
        task = progress.add_task("", total=len(run_ids))
        left, idle = list(run_ids), 0
        while left and not done.is_set():
            left, running = _look(ledger, left, progress, task)
            idle = 0 if running else idle + 1
            if left and idle == _PATIENCE:
                say(f"Waiting. `boe explain {left[0]}` says what for.", style="yellow")
            done.wait(LOOK)
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
    for number, run_id in enumerate(run_ids):
        if len(left) > _AHEAD:
            left += run_ids[number:]
            break
        record = _known(ledger, run_id)
        if record is None or not (record.run.status.final or record.run.held):
            left.append(run_id)
            if record and record.run.status is RunStatus.RUNNING:
                running.append(record.run.schedule)
            continue
        say_end(record)
        progress.advance(task)
    progress.update(task, description=", ".join(running))
    return left, running


class Telling(logging.Handler):
    """On a terminal, what a process that serves does, in the words of its history."""

    def __init__(self, ledger: Ledger, shown_already: Sequence[str]) -> None:
        super().__init__(logging.INFO)
        self._ledger = ledger
        self._shown_already = frozenset(shown_already)

    def emit(self, record: logging.LogRecord) -> None:
        run_id = str(getattr(record, "run_id", ""))
        if record.msg == "run_finished" and run_id not in self._shown_already:
            found = _known(self._ledger, run_id)
            if found:
                say_end(found)
        elif record.msg == "revision_activated":
            count = getattr(record, "problems", 0)
            more = f" {count} problems: `boe validate`." if count else ""
            say(f"The files changed; they are taken up.{more}", style="dim")


def _known(ledger: Ledger, run_id: str) -> RunRecord | None:
    """None also while the ledger cannot be asked: the next look may tell."""
    try:
        return ledger.run(run_id)
    except Temporary:
        return None


def say_end(record: RunRecord) -> None:
    """One line: what became of a run, and where its files are or why there are none."""
    run = record.run
    places = [near(one.remote) for one in record.deliveries if one.remote]
    good = run.status is RunStatus.SUCCEEDED and places
    tail = ", ".join(places) if good else one_line(run.message) or run.reason
    rows = "" if run.rows is None else f"{run.rows:,} rows"
    status = f"{run.status.value:<10}", STYLES.get(run.status.value, "")
    say_parts([status, (f"{run.schedule:<24}{rows:>13}{took(record):>9}  {tail}", "")])
