"""Who may release the files of a run, until when, and what is said of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.holds import HoldKind, Wait
from boe_reconciler.core.resources.others import Member
from boe_reconciler.core.resources.schedule import Approval
from boe_reconciler.core.resources.types import parse_duration, parse_time
from boe_reconciler.core.spec import RunSpec
from boe_reconciler.core.wording import both


def wait(approval: Approval, run_id: str, zone: str, now: datetime) -> Wait:
    """What a run waits for once its files are there; `before` counts from then."""
    asked_by = _before(approval.before, zone, now) if approval.before else None
    sent = approval.otherwise == "send"
    until = ""
    if asked_by is not None:
        when = both(asked_by, zone)
        until = (
            f"; without an answer it is sent on {when}"
            if sent
            else f"; asked for by {when}, and held for as long as it takes"
        )
    return Wait(
        kind=HoldKind.APPROVAL,
        subject=run_id,
        message=f"The files of {run_id} wait for a release by "
        f"{' or '.join(approval.by)}{until}.",
        until=asked_by if sent else None,
    )


def _before(text: str, zone: str, now: datetime) -> datetime:
    """A duration from now, or the next time that a clock in the zone shows it."""
    if ":" not in text:
        return now + parse_duration(text)
    there = now.astimezone(ZoneInfo(zone))
    time = parse_time(text)
    days = (there.date(), there.date() + timedelta(days=1))
    today, tomorrow = (
        datetime.combine(day, time, ZoneInfo(zone)).astimezone(now.tzinfo)
        for day in days
    )
    return today if today > now else tomorrow


def check(spec: RunSpec, who: str, now: datetime) -> None:
    """InputError unless this is somebody who may: against mistakes, not a wall."""
    people = approvers(spec, now)
    if who.casefold() not in {one.casefold() for one in people}:
        known = ", ".join(sorted(people)) or "nobody: its Groups are empty now"
        raise InputError(
            f"{who} may not release {spec.schedule}: its approval is by {known}.",
            "Say who you are by the address: `--by NAME@EXAMPLE.COM`.",
        )


def approvers(spec: RunSpec, now: datetime) -> Collection[str]:
    """Their addresses: a member of a Group up to its last day, in the Schedule's zone."""
    today = now.astimezone(ZoneInfo(spec.timezone)).date()
    found: set[str] = set()
    for name in spec.approval.by if spec.approval else ():
        group = spec.groups.get(name)
        for one in group.members if group else [name]:
            if not isinstance(one, Member):
                found.add(one)
            elif one.until is None or today <= one.until:
                found.add(one.email)
    return found
