"""`--comment`: the plan as the comment of the pull request that a CI job is about."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from boe_reconciler.cli.output import say
from boe_reconciler.core.errors import BoeError, Temporary
from boe_reconciler.core.forge import PullRequest, context_of, marker
from boe_reconciler.settings import read_pull_request

if TYPE_CHECKING:
    from boe_reconciler.app import App

#: Tries, and the wait between two of them: a job is not to hang for a comment.
_TRIES = 3
_PAUSE, _LONGEST = timedelta(seconds=2), timedelta(seconds=30)


def comment(app: App, text: str) -> bool:
    """Whether it stands there now; if not, a warning says why. Never an error: what is
    wrong with a comment is not wrong with the plan."""
    try:
        request = read_pull_request(app.settings.root)
        _write(app, request, text)
    except BoeError as error:
        say(f"No comment: {error.told}", "yellow", stderr=True)
        return False
    say(f"The plan is a comment of request {request.number}.", stderr=True)
    return True


def _write(app: App, request: PullRequest, text: str) -> None:
    forge = app.forge(request.at)
    mark = marker(context_of(app.settings.env))
    try:
        for left in reversed(range(_TRIES)):
            try:
                return forge.comment(request.number, mark, text)
            except Temporary as error:
                if not left:
                    raise
                pause = min(error.delay or _PAUSE, _LONGEST)
                app.clock.sleep(pause.total_seconds())
    finally:
        forge.close()
