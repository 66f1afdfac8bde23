"""A new plan becomes the served one (R6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter

from boe_reconciler.core import due, pauses
from boe_reconciler.core.calendar.zones import TZDB_VERSION
from boe_reconciler.core.due import Form, Owed, Standing, Ticks
from boe_reconciler.core.maps import differing
from boe_reconciler.core.runs import Event, Pause, PauseTarget, RunStatus
from boe_reconciler.core.spec import (
    Activation,
    Keyed,
    PlannedSchedule,
    Served,
    ServedObject,
)
from boe_reconciler.ledgers import _holds, _limits, _rows
from boe_reconciler.ledgers._store import Store

#: Makes the uid of a new schedule, or of a Hold.
NewUid = Callable[[], str]
#: Schedules by name.
Planned = Mapping[str, PlannedSchedule]
#: What is served, by kind and name.
Objects = Mapping[tuple[str, str], ServedObject]


def activate(
    store: Store, activation: Activation, *, now: datetime, new_uid: NewUid
) -> None:
    """Cover what the old plan owed up to now; then serve the new one from now on."""
    served = Served(
        attempted=activation.attempted,
        serving=activation.serving,
        objects=_in_order(activation.objects),
        stalled=activation.stalled,
        problems=activation.problems,
        environment=activation.environment,
        judge=activation.judge,
    )
    _holds.settle(store, activation, now, new_uid)
    if activation.serving is None:
        before = store.served()
        store.put_served(
            replace(
                served,
                serving=before.serving,
                objects=before.objects,
                judge=before.judge,
            ),
            store.planned(),
        )
        return
    planned = activation.planned
    _serve(store, activation, planned, now, new_uid)
    store.put_tzdb(TZDB_VERSION)
    store.put_served(served, planned)
    message = f"{activation.serving} is served."
    store.insert_events([Event(at=now, action="activated", message=message)])


def _serve(
    store: Store,
    activation: Activation,
    new: Planned,
    now: datetime,
    new_uid: NewUid,
) -> None:
    entry = _Entry(pauses=store.pauses(), now=now)
    # Other zone data may put every next occurrence elsewhere.
    anew = store.tzdb() != TZDB_VERSION
    known = None if anew else store.planned()
    open_ = {*new} if known is None else {*differing(known, new)}
    old = store.forms(now, None if known is None else open_)
    changed = {
        name: new[name]
        for name in sorted(open_ | old.keys())
        if name in new and (anew or not entry.goes_on(old.get(name), new[name]))
    }
    owing = [
        one.uid
        for name, one in old.items()
        if name in changed or name not in new or one.is_due(now)
    ]
    _rows.cover(store, store.standings_of(owing), store.ticks(), now)
    _rename(store, changed, new)
    for name in [name for name in old if name not in new]:
        _remove(store, name, now)
    store.put_specs({one.digest: one.spec for one in changed.values()})
    _limits.serve(store, activation.connections)
    entry = replace(entry, pauses=store.pauses())
    moved = [
        entry.of(_named(store, planned, now, new_uid), planned)
        for planned in changed.values()
    ]
    _rows.write_owed(store, moved, now)
    before = {} if known is None else store.served().by_key
    store.put_revisions(_revisions(before, activation.by_key))


def _in_order(objects: Sequence[ServedObject]) -> Sequence[ServedObject]:
    if isinstance(objects, Keyed):
        return objects
    return sorted(objects, key=attrgetter("kind", "name"))


def _revisions(before: Objects, after: Objects) -> Mapping[str, str]:
    """Schedules that are others now -> the older revision that each is from; empty: it is
    from the one that is served."""
    return {
        name: after[kind, name].revision or ""
        for kind, name in differing(before, after)
        if kind == "Schedule" and (kind, name) in after
    }


def _named(
    store: Store, planned: PlannedSchedule, now: datetime, new_uid: NewUid
) -> Standing:
    """What is kept of it so far, with what its new version names."""
    before = store.standing(planned.name) or _new(store, planned.name, now, new_uid())
    return replace(
        before, spec_digest=planned.digest, connection=planned.spec.connection_name
    )


def _rename(store: Store, changed: Planned, new: Planned) -> None:
    """A schedule that names its former self keeps its uid, its marks and its pause."""
    for planned in changed.values():
        former = planned.renamed_from
        if former is None or former in new or store.standing(planned.name):
            continue
        standing = store.standing(former)
        if standing is not None:
            store.drop_standing(former)
            store.put_standings([replace(standing, name=planned.name)])
            _rename_pause(store, former, planned.name)


def _rename_pause(store: Store, former: str, name: str) -> None:
    for pause in store.pauses():
        if (pause.target, pause.value) == (PauseTarget.SCHEDULE, former):
            store.drop_pause(pause)
            store.put_pause(replace(pause, value=name))


def _remove(store: Store, name: str, now: datetime) -> None:
    """What has not started will not; what runs may finish."""
    standing = store.standing(name)
    if standing is None:
        return  # It has another name now.
    why = ("removed", "The schedule is no longer in the repo.")
    for run in store.unstarted(standing.uid):
        _rows.end_run(store, run, RunStatus.CANCELLED, now, why=why)
    store.drop_standing(standing.name)


def _new(store: Store, name: str, now: datetime, uid: str) -> Standing:
    """A first activation owes nothing before it.

    Run ids hold the name and the time, so a namesake's rows are not met again,
    wherever the clock has been.
    """
    start = max(now, store.latest_occurrence(name) or now)
    return Standing(
        name=name,
        uid=uid,
        revision="",
        spec_digest="",
        timing="",
        covered_from=start,
        high_water=start,
        next_due=None,
        paused_in_git=False,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """How schedules enter the new plan."""

    pauses: Sequence[Pause]
    now: datetime

    def goes_on(self, before: Form | None, planned: PlannedSchedule) -> bool:
        """Whether the new plan changes nothing of it but the revision."""
        return (
            before is not None
            and before.spec_digest == planned.digest
            and before.timing == planned.timing
            and before.connection == planned.spec.connection_name
            and before.paused_in_git == planned.paused
            and (before.paused, before.paused_until) == self._paused(planned)
        )

    def _paused(self, planned: PlannedSchedule) -> tuple[bool, datetime | None]:
        """Whether anything pauses it, and until when."""
        if not self.pauses:
            return planned.paused, None
        pause = pauses.holding(self.pauses, planned.spec, self.now)
        if planned.paused or pause is None:
            return planned.paused, None
        return True, pause.until

    def of(self, standing: Standing, planned: PlannedSchedule) -> Owed:
        """The standing under the new spec, and the gap that ends with the old one."""
        timing = planned.timing
        paused, paused_until = self._paused(planned)
        new_set = bool(standing.timing) and not due.same_occurrences(
            standing.timing, timing
        )
        ended = Owed(standing=standing)
        if standing.paused and (new_set or not paused):
            ended = due.unpaused(standing, self.now)
        standing = replace(
            ended.standing,
            timing=timing,
            paused_in_git=planned.paused,
            paused=paused,
            paused_until=paused_until,
        )
        if new_set:
            start = max(self.now, standing.high_water)
            standing = replace(standing, high_water=start, covered_from=start)
        again = due.owed(standing, Ticks(), standing.high_water)
        return replace(again, gaps=ended.gaps)
