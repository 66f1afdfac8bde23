"""Schedules that write a file of the same name into the same folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

from boe_reconciler.core import names
from boe_reconciler.core.calendar import period_of
from boe_reconciler.core.plan.impact.pairs import Look, Moment, Side
from boe_reconciler.core.resources.distribution import LocalDestination
from boe_reconciler.core.run_ids import run_id

#: Runs of a Schedule whose files are compared.
_RUNS = 40


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
class _Target:
    """One file of each run of a Schedule."""

    side: Side
    spec: LocalDestination
    extension: str

    def path(self, occurrence: datetime, run: str) -> str:
        planned = self.side.planned.spec
        zone = ZoneInfo(planned.timezone)
        period = planned.period and period_of(planned.period, occurrence, zone).label
        values = names.NameValues(
            report=planned.report_title,
            schedule=planned.schedule,
            occurrence=occurrence,
            timezone=zone,
            run_id=run,
            extension=self.extension,
            period=period or "",
        )
        export = planned.export
        pattern = self.spec.filename_pattern or export.filename_pattern
        name = names.file_name(pattern or names.DEFAULT_PATTERN, values)
        folder = PurePosixPath(self.spec.base_path)
        if self.spec.create_subdirs:
            folder /= names.dated_folder(occurrence, zone)
        return str(folder / names.compressed(name, export.compress))


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
            found[target.path(look.now, "")].append(target)
    for path in sorted(found):
        yield found[path]


def _targets(side: Side) -> Iterator[_Target]:
    if side.planned.paused:
        return
    formats = side.planned.spec.export.format
    for destination in side.planned.spec.destinations:
        if isinstance(destination.spec, LocalDestination):
            for name in formats if isinstance(formats, list) else [formats]:
                yield _Target(side=side, spec=destination.spec, extension=name)


def _first(
    targets: Sequence[_Target], changed: set[str], look: Look
) -> Iterator[SameFile]:
    """The first path that several of them write, a changed one among them."""
    found: dict[str, list[tuple[datetime, _Target]]] = defaultdict(list)
    for target in targets:
        name = target.side.planned.name
        for at in islice(target.side.clock.iter(look.now, look.until), _RUNS):
            found[target.path(at, run_id(name, at))].append((at, target))
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
