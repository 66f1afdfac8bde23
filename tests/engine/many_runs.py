"""Serve many runs in one process and print its memory: `python -m tests.engine.many_runs`."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from tests.engine.serving import Serving, at

#: Occurrences between two looks at the memory: each second ten schedules are due.
LOOK = 20


def resident() -> int:
    """Bytes of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def main(folder: str, seconds: str) -> None:
    serving = Serving(Path(folder), at("05:00:00"))
    for second in range(1, int(seconds) + 1):
        serving.clock.move(1)
        serving.work()
        if second % LOOK == 0:
            gc.collect()
            sys.stdout.write(f"{resident()}\n")
            sys.stdout.flush()
    serving.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
