"""`boe backup` and `boe restore`: the state folder as one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boe_reconciler.cli.doctoring import say_broken
from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import both, say, size
from boe_reconciler.core.errors import InputError


def add_to(boe: typer.Typer) -> None:
    boe.command()(backup)
    boe.command()(restore)


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.tar[.gz]")],
) -> int:
    """Copy the state folder into one file, also a served one.

    The ledger as it was at one instant, and every stored file. Whole or not at all;
    an existing FILE is left alone.

    \b
    Examples:
      boe backup /backups/boe-2026-11-24.tar
      boe backup /backups/boe-2026-11-24.tar.gz
    """
    target = Path.cwd() / file
    manifest, spoiled = door(context).app().back_up(target)
    made = both(manifest.made, "UTC")
    bytes_ = size(target.stat().st_size)
    say(f"{file}: as of {made}, {manifest.blobs:,} stored files, {bytes_}.")
    for sha256 in spoiled:
        say(f"Left out, it is not what it was: {sha256}", "red", stderr=True)
    return 1 if spoiled else 0


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    no_catchup: Annotated[
        bool,
        typer.Option("--no-catchup", help="Let go what was open or due up to now."),
    ] = False,
) -> int:
    """Make the state folder out of a backup.

    The folder must not be there, or be empty. Everything is verified before it
    appears: hashes, the ledger's version and its promises.

    \b
    Examples:
      boe restore /backups/boe-2026-11-24.tar.gz
      boe -C /srv/new restore /backups/boe-2026-11-24.tar.gz --no-catchup
    """
    source = Path.cwd() / file
    if not source.is_file():
        raise InputError(f"There is no file {file}.")
    app = door(context).app()
    manifest, checks = app.restore(source, catch_up=not no_catchup)
    made = both(manifest.made, "UTC")
    say(f"{app.settings.state} is as of {made}, {manifest.blobs:,} stored files.")
    say(_LET_GO if no_catchup else _CAUGHT_UP)
    return say_broken(checks)


_CAUGHT_UP = (
    "What was sent after that is not in it. The next `boe run` goes on with what was "
    "open, and catches up what was due since: some of it may be sent a second time."
)
_LET_GO = (
    "What was open then is cancelled, what was due since is a gap: nothing of it is "
    "sent. `boe rerun NAME --from T --to T` makes what is missing."
)
