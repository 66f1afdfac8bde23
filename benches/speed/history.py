"""What a ledger of many runs answers, beside a look-up of one row by its key.

`python -m benches.speed.history LEDGER COUNT` measures one that is made already.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING

from benches import pages
from benches.speed.measure import Goal, Part, run, spread, tell

if TYPE_CHECKING:
    from boe_reconciler.core.ports import Ledger

SCHEDULES = 1_000
#: Rounds at least: the ledger is there.
_TURNS = 5
#: Asked so often in one round, each time for another schedule.
TIMES = 400
_LAST, _NEWEST, _RUN = "last 50 runs of a schedule", "newest run of each", "one run"
_BARE = "bare look-up"
#: 2020-01-01, and an hour, in microseconds.
_START, _HOUR = 1_577_836_800_000_000, 3_600_000_000
# As life writes them: hour by hour, one run of each schedule. One in twenty fails.
_RUNS = """
WITH RECURSIVE hours (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM hours WHERE n + 1 < :hours),
times AS (
    SELECT :start + n * :hour AS at,
        strftime('.%Y%m%dT%H%M%SZ', (:start + n * :hour) / 1000000, 'unixepoch') AS id, n
    FROM hours
)
INSERT INTO runs (run_id, schedule, schedule_uid, occurrence, "trigger", status, reason,
    message, attempts, max_attempts, not_before, expires_reason, overlap, options, whole,
    cancel_requested, fence, started_at, finished_at, rows, lost, reopened, parameters,
    revision, spec_digest, tzdb, created_at, connection)
SELECT name || id, name, uid, at, 'schedule',
    CASE WHEN failed THEN 'failed' ELSE 'succeeded' END,
    CASE WHEN failed THEN 'query_failed' ELSE '' END,
    CASE WHEN failed THEN 'Table orders does not exist.' ELSE '' END,
    1, 4, at, '', 'skip', '{}', 1, 0, 1, at + 100000, at + 900000, 1000, 0, 0,
    '{"date":"2026-11-24"}', 'main@sha1:' || hex(zeroblob(20)), spec_digest, '2026b', at, 'flights'
FROM (
    SELECT *, (n + schedules.rowid) % 20 = 0 AS failed FROM times CROSS JOIN schedules
)
"""
_REST = (
    """
INSERT INTO attempts SELECT run_id, 1, 1, 'host:1', status, reason, message, started_at,
    finished_at FROM runs ORDER BY rowid
""",
    """
INSERT INTO artifacts (run_id, part, name, media_type, bytes, sha256, rows, rows_digest,
    "key", "values", format, preview, place)
SELECT run_id, '-', schedule || '.xlsx', 'application/xlsx', 40000,
    lower(hex(randomblob(32))), 1000, lower(hex(randomblob(32))), '-', '{}', 'xlsx', '', 0
FROM runs WHERE status = 'succeeded' ORDER BY rowid
""",
    """
INSERT INTO deliveries (run_id, part, destination, recipient, copy, type, status, attempts,
    reason, message, receipt, remote, intent, first_attempt_at, at, role, notice, resent,
    linked, place)
SELECT run_id, '-', 'local', '', 0, 'local', 'accepted', 1, '', '', NULL,
    'exports/' || run_id || '.xlsx', '{"name":"' || run_id || '.xlsx"}', finished_at,
    finished_at, '', '', 0, 0, 0
