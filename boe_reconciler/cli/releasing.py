"""`boe release`: what waits for a person, and letting it go on."""

from __future__ import annotations

import getpass
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import complain, local, say
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.holds import OF_OPEN_RUNS, HoldKind

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.holds import Hold

#: The beginning of a commit's id, long enough to mean one.
_COMMIT = re.compile("[0-9a-f]{7,40}")


def add_to(boe: typer.Typer) -> None:
    boe.command()(release)


def release(
    context: typer.Context,
    what: Annotated[
        list[str] | None, typer.Argument(metavar="ID|REVISION|RUN", show_default=False)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that waits now.")
    ] = False,
    why: Annotated[
        str, typer.Option(metavar="TEXT", help="For those who ask later.")
    ] = "",
    by: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who releases it (default: the user)."),
    ] = None,
) -> int:
    """Let go on what waits for a person; without arguments, list it.

    A release names one commit or one run, and counts once. An approval asks that `--by`
    is one of those whom the Schedule names.

    \b
    Examples:
      boe release
      boe release 3f9c01aa --why "history was cleaned on purpose"
      boe release 77ab01fe --why "figures checked" --by ada@example.com
      boe release 41f5cc1 --why "the mapping is wrong, fix now" --by "ada (on call)"
    """
    app = door(context).app()
    holds = [one for one in app.ledger.holds() if one.waits] if app.has_state else []
    if not what and not everything:
        _list(holds)
        return 0
    if what and everything:
        raise InputError("Name what is meant, or give --all, not both.")
    who = who_says_why(why, by)
    ids = [one.hold_id for one in holds] if everything else _ids(what or (), holds)
    if not ids:
        say("Nothing waits for a release.")
    refused = [one for one in ids if not _released(app, one, holds, (who, why))]
    if refused and len(ids) > 1:
        say(f"Not released: {', '.join(refused)} ({len(refused)} of {len(ids)}).")
    return 1 if refused else 0


def _released(
    app: App, hold_id: str, holds: Sequence[Hold], words: tuple[str, str]
) -> bool:
    """Whether it was; one that may not be is told, and the others go on.

    InputError where nothing of this id waits.
    """
    who, why = words
    now = app.clock.now()
    try:
        hold = app.ledger.release(hold_id, by=who, why=why.strip(), now=now)
    except InputError as error:
        if all(one.hold_id != hold_id for one in holds):
            raise
        complain(f"{hold_id}: {error.message}", error.help)
        return False
    say(f"Released {hold.hold_id} ({hold.kind}): {hold.subject}.")
    say(_what_next(app, hold))
    return True


def who_says_why(why: str, by: str | None) -> str:
    """Who answers for it: the user, unless somebody else is named. InputError without
    a reason."""
    if not why.strip():
        raise InputError("--why is missing: say why, for those who will ask.")
    if by is not None and not by.strip():
        raise InputError("--by is empty.")
    return (by or getpass.getuser()).strip()


def _ids(what: Sequence[str], holds: Sequence[Hold]) -> list[str]:
    """What is meant; a slip comes first, so that it is told and nothing is released."""
    slips = [one for one in what if not any(_means(one, hold) for hold in holds)]
    meant = [h.hold_id for h in holds if any(_means(one, h) for one in what)]
    return slips + meant


def _means(given: str, hold: Hold) -> bool:
    if given in (hold.hold_id, hold.subject):
        return True
    commit = hold.subject.rpartition(":")[2]
    return bool(_COMMIT.fullmatch(given)) and commit.startswith(given)


def _list(holds: Sequence[Hold]) -> None:
    if not holds:
        say("Nothing waits for a release.")
    for hold in holds:
        say(f"{hold.hold_id}  {hold.kind}  since {local(hold.since, 'UTC')}")
        say(f"  {hold.message}")
        if hold.kind in OF_OPEN_RUNS:
            say(f"  `boe show {hold.subject}` has the files, and who gets them.")
    if holds:
        say('`boe release ID --why "…"` lets one go on.')
    if any(hold.kind is HoldKind.APPROVAL for hold in holds):
        say("An approval also asks who you are: `--by ADDRESS`.")


def _what_next(app: App, hold: Hold) -> str:
    if hold.kind is HoldKind.GONE:
        return "The next run delivers there again."
    if hold.ended_at is not None:
        return "That is recorded; nothing is sent."
    server = app.who_serves()
    if server is None:
        return "No process serves now: the next `boe run` takes it up."
    return f"{server} takes it up."
