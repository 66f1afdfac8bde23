"""Doing rows that a command inserted: by itself, or by the process that serves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from boe_reconciler.cli.output import say
from boe_reconciler.cli.progress import shown
from boe_reconciler.cli.shapes import ended_badly
from boe_reconciler.core.remote import commit_of

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.runs import RunRecord

#: Seconds between two looks at rows that another process does.
LOOK = 0.2
#: Seconds that another process may need until it serves anything at all.
FIRST_ACTIVATION = 30.0


def make_served(app: App) -> None:
    """With nobody serving, the files as they are now are what is served.

    What came from git stays as it is: `boe run` alone takes up commits.
    """
    if not _taken(app):
        return
    try:
        if not serves_git(app):
            app.reconciler().reconcile()
    finally:
        app.serve_lock.release()


def _taken(app: App) -> bool:
    """Whether `serve.lock` is ours. Who has it may still be at its first activation."""
    end = app.clock.monotonic() + FIRST_ACTIVATION
    while not app.serve_lock.try_acquire():
        if app.ledger.served().attempted or app.clock.monotonic() >= end:
            return False
        app.ledger.wait_for_change(LOOK)
    return True


def serves_git(app: App) -> bool:
    """Whether what is served came from a git repo."""
    return commit_of(app.ledger.served().serving or "") is not None


def execute(app: App, run_ids: Sequence[str], *, wait: bool = True) -> int:
    """Do these runs, or watch who serves do them; the exit code."""
    if not wait:
        for run_id in run_ids:
            say(run_id)
        return 0
    if app.serve_lock.try_acquire():
        _by_ourselves(app, run_ids)
    else:
        say(f"{app.serve_lock.holder()} serves and does it.", style="dim")
        _watched(app, run_ids)
    return exit_code(app, run_ids)


def exit_code(app: App, run_ids: Sequence[str], ended: Sequence[RunRecord] = ()) -> int:
    """1 if one of the runs ended badly, or did not end although nobody holds it.

    `ended`: runs that are known already, of these or of others.
    """
    known = {one.run.run_id: one for one in ended}
    known |= app.ledger.records([each for each in run_ids if each not in known])
    records = [known.get(run_id) for run_id in {*run_ids, *known}]
    good = [
        one is not None
        and (one.run.held or (one.run.status.final and not ended_badly(one)))
        for one in records
    ]
    return 0 if all(good) else 1


def _by_ourselves(app: App, run_ids: Sequence[str]) -> None:
    """KeyboardInterrupt after Ctrl-C, once what was begun is given back."""
    executor, stop = app.executor(only=list(run_ids)), threading.Event()
    with _stopping(stop):
        executor.start()
        try:
            with shown(app, run_ids):
                executor.finish_all(stop)
        finally:
            executor.drain(0)
            app.serve_lock.release()
    if stop.is_set():
        raise KeyboardInterrupt


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C is heard between two steps, and never within one: a run that was claimed
    would stay with us. The second one ends at once."""

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _watched(app: App, run_ids: Sequence[str]) -> None:
    """Until all ended or are held; if the serving process ends first, we go on in its place."""
    with shown(app, run_ids):
        while not app.serve_lock.try_acquire():
            if _all_ended(app, run_ids):
                return
            app.ledger.wait_for_change(LOOK)
        if _all_ended(app, run_ids):
            app.serve_lock.release()
            return
    _by_ourselves(app, run_ids)


def _all_ended(app: App, run_ids: Sequence[str]) -> bool:
    records = app.ledger.records(run_ids).values()
    return all(one.run.status.final or one.run.held for one in records)
