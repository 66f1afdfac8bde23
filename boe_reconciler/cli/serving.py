"""`boe run`: serving, or everything that is due once."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from boe_reconciler.cli.asking import enqueue_manual
from boe_reconciler.cli.door import door
from boe_reconciler.cli.executing import exit_code, serves_git
from boe_reconciler.cli.logs import start_logging
from boe_reconciler.cli.output import say
from boe_reconciler.cli.planned import check_served, duration, instant
from boe_reconciler.cli.progress import Telling, shown
from boe_reconciler.cli.validating import say_problems
from boe_reconciler.cli.watching import watched
from boe_reconciler.core.errors import InputError, RunError
from boe_reconciler.core.runs import (
    RunOptions,
)
from boe_reconciler.settings import GitFlags

if TYPE_CHECKING:
    from boe_reconciler.app import App


#: Seconds that another command, such as `boe pause`, may need for its look at the files.
_PATIENCE = 2.0


def add_to(boe: typer.Typer) -> None:
    # Names behind the first one of --now are arguments to typer.
    boe.command("run", context_settings={"allow_extra_args": True})(run)


def run(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="End when nothing is left to do.")
    ] = False,
    now: Annotated[
        list[str] | None,
        typer.Option("--now", metavar="NAME…", help="Run these at once."),
    ] = None,
    now_all: Annotated[
        bool, typer.Option("--now-all", help="Run all but paused ones at once.")
    ] = False,
    until: Annotated[
        str | None, typer.Option(metavar="T", help="Serve until then (UTC).")
    ] = None,
    git: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Serve a git repo, not the folder."),
    ] = None,
    branch: Annotated[
        str | None, typer.Option(metavar="B", help="Its branch (default: main).")
    ] = None,
    poll: Annotated[
        str | None,
        typer.Option(metavar="30s", help="How often the branch is looked at."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Serve a revision whole or not at all.")
    ] = False,
    allow_removals: Annotated[
        int, typer.Option(min=0, metavar="N", help="Let N objects be removed.")
    ] = 0,
    drain_timeout: Annotated[
        str, typer.Option(metavar="25s", help="How long runs may end after a SIGTERM.")
    ] = "25s",
    http: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Answer /metrics, /healthz and /readyz there."
        ),
    ] = None,
) -> int:
    """Serve: run what is due, until Ctrl-C.

    Keeps what is served equal to the files of the folder, or of a branch in git.

    \b
    Examples:
      boe run
      boe run --once --now carriers-daily
      boe run --once --now-all
      boe run --until 2026-11-24T18:00:00Z
      boe run --http 127.0.0.1:8080
      boe run --git https://git.example.com/reports.git --branch main
    """
    if context.args and not now:
        raise InputError(f"Unexpected argument {context.args[0]!r}.")
    end = instant(until, "UTC", "--until") if until is not None else None
    drain = duration(drain_timeout, "--drain-timeout")
    if git == "":
        raise InputError(
            "--git is empty.", "Give a URL, or leave it out for the folder."
        )
    app = door(context).serving_app(GitFlags(url=git, branch=branch, poll=poll))
    if app.settings.git is None and (branch or poll):
        raise InputError("--branch and --poll go with --git.")
    _take_over(app)
    _check_mode(app)
    person = door(context).log_format == "text" and (once or sys.stderr.isatty())
    level = logging.WARNING if person else logging.INFO
    start_logging(door(context).log_format, app.redact, level)
    names = [*(now or []), *context.args]
    with watched(app, http or app.settings.http):
        return _Serving(
            app=app,
            strict=strict,
            allow_removals=allow_removals,
            drain=drain,
            person=person,
        ).run(names, now_all=now_all, once=once, until=end)


def _take_over(app: App) -> None:
    """Take `serve.lock`. A command that holds it for a moment is no reason to fail."""
    end = app.clock.monotonic() + _PATIENCE
    while not app.serve_lock.try_acquire():
        if app.clock.monotonic() >= end:
            app.serve_lock.acquire()
            return
        app.clock.sleep(0.1)


def _check_mode(app: App) -> None:
    """A folder without the files of the git repo would remove all that is served."""
    if app.settings.git is None and serves_git(app):
        raise InputError(
            f"{app.settings.state} serves a git repo.",
            "Add --git URL, or give this one its own folder with --state.",
        )


class _Serving:
    """One `boe run`, from the first look at the folder to the drain."""

    def __init__(
        self,
        *,
        app: App,
        strict: bool,
        allow_removals: int,
        drain: timedelta,
        person: bool,
    ) -> None:
        self._app = app
        self._drain = drain.total_seconds()
        self._person = person
        self._reconciler = app.reconciler(
            strict=strict, allow_removals=allow_removals, teller=app.teller
        )
        self._executor = app.executor()
        app.troubles.start()
        app.hearer.start()
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._signal: int | None = None

    def run(
        self,
        names: Sequence[str],
        *,
        now_all: bool,
        once: bool,
        until: datetime | None,
    ) -> int:
        started = self._app.clock.now()
        self._app.troubles.flush = once
        with self._signals():
            self._look(at_once=once or now_all or bool(names))
            asked = () if self._stop.is_set() else names
            run_ids = self._enqueue(asked, now_all=now_all)
            self._executor.start()
            with shown(self._app, run_ids, others=once):
                try:
                    if once:
                        self._executor.finish_all(self._stop)
                    else:
                        self._serve(until, run_ids)
                    if self._signal == signal.SIGINT and self._app.ledger.open_runs():
                        say("Letting runs end; Ctrl-C again interrupts them.")
                finally:
                    # Whatever happened: no run outlives the lock and the ledger.
                    self._executor.drain(self._drain, self._hurry)
        return self._exit_code(run_ids, started, once=once)

    def _look(self, *, at_once: bool) -> None:
        """The first look; one at git need not keep waiting what is served already."""
        resumed = self._app.settings.git is not None and self._reconciler.resume()
        if resumed and not at_once:
            return
        try:
            plan = self._reconciler.reconcile()
        except RunError as error:
            if self._stop.is_set():
                return
            if not resumed:
                raise
            self._reconciler.failed(error)
        else:
            # Others read them in the log.
            say_problems(plan.problems if self._person else (), stderr=True)
            for wait in plan.activation.waits if self._person else ():
                say(wait.message, "yellow", stderr=True)

    def _enqueue(self, names: Sequence[str], *, now_all: bool) -> list[str]:
        if not names and not now_all:
            return []
        states = {state.name: state for state in self._app.ledger.states()}
        check_served(self._app, names)
        paused = [
            name
            for name, state in sorted(states.items())
            if state.paused_in_git or state.pause
        ]
        chosen = list(dict.fromkeys(names))
        for name in chosen:
            if name in paused:
                say(f"{name} is paused; it runs all the same.", style="yellow")
        if now_all:
            chosen += [
                name for name in sorted(states) if name not in (*paused, *chosen)
            ]
            if paused:
                say(f"Left out, paused: {', '.join(paused)}.", style="yellow")
        self._app.backends.kept.expect(len(chosen))
        return enqueue_manual(self._app, chosen, RunOptions())

    def _serve(self, until: datetime | None, run_ids: Sequence[str]) -> None:
        say("Serving. Ctrl-C ends it.")
        if sys.stderr.isatty():
            ours = logging.getLogger("boe_reconciler")
            ours.addHandler(Telling(self._app.ledger, run_ids))
            ours.setLevel(logging.INFO)
        watcher = threading.Thread(
            target=self._reconciler.watch, args=(self._stop,), name="reconciler"
        )
        watcher.start()
        try:
            self._executor.serve(self._stop, until)
        finally:
            self._stop.set()
            self._app.served_repo.interrupt()
            watcher.join()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C end the loop and drain; the second one is impatient.

        SIGHUP looks at the repo at once.
        """

        def ask(number: int, _: FrameType | None) -> None:
            if self._stop.is_set():
                self._hurry.set()
            self._signal = self._signal or number
            self._stop.set()
            self._app.served_repo.interrupt()

        def look(number: int, _: FrameType | None) -> None:
            self._app.served_repo.hurry()

        handlers = {signal.SIGTERM: ask, signal.SIGINT: ask}
        # At a terminal, SIGHUP says that it is gone.
        if not (sys.stdin and sys.stdin.isatty()):
            handlers[signal.SIGHUP] = look
        before = {one: signal.signal(one, each) for one, each in handlers.items()}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def _exit_code(
        self, run_ids: Sequence[str], started: datetime, *, once: bool
    ) -> int:
        if self._signal == signal.SIGINT:
            return 130
        if self._signal == signal.SIGTERM or not once:
            return 0
        recent = [
            record
            for record in self._app.ledger.runs(limit=10_000)
            if record.run.finished_at and record.run.finished_at >= started
        ]
        if not recent:
            say("Nothing was due; nothing ran.")
        return exit_code(self._app, run_ids, recent)
