"""`boe simulate`: what would run, with a clock that nobody has to wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.nextruns import chosen_schedules, timetable_of
from boe_reconciler.cli.output import OutputFormat, complain, counted
from boe_reconciler.cli.planned import (
    bound,
    duration,
    known_schedules,
    usable,
    usable_plan_of_files,
)
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.runs import RunStatus

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.cli.simulated import Told
    from boe_reconciler.cli.simulated_both import ToldBoth
    from boe_reconciler.core.changes.impact.pairs import Pair
    from boe_reconciler.core.plan import Plan
    from boe_reconciler.core.simulate import Assumed
    from boe_reconciler.core.spec import PlannedSchedule

#: Without history and without --duration.
_DURATION = timedelta(minutes=1)
#: The last runs whose typical duration is taken.
_HISTORY = 20


def add_to(boe: typer.Typer) -> None:
    boe.command()(simulate)


def simulate(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME")] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="T", help="From T on (now).")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="T", help="To T (a week later).")
    ] = None,
    takes: Annotated[
        str | None,
        typer.Option(
            "--duration", metavar="10m", help="Of every run (as usual; else 1m)."
        ),
    ] = None,
    outage: Annotated[
        list[str] | None,
        typer.Option(metavar="FROM/TO", help="Nobody serves in between; repeatable."),
    ] = None,
    ref: Annotated[
        str | None,
        typer.Option(metavar="B|A..B", help="A commit, or two: what differs."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Runs at the same time.")
    ] = None,
    output: Annotated[
        OutputFormat, typer.Option("--format", metavar="text|json")
    ] = OutputFormat.TEXT,
) -> None:
    """Show what would run, what would not, and why.

    In a span of time, with the rules that serve: overlap, deadlines, catching up after
    an outage, pauses, clock changes, limits. Nothing is read from a Connection and
    nothing is written. A time without an offset is in the schedules' zone, or in UTC
    where they have several.

    With --ref of two commits both are simulated, and the runs that differ are shown. The
    folder as it is stands where a side is left out, as in --ref main.. (REV as for
    `boe plan`).

    \b
    Examples:
      boe simulate --from 2026-10-24 --to 2026-10-27
      boe simulate carriers-daily --duration 90m --to 2027-01-01
      boe simulate --outage 2026-11-24T05:00/2026-11-24T09:30 --format json
      boe simulate --ref main..my-branch --to 2026-12-24
    """
    app = door(context).app()
    asked = _Asked(
        start=start, end=end, takes=takes, outages=outage or [], workers=workers
    )
    if ref is not None and ".." in ref:
        told: Told | ToldBoth = _both(app, ref, names or [], asked)
    else:
        told = _one(app, ref, names or [], asked)
    told.as_json() if output is OutputFormat.JSON else told.as_text()


# --- One revision, or two -----------------------------------------------------------


def _one(app: App, ref: str | None, names: Sequence[str], asked: _Asked) -> Told:
    from boe_reconciler.cli.simulated import Told
    from boe_reconciler.core.simulate import simulate as run_all

    plan = usable_plan_of_files(app) if ref is None else _plan_of(app, ref)
    chosen = [plan.schedules[name] for name in chosen_schedules(plan, names)]
    assumed = _assumed(app, chosen, asked)
    _check_size(chosen, assumed)
    return Told(chosen, assumed, run_all(chosen, assumed))


def _plan_of(app: App, ref: str) -> Plan:
    from boe_reconciler.core.plan import make_plan

    now, env = app.clock.now(), app.settings.env
    plan = make_plan(app.snapshot_of(ref), served=None, now=now, environment=env)
    return usable(plan)


def _both(app: App, ref: str, names: Sequence[str], asked: _Asked) -> ToldBoth:
    from boe_reconciler.cli.simulated_both import Revision, ToldBoth
    from boe_reconciler.core.simulate import simulate as run_all

    plans = _compared(app, ref)
    pairs = _chosen_pairs(*plans, names)
    olds = [pair.before.planned for pair in pairs if pair.before]
    news = [pair.after.planned for pair in pairs if pair.after]
    assumed = _as_before(pairs, _assumed(app, [*olds, *news], asked))
    sides = []
    for plan, chosen in zip(plans, (olds, news), strict=True):
        _check_size(chosen, assumed)
        found = run_all(chosen, assumed)
        sides.append(Revision(revision=plan.revision, chosen=chosen, found=found))
    return ToldBoth(*sides, pairs=pairs, assumed=assumed)


def _compared(app: App, ref: str) -> tuple[Plan, Plan]:
    """What cannot be used in the newer one goes on as it is in the older."""
    from boe_reconciler.core.changes.compare import Terms, compare

    base, _, head = ref.partition("..")
    if head.startswith("."):
        raise InputError(f"--ref {ref!r} has three dots.", "Write two: A..B.")
    older, newer = (
        app.snapshot_of(one) if one else app.repo.snapshot() for one in (base, head)
    )
    terms = Terms(now=app.clock.now(), environment=app.settings.env)
    found = compare(older, newer, terms)
    assert found.before  # noqa: S101 `compare` makes both
    usable(found.after)
    kept = found.after.activation.stalled
    if kept:
        complain(
            f"{counted(len(kept), 'object')} of {head or 'the folder'} cannot be used: "
            f"what {base or 'the folder'} has of them goes on.",
            "`boe plan` says which and why.",
        )
    return found.before, found.after


def _chosen_pairs(before: Plan, after: Plan, names: Sequence[str]) -> Sequence[Pair]:
    """Both sides of the schedules that were named, or of all."""
    from boe_reconciler.core.changes.impact.pairs import pairs

    every = sorted({*before.schedules, *after.schedules})
    wanted = set(known_schedules(names or every, every))
    return [
        pair
        for pair in pairs(before.schedules, after.schedules)
        if wanted & {side.planned.name for side in (pair.before, pair.after) if side}
    ]


def _as_before(pairs: Sequence[Pair], assumed: Assumed) -> Assumed:
    """What was renamed takes as long as it did, with the same jitter."""
    duration, uids = dict(assumed.duration), dict(assumed.uids)
    for pair in pairs:
        if pair.before and pair.after:
            old, new = pair.before.planned.name, pair.after.planned.name
            duration[new] = duration[old]
            uids[new] = uids.get(old, old)
    return replace(assumed, duration=duration, uids=uids)


# --- What is assumed ----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """The options, as they were written."""

    start: str | None
    end: str | None
    takes: str | None
    outages: Sequence[str]
    workers: int | None


def _span(app: App, zone: str, asked: _Asked) -> tuple[datetime, datetime]:
    start, end = asked.start, asked.end
    since = bound(start, zone, "--from") if start is not None else app.clock.now()
    since = since.replace(microsecond=0)
    week = since + timedelta(days=7)
    until = bound(end, zone, "--to") if end is not None else week
    if until < since:
        raise InputError("--to lies before --from.")
    return since, until


def _zone(chosen: Sequence[PlannedSchedule]) -> str:
    zones = {one.occurrences.timezone for one in chosen}
    return zones.pop() if len(zones) == 1 else "UTC"


def _assumed(app: App, chosen: Sequence[PlannedSchedule], asked: _Asked) -> Assumed:
    from boe_reconciler.core.simulate import Assumed

    zone = _zone(chosen)
    since, until = _span(app, zone, asked)
    states = app.ledger.states() if app.has_state else ()
    return Assumed(
        since=since,
        until=until,
        duration=_durations(app, chosen, asked.takes),
        workers=asked.workers or app.settings.workers,
        outages=_outages(asked.outages, zone),
        pauses=app.ledger.pauses() if app.has_state else (),
        uids={state.name: state.uid for state in states},
    )


def _durations(
    app: App, chosen: Sequence[PlannedSchedule], takes: str | None
) -> Mapping[str, timedelta]:
    if takes is not None:
        return dict.fromkeys(
            (one.name for one in chosen), duration(takes, "--duration")
        )
    return {one.name: _usual(app, one.name) or _DURATION for one in chosen}


def _usual(app: App, name: str) -> timedelta | None:
    """What its last runs took; None where it has none yet."""
    if not app.has_state:
        return None
    records = app.ledger.runs(schedule=name, status=RunStatus.SUCCEEDED, limit=_HISTORY)
    took = [
        (one.run.finished_at - one.run.started_at).total_seconds()
        for one in records
        if one.run.started_at and one.run.finished_at
    ]
    return timedelta(seconds=max(1, round(median(took)))) if took else None


def _outages(texts: Sequence[str], zone: str) -> list[tuple[datetime, datetime]]:
    found = sorted(_outage(text, zone) for text in texts)
    for before, after in pairwise(found):
        if after[0] < before[1]:
            raise InputError("Two --outage overlap.", "Write them as one.")
    return found


def _outage(text: str, zone: str) -> tuple[datetime, datetime]:
    since, slash, until = text.partition("/")
    if not slash:
        raise InputError(
            f"--outage {text!r} is not FROM/TO.",
            "Write 2026-11-24T05:00/2026-11-24T09:30.",
        )
    found = bound(since, zone, "--outage"), bound(until, zone, "--outage")
    if found[1] <= found[0]:
        raise InputError(f"--outage {text!r} ends before it begins.")
    return found


def _check_size(chosen: Sequence[PlannedSchedule], assumed: Assumed) -> None:
    from boe_reconciler.core.simulate import MOST

    count = sum(timetable_of(one).count(assumed.since, assumed.until) for one in chosen)
    if count > MOST:
        raise InputError(
            f"{count:,} occurrences lie in this span; {MOST:,} is the most.",
            "Choose a shorter span, or name some schedules.",
        )
