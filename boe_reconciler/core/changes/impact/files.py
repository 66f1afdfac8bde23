"""Schedules that write a file of the same name into the same folder."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from functools import lru_cache
from itertools import islice
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from boe_reconciler.core import names
from boe_reconciler.core.calendar import period_of
from boe_reconciler.core.changes.impact.pairs import Look, Moment, Side
from boe_reconciler.core.resources.distribution import LocalDestination
from boe_reconciler.core.run_ids import run_id

#: Runs of a Schedule whose files are compared.
_RUNS = 40
#: What in a name is another one with each second, and what may be within a day.
_OF_AN_INSTANT = re.compile(r"\{(?:time|timestamp|run_id)\}")
_WITHIN_A_DAY = re.compile(r"\{(?:time|timestamp|run_id|\w+:)")
_NOON = time(12)


@dataclass(frozen=True, kw_only=True, slots=True)
class SameFile:
    """The later one is numbered, overwrites the earlier, or fails: by `if_exists`."""

    #: All that write it, the first two at least.
    schedules: Sequence[str]
    #: Folder and name.
    path: str
    #: When the last of them is due.
    at: Moment
    if_exists: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """All that the path of a file depends on, but for when its run is due.

    Schedules that share a folder mostly share it: then each path is made once.
    """

    folder: str
    dated: bool
    pattern: str
    report: str
    #: Empty where the pattern does not name it.
    schedule: str
    zone: str
    period: str | None
    extension: str
    compress: str | bool
    #: Whether there are files of other formats beside it.
    several: bool

    @property
    def is_of_an_instant(self) -> bool:
        """Whether runs that are due at different times write different files."""
        return bool(_OF_AN_INSTANT.search(self.pattern))

    def path(self, occurrence: datetime) -> str:
        if _WITHIN_A_DAY.search(self.pattern):
            return _path(self, occurrence)
        zone = ZoneInfo(self.zone)
        day = occurrence.astimezone(zone).date()
        return _path(self, datetime.combine(day, _NOON, zone))


@lru_cache(maxsize=10_000)
def _path(shape: _Shape, occurrence: datetime) -> str:
    zone = ZoneInfo(shape.zone)
    period = shape.period and period_of(shape.period, occurrence, zone).label
    values = names.NameValues(
        report=shape.report,
        schedule=shape.schedule,
        occurrence=occurrence,
        timezone=zone,
        run_id=run_id(shape.schedule, occurrence),
        extension=shape.extension,
        period=period or "",
    )
    folder = PurePosixPath(shape.folder)
    if shape.dated:
        folder /= names.dated_folder(occurrence, zone)
    name = names.file_name(shape.pattern, values)
    return str(folder / names.compressed(name, shape.compress, several=shape.several))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Target:
    """One file of each run of a Schedule."""

    side: Side
    spec: LocalDestination
    shape: _Shape


def same_files(look: Look) -> Iterator[SameFile]:
    changed = {after.planned.name for _, after in look.changed}
    for targets in _alike(look):
        writers = {target.side.planned.name for target in targets}
        if len(writers) > 1 and writers & changed:
            yield from _first(targets, changed, look)


def _alike(look: Look) -> Iterator[list[_Target]]:
    """Files that would have the same path if they were made now."""
    found = defaultdict(list)
    for pair in look.pairs:
        for target in _targets(pair.after) if pair.after else ():
            found[target.shape.path(look.now)].append(target)
    for path in sorted(found):
        yield found[path]


def _targets(side: Side) -> Iterator[_Target]:
    if side.planned.paused:
        return
    for destination in side.planned.spec.destinations:
        spec = destination.spec
        if isinstance(spec, LocalDestination):
            for name in side.planned.spec.export.formats:
                yield _Target(side=side, spec=spec, shape=_shape(side, spec, name))


def _shape(side: Side, spec: LocalDestination, extension: str) -> _Shape:
    planned = side.planned.spec
    export = planned.export
    pattern = spec.filename_pattern or export.filename_pattern or names.DEFAULT_PATTERN
    named = "{schedule_name" in pattern or "{run_id" in pattern
    return _Shape(
        folder=spec.base_path,
        dated=spec.create_subdirs,
        pattern=pattern,
        report=planned.report_title,
        schedule=planned.schedule if named else "",
        zone=planned.timezone,
        period=planned.period,
        extension=extension,
        compress=export.compress,
        several=export.several,
    )


def _first(
    targets: Sequence[_Target], changed: set[str], look: Look
) -> Iterator[SameFile]:
    """The first path that several of them write, a changed one among them."""
    found: dict[str, list[tuple[datetime, _Target]]] = defaultdict(list)
    for at, target in _writes(targets, changed, look):
        found[target.shape.path(at)].append((at, target))
    for path, writes in sorted(found.items(), key=lambda one: (one[1][0][0], one[0])):
        writers = {target.side.planned.name for _, target in writes}
        if len(writers) > 1 and writers & changed:
            at, last = max(writes, key=lambda one: (one[0], one[1].side.planned.name))
            yield SameFile(
                schedules=sorted(writers),
                path=path,
                at=last.side.moment(at),
                if_exists=sorted({target.spec.if_exists for _, target in writes}),
            )
            return


def _writes(
    targets: Sequence[_Target], changed: set[str], look: Look
) -> Iterator[tuple[datetime, _Target]]:
    """When each is due; where that is in its name, only when a changed one is, too."""
    every = [
        (list(islice(target.side.clock.iter(look.now, look.until), _RUNS)), target)
        for target in targets
    ]
    moved = {at for due, one in every if one.side.planned.name in changed for at in due}
    for due, target in every:
        for at in due:
            if at in moved or not target.shape.is_of_an_instant:
                yield at, target
