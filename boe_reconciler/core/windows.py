"""Windows of time, {cron, duration, timezone}: a Connection's blackouts, and the times at
which changes may be activated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from boe_reconciler.core.calendar import Timetable, compile_when
from boe_reconciler.core.calendar.timetable import Fixed
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.connection import TimeWindow
from boe_reconciler.core.resources.others import PolicySpec
from boe_reconciler.core.resources.when import When
from boe_reconciler.core.wording import both

_INSTANT = timedelta(microseconds=1)
_SECOND = timedelta(seconds=1)
#: Windows that follow each other without a break, at most, as one.
_MERGED = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """When something may happen, and the zone of whoever wrote that down."""

    at: datetime
    timezone: str

    def __str__(self) -> str:
        return both(self.at, self.timezone)


def closes(windows: Sequence[TimeWindow], now: datetime) -> datetime | None:
    """When the window that is open now closes; None: none is open.

    Windows that overlap or touch are one. Of windows that never stop to touch it is
    the end of the first hundred: who asks again then is told of the next.
    """
    end = now
    for _ in range(_MERGED if windows else 0):
        longer = max(_end(window, end) for window in windows)
        if longer <= end:
            break
        end = longer
    return end if end > now else None


def next_window(policy: PolicySpec, now: datetime) -> Opening | None:
    """When a change may be activated: `now`, or when the next window opens.

    None: no window ever opens.
    """
    windows = change_windows(policy)
    if not windows or closes(windows, now):
        return Opening(
            at=now, timezone=windows[0].timezone or "UTC" if windows else "UTC"
        )
    found = [
        Opening(at=at, timezone=window.timezone or "UTC")
        for window in windows
        if (at := opens(window, now))
    ]
    return min(found, key=lambda one: one.at, default=None)


def odd_windows(windows: Sequence[TimeWindow], now: datetime) -> Iterator[Finding]:
    """Of windows that are valid, those that say nothing, or twice the same."""
    for number, window in enumerate(windows):
        first = opens(window, now)
        again = opens(window, first) if first else None
        if first and again and first + window.duration > again:
            yield _odd(
                (number, "duration"),
                f"it opens again at {Opening(at=again, timezone=window.timezone or 'UTC')}, "
                f"before the window of {first:%H:%M} UTC closes",
                "shorten the duration, or let it open less often",
            )
    end = closes(windows, now)
    if end and closes(windows, end):
        what = "together these windows never close: changes never wait"
        yield _odd((), what, "leave change_windows out, or shorten one")


def _odd(path: Path, detail: str, todo: str) -> Finding:
    return Finding(
        code="BOE155", path=path, detail=detail, help=todo, severity="warning"
    )


def change_windows(policy: PolicySpec) -> list[TimeWindow]:
    """Of a Policy that is valid; each with its zone."""
    return zoned(policy.change_windows, policy.defaults.get("timezone"))


def zoned(windows: Iterable[TimeWindow], default: str | None) -> list[TimeWindow]:
    return [
        window.model_copy(update={"timezone": window.timezone or default or "UTC"})
        for window in windows
    ]


def opens(window: TimeWindow, after: datetime) -> datetime | None:
    """When it opens next; None: never."""
    return openings(window).next(after)


def _end(window: TimeWindow, at: datetime) -> datetime:
    """When the window that last opened up to `at` closes."""
    opened = openings(window).previous(at + _INSTANT)
    return at if opened is None else opened + window.duration


@lru_cache(maxsize=1_000)
def openings(window: TimeWindow) -> Timetable:
    """A cron that never fires never opens it: that was told when it was planned."""
    when = When(cron=window.cron, timezone=window.timezone)
    compiled = compile_when(when, default_timezone="UTC", min_interval=_SECOND)
    return compiled.timetable or Timetable(timezone="UTC", stream=Fixed(instants=()))
