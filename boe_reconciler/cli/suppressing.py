"""`boe suppressed`, `suppress`, `unsuppress`: addresses that get no mail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import OutputFormat, local, say, say_json, utc
from boe_reconciler.cli.releasing import who_says_why
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.addresses import address_flaw
from boe_reconciler.core.wording import sentence

if TYPE_CHECKING:
    from boe_reconciler.core.suppression import Suppression

_Address = Annotated[str, typer.Argument(metavar="ADDRESS")]
_Why = Annotated[str, typer.Option(metavar="TEXT", help="For those who ask later.")]
_By = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who does it (default: the user).")
]


def add_to(boe: typer.Typer) -> None:
    boe.command()(suppressed)
    boe.command()(suppress)
    boe.command()(unsuppress)


def suppressed(
    context: typer.Context,
    address: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", show_default=False)
    ] = None,
    output: Annotated[
        OutputFormat, typer.Option("--format", metavar="text|json")
    ] = OutputFormat.TEXT,
) -> int:
    """Show who is on the suppression list: they get no mail.

    A mail that bounced for good puts its address on it, and so does a reader who calls
    one spam. With an ADDRESS, also when it was on it before. Capitals do not count.

    \b
    Examples:
      boe suppressed
      boe suppressed anna@example.com --format json
    """
    app = door(context).app()
    found = app.ledger.suppressions(address) if app.has_state else []
    if output is OutputFormat.JSON:
        say_json([_json(one) for one in found])
    elif not found:
        say(
            "The suppression list is empty."
            if address is None
            else f"{address} is not on the suppression list, and never was."
        )
    else:
        _tell(found)
    return 0


def suppress(
    context: typer.Context, address: _Address, why: _Why = "", by: _By = None
) -> int:
    """Send no mail to an address any more, whatever names it.

    \b
    Example:
      boe suppress anna@example.com --why "asked us to stop, ticket 4711"
    """
    who, reason = who_says_why(why, by), why.strip()
    flaw = address_flaw(address)
    if flaw:
        raise InputError(f"{flaw}.", "Write it as anna@example.com.")
    app = door(context).app()
    now = app.clock.now()
    new = app.ledger.suppress(address, by=who, why=reason, now=now)
    if new is None:
        say(f"{address} is on the suppression list already.")
    else:
        ends = f'`boe unsuppress {address} --why "…"` ends that.'
        say(f"{address} gets no mail any more: {ends}")
    return 0


def unsuppress(
    context: typer.Context, address: _Address, why: _Why = "", by: _By = None
) -> int:
    """Send mail to an address again.

    If the next one bounces, the address is on the list again.

    \b
    Example:
      boe unsuppress anna@example.com --why "her mailbox works again"
    """
    who, reason = who_says_why(why, by), why.strip()
    app = door(context).app()
    now = app.clock.now()
    over = (
        app.ledger.unsuppress(address, by=who, why=reason, now=now)
        if app.has_state
        else None
    )
    if over is None:
        todo = "`boe suppressed` shows who is."
        raise InputError(f"{address} is not on the suppression list.", todo)
    say(f"{over.address} gets mail again.")
    if over.run_id:
        say(
            "What it missed: "
            f"`boe resend {over.run_id} --recipient {over.address} --all`, "
            "and `boe runs` has later ones."
        )
    return 0


def _tell(found: Sequence[Suppression]) -> None:
    for one in found:
        when = f"since {local(one.since, 'UTC')}"
        if one.ended_at:
            when = f"from {local(one.since, 'UTC')} to {local(one.ended_at, 'UTC')}"
        say(f"{one.address}  {when}  by {one.by}")
        say(f"  {sentence(one.why)}")
        if one.ended_at:
            say(f"  Taken off by {one.ended_by}: {sentence(one.ended_why or '')}")
    if any(one.ended_at is None for one in found):
        say('`boe unsuppress ADDRESS --why "…"` takes one off.')


def _json(one: Suppression) -> dict[str, Any]:
    return {
        "address": one.address,
        "since": utc(one.since),
        "by": one.by,
        "why": one.why,
        "run_id": one.run_id,
        "ended_at": utc(one.ended_at),
        "ended_by": one.ended_by,
        "ended_why": one.ended_why,
    }