FROM runs WHERE status = 'succeeded' ORDER BY rowid
""",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """At one ledger, round by round."""

    #: What was asked -> the median and the 99th percentile, in seconds.
    found: list[dict[str, tuple[float, float]]]
    #: Of the ledger: bytes, and seconds to make it.
    size: int
    made: float


def looked(folder: Path, count: int, rounds: int) -> Looked:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "ledger.sqlite"
        tell(f"  a ledger of {count:,} runs: making it")
        made = run(sys.executable, "-m", "benches.speed.history", path, str(count))
        asked = (sys.executable, "-m", "benches.speed.history", path)
        tell(f"  a ledger of {count:,} runs: asking it")
        found = [json.loads(run(*asked).said) for _ in range(rounds)]
        return Looked(found=found, size=path.stat().st_size, made=made.wall)


def measured(folder: Path, count: int, rounds: int) -> Part:
    seen = looked(folder, count, max(_TURNS, rounds))
    found = seen.found
    ratios = {
        what: [one[what][1] / one[_BARE][1] for one in found] for what in found[0]
    }
    lines = [
        (
            what,
            *(
                f"{1e6 * statistics.median(one[what][at] for one in found):,.0f}"
                for at in (0, 1)
            ),
            spread(ratios[what]),
        )
        for what in found[0]
    ]
    head = ("asked", "median, µs", "p99, µs", "p99 to that of a bare look-up")
    text = (
        f"### A ledger of {count:,} runs of {SCHEDULES:,} schedules\n\n"
        f"{pages.table(head, lines)}\n\n"
        f"{seen.size / 1e6:,.0f} MB, made in {seen.made:.0f} s. A bare look-up reads one run by its\n"
        "id, in Python's sqlite3. Seconds are those of the processor. The newest runs\n"
        "of all schedules are asked for at once, and told for each.\n"
    )
    goals = [
        Goal(
            what=f"{what}, of {count:,}: p99 to that of a bare look-up",
            ratios=ratios[what],
            at_most=20,
        )
        for what in (_LAST, _NEWEST)
    ]
    return Part(text=text, goals=goals)


def make(path: Path, count: int) -> None:
    """A ledger with so many runs, by its own schema."""
    from benches.dispatch import START, activation
    from boe_reconciler.ledgers import sqlite

    ledger = sqlite.create(path)
    ledger.activate(activation(SCHEDULES), now=START)
    ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        for setting in ("synchronous = OFF", "cache_size = -400000"):
            connection.execute(f"PRAGMA {setting}")
        given = {"hours": max(1, count // SCHEDULES), "start": _START, "hour": _HOUR}
        connection.execute(_RUNS, given)
        for statement in _REST:
            connection.execute(statement)
        connection.commit()


def ask(path: Path) -> dict[str, tuple[float, float]]:
    """Median and 99th percentile of seconds of the processor, by what was asked."""
    from boe_reconciler.ledgers import sqlite

    gc.disable()  # as in a command

    ledger = sqlite.create(path)
    with closing(sqlite3.connect(path)) as bare:
        (rows,) = bare.execute("SELECT max(rowid) FROM runs").fetchone()
        draw = random.Random(7)  # which runs are asked for
        drawn = [draw.randrange(rows) + 1 for _ in range(TIMES)]
        named = "SELECT run_id, schedule FROM runs WHERE rowid = ?"
        known = [bare.execute(named, (one,)).fetchone() for one in drawn]
        took: dict[str, list[float]] = {}
        for run_id, schedule in known:
            for what, act, parts in _ways(ledger, bare, run_id, schedule):
                start = process_time()
                act()
                took.setdefault(what, []).append((process_time() - start) / parts)
    ledger.close()
    return {
        what: (statistics.median(each), statistics.quantiles(each, n=100)[98])
        for what, each in took.items()
    }


def _ways(
    ledger: Ledger, bare: sqlite3.Connection, run_id: str, schedule: str
) -> list[tuple[str, Callable[[], object], int]]:
    """What is asked, how, and of how many schedules."""
    by_id = "SELECT * FROM runs WHERE run_id = ?"
    return [
        (_BARE, lambda: bare.execute(by_id, (run_id,)).fetchall(), 1),
        (_RUN, lambda: ledger.run(run_id), 1),
        (_LAST, lambda: ledger.runs(schedule=schedule, limit=50), 1),
        (_NEWEST, ledger.states, SCHEDULES),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ledger", type=Path)
    parser.add_argument("count", type=int, nargs="?", help="make it, of so many runs")
    given = parser.parse_args()
    if given.count is not None:
        make(given.ledger, given.count)
    else:
        sys.stdout.write(f"{json.dumps(ask(given.ledger))}\n")


if __name__ == "__main__":
    main()
