"""The named moments at which a process may die, and the trap that waits at one of them.

Product code knows nothing of this: a trap replaces a function by its name with one
that acts before it, after it, or in the middle of it. A name that is not there any
more is an error, so that no point can silently vanish from the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, BinaryIO
from unittest.mock import patch

LEDGER = "boe_reconciler.ledgers._ledger:StoredLedger."
LOCAL = "boe_reconciler.destinations.local:"
BLOBS = "boe_reconciler.blobs.folder:"
EXPORT = "boe_reconciler.engine.export:"

#: Each verb of the ledger -> the function that is its transaction. A death after that
#: function is one inside a transaction that was never committed.
VERBS = {
    "activate": "boe_reconciler.ledgers._activate:activate",
    "tick": "boe_reconciler.ledgers._time:materialise",
    "claim": "boe_reconciler.ledgers._claims:claim",
    "begin": "boe_reconciler.ledgers._work:begin_attempt",
    "commit": "boe_reconciler.ledgers._work:commit_artifacts",
    "intend": "boe_reconciler.ledgers._work:intend",
    "settle": "boe_reconciler.ledgers._work:settle",
    "wait": "boe_reconciler.ledgers._work:wait",
    "finish": "boe_reconciler.ledgers._work:finish",
}
_METHODS = {
    "tick": "materialise",
    "begin": "begin_attempt",
    "commit": "commit_artifacts",
}


def _of_verb(verb: str, transaction: str) -> dict[str, tuple[str, str]]:
    method = f"{LEDGER}{_METHODS.get(verb, verb)}"
    return {
        f"{verb}, before": (method, "before"),
        f"{verb}, inside": (transaction, "after"),
        f"{verb}, after": (method, "after"),
    }


#: Name of a point -> (the function, where in it).
POINTS: dict[str, tuple[str, str]] = {
    **{
        point: place
        for verb, transaction in VERBS.items()
        for point, place in _of_verb(verb, transaction).items()
    },
    "export, before": ("boe_reconciler.engine.runner:export", "before"),
    "export, file begun": ("boe_reconciler.engine.packing:_compressed", "half"),
    "export, file finished": (f"{EXPORT}_size", "before"),
    "export, after": ("boe_reconciler.engine.runner:export", "after"),
    "adopt, before": (f"{BLOBS}FolderBlobs.adopt", "before"),
    "adopt, inside": (f"{BLOBS}_sync", "before"),
    "adopt, after": (f"{BLOBS}FolderBlobs.adopt", "after"),
    "deliver, before": (f"{LOCAL}LocalDestination._deliver", "before"),
    "deliver, temporary begun": (f"{LOCAL}_write_all", "half"),
    "deliver, temporary written": (f"{LOCAL}_fill", "after"),
    "deliver, before the final name": (f"{LOCAL}_Folder.link", "before"),
    "deliver, under the final name": (f"{LOCAL}_Folder.link", "after"),
    "deliver, before the marker": (f"{LOCAL}_finish", "before"),
    "deliver, temporary removed": (f"{LOCAL}_Folder.remove", "after"),
    "deliver, folder synced": (f"{LOCAL}_finish", "after"),
    "deliver, after": (f"{LOCAL}LocalDestination._deliver", "after"),
}

#: Met only by a process that takes over what another left, that drains, that sweeps, that
#: serves a branch of git, whose mail links to a file, or whose files wait for a release.
OTHERS = {
    **_of_verb("await_release", "boe_reconciler.ledgers._holds:await_release"),
    **_of_verb("owe", "boe_reconciler.ledgers._work:owe"),
    **_of_verb("expire", "boe_reconciler.ledgers._claims:expire"),
    **_of_verb("give_back", "boe_reconciler.ledgers._claims:give_back"),
    **_of_verb("sweep", "boe_reconciler.ledgers._sweep:sweep_runs"),
    "ask, after": ("boe_reconciler.repos.git.mirror:Mirror.ask_head", "after"),
    "fetch, before": ("boe_reconciler.repos.git.mirror:Mirror.fetch", "before"),
    "fetch, after": ("boe_reconciler.repos.git.mirror:Mirror.fetch", "after"),
    "read, inside": ("boe_reconciler.repos.git.reading:Reader._learn", "before"),
    "read, after": ("boe_reconciler.repos.git.reading:Reader.read", "after"),
    "validate, inside": ("boe_reconciler.core.plan:judge_revision", "after"),
    "validate, after": ("boe_reconciler.engine.reconciler:make_plan", "after"),
    "serve, rows written": (
        "boe_reconciler.ledgers.sqlite.schedules:Schedules.put_served",
        "before",
    ),
    "sweep, before a file goes": (f"{BLOBS}FolderBlobs.remove_older", "before"),
    "sweep, after a file went": (f"{BLOBS}FolderBlobs.remove_older", "after"),
}

#: What happens at the point. It may not come back.
Act = Callable[[], None]


@contextmanager
def trap(point: str, act: Act) -> Iterator[None]:
    """Within it, `act` is called the first time that the point is reached."""
    target, where = {**POINTS, **OTHERS}[point]
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    once = _once(act)
    made = {"before": _before, "after": _after, "half": _half}[where]
    with patch.object(owner, name, made(getattr(owner, name), once)):
        yield


def _once(act: Act) -> Act:
    left = [act]

    def first() -> None:
        with suppress(IndexError):
            left.pop()()

    return first


def _before(real: Any, act: Act) -> Any:
    @wraps(real)
    def trapped(*given: Any, **named: Any) -> Any:
        act()
        return real(*given, **named)

    return trapped


def _after(real: Any, act: Act) -> Any:
    @wraps(real)
    def trapped(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        act()
        return found

    return trapped


def _half(real: Any, act: Act) -> Any:
    """Half of the bytes are written, then it happens, then the rest follows."""
    if real.__name__ == "_write_all":
        return lambda target, chunk: _in_halves(target.write, chunk, act)

    @contextmanager
    def trapped(job: Any, raw: BinaryIO, name: str) -> Iterator[Any]:
        with real(job, raw, name) as target:
            yield _Halves(target, act)

    return trapped


class _Halves:
    def __init__(self, target: BinaryIO, act: Act) -> None:
        self._target = target
        self._act = act

    def write(self, data: bytes) -> int:
        _in_halves(self._write_through, bytes(data), self._act)
        return len(data)

    def _write_through(self, data: bytes) -> None:
        self._target.write(data)
        self._target.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


def _in_halves(write: Callable[[bytes], Any], data: bytes, act: Act) -> None:
    middle = len(data) // 2
    write(data[:middle])
    act()
    write(data[middle:])
