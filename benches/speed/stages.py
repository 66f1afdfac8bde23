"""Where the time goes: a look at every thread each few milliseconds, told by parts of BOE.

`python -m benches.speed.stages JOURNEY ARGUMENT...` makes the journey and prints the counts.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

from benches import pages
from benches.speed import small, validating
from benches.speed.files import Files
from benches.speed.measure import ROOT, Part, run, tell

_RUN = ("run", "--once", "--now-all")
#: Seconds between two looks.
_PAUSE = 0.004
_OURS = f"{ROOT / 'boe_reconciler'}/"
#: Files in which a thread waits for another.
_WAITING = ("/threading.py", "/queue.py", "/selectors.py", "/futures/thread.py")
#: The first that fits says what a file of ours does.
_STAGES = {
    "core/language/": "reading YAML",
    "core/plan/": "judging",
    "core/calendar/": "times of runs",
    "core/": "the rest of core",
    "repos/": "repo",
    "sources/": "source",
    "formats/": "format",
    "ledgers/": "ledger",
    "blobs/": "store",
    "destinations/": "delivery",
    "engine/": "engine",
}
#: Where no file of ours is on the way, and where one is being loaded.
_ELSEWHERE, _LOADING = "the rest", "loading Python code"


def measured(files: Files, rows: int) -> Part:
    """A file of so many rows, a thousandth as many small exports, and as many files of YAML."""
    count = max(2, rows // 1_000)
    with tempfile.TemporaryDirectory(dir=files.folder) as name:
        exports, repo = Path(name) / "exports", Path(name) / "repo"
        for made in (exports, repo):
            made.mkdir()
        small.write(exports, files.database(small.ROWS), count)
        validating.write(repo, count)
        large = files.database(rows), files.file("boe", "xlsx")
        found = {
            what: _looked(what, *journey)
            for what, journey in {
                f"xlsx of {rows:,} rows": ("file", "boe-xlsx", *large),
                f"csv of {rows:,} rows": ("file", "boe-csv", *large),
                f"{count:,} small exports": ("boe", "-C", exports, *_RUN),
                f"`boe validate` of {count:,} files": ("boe", "-C", repo, "validate"),
            }.items()
        }
    shares = {
        stage: [counts[stage] / counts.total() for counts in found.values()]
        for stage in set().union(*found.values())
    }
    lines = [
        (stage, *(f"{100 * share:.0f}" if share else "" for share in shares[stage]))
        for stage in sorted(shares, key=lambda stage: -sum(shares[stage]))
    ]
    return Part(
        text="### Where the time goes\n\n"
        f"{pages.table(('percent of what threads did', *found), lines)}\n\n"
        "Counted by looking at all threads that are not waiting, 250 times a second; a\n"
        "library counts for the part of BOE that called it.\n"
    )


def _looked(what: str, *journey: str | Path) -> Counter[str]:
    tell(f"  where the time goes: {what}")
    said = run(sys.executable, "-m", "benches.speed.stages", *journey).said
    return Counter(json.loads(said.splitlines()[-1]))


# --- Looking --------------------------------------------------------------------------


def looking(journey: Callable[[], object]) -> Counter[str]:
    """What threads were seen at while it was made."""
    counts: Counter[str] = Counter()
    ended = threading.Event()

    def look() -> None:
        own = threading.get_ident()
        while not ended.wait(_PAUSE):
            for thread, frame in sys._current_frames().items():
                if thread != own and (stage := stage_of(_files(frame))):
                    counts[stage] += 1

    looker = threading.Thread(target=look)
    looker.start()
    try:
        journey()
    finally:
        ended.set()
        looker.join()
    return counts


def stage_of(files: Iterable[str]) -> str:
    """By the files on the way to where a thread is, the innermost first; empty: it waits."""
    found = ""
    for number, file in enumerate(files):
        if not number and file.endswith(_WAITING):
            return ""
        if file.startswith("<frozen importlib"):
            return _LOADING
        if not found and file.startswith(_OURS):
            place = file.removeprefix(_OURS)
            fits = (name for start, name in _STAGES.items() if place.startswith(start))
            found = next(fits, _ELSEWHERE)
    return found or _ELSEWHERE


def _files(frame: FrameType | None) -> Iterator[str]:
    while frame:
        yield frame.f_code.co_filename
        frame = frame.f_back


# --- Journeys -------------------------------------------------------------------------


def _file(way: str, database: str, file: str) -> None:
    from benches.speed import ways

    ways.WAYS[way](Path(database), False)(Path(file))


def _boe(*arguments: str) -> None:
    from boe_reconciler.cli import run as boe

    if code := boe(list(arguments)):
        sys.exit(code)


def main() -> None:
    journey = {"file": _file, "boe": _boe}[sys.argv[1]]
    counts = looking(lambda: journey(*sys.argv[2:]))
    sys.stdout.write(f"\n{json.dumps(counts)}\n")


if __name__ == "__main__":
    main()
