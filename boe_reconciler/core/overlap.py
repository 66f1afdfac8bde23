"""Which of the runs that may start do start, and what becomes of the others (R7).

Two gates: the schedule's overlap, and the room that the source Connection has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from boe_reconciler.core.limits import Left

#: A run that was asked to make way and did not is cut off after this long.
MAKE_WAY = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A run whose time has come."""

    run_id: str
    schedule_uid: str
    not_before: datetime
    occurrence: datetime
    overlap: str
    max_concurrent: int | None
    #: Owed by the schedule and not begun yet; all others wait instead of being skipped.
    skippable: bool
    #: The Connection it has yet to read from.
    connection: str | None = None


@dataclass(kw_only=True, slots=True)
class Decision:
    start: list[str] = field(default_factory=list)
    #: They become `skipped`, reason overlap.
    skip: list[str] = field(default_factory=list)
    #: Schedules whose running runs are asked to make way.
    make_way: set[str] = field(default_factory=set)
    #: Schedules that can start nothing more just now.
    full: set[str] = field(default_factory=set)
    #: Schedules of which nothing that waits instead of being skipped can start just now.
    waiting: set[str] = field(default_factory=set)


#: Under these the newest takes the place of all that wait before it.
NEWEST_ONLY = ("buffer_one", "cancel_other")


def decide(
    candidates: Sequence[Candidate],
    running: Mapping[str, int],
    newest: Mapping[str, datetime],
    left: Left,
    limit: int,
) -> Decision:
    """Decide in the given order until `limit` runs start; the rest stays as it is.

    `running` counts the running runs of each schedule; `newest` is its newest
    skippable occurrence that may start, wherever that counts (`NEWEST_ONLY`).
    `left` is the room of Connections; what starts takes of it.
    """
    decision = Decision()
    now_running = Counter(running)
    for candidate in candidates:
        if len(decision.start) == limit:
            break
        uid = candidate.schedule_uid
        if _superseded(candidate, newest.get(uid), now_running[uid]):
            decision.skip.append(candidate.run_id)
        elif not _free(candidate, now_running[uid]):
            _hold_back(candidate, decision, left)
        elif left.take(candidate.connection):
            decision.start.append(candidate.run_id)
            now_running[uid] += 1
        else:
            decision.full.add(uid)
    return decision


def _superseded(candidate: Candidate, newest: datetime | None, running: int) -> bool:
    """Whether a newer one takes its place in the queue of one."""
    if not candidate.skippable or newest is None or newest <= candidate.occurrence:
        return False
    if candidate.overlap == "cancel_other":
        return True
    return candidate.overlap == "buffer_one" and running > 0


def _free(candidate: Candidate, running: int) -> bool:
    if candidate.overlap == "allow_all":
        return candidate.max_concurrent is None or running < candidate.max_concurrent
    return running == 0


def _hold_back(candidate: Candidate, decision: Decision, left: Left) -> None:
    if candidate.overlap == "skip" and candidate.skippable:
        decision.skip.append(candidate.run_id)
        return
    if not candidate.skippable:
        decision.waiting.add(candidate.schedule_uid)
    asks = candidate.overlap == "cancel_other" and candidate.skippable
    if asks and left.may_free(candidate.connection):
        decision.make_way.add(candidate.schedule_uid)
    if candidate.overlap in ("buffer_all", "allow_all"):
        decision.full.add(candidate.schedule_uid)
