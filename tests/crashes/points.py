"""The named moments at which a process may die, and the trap that waits at one of them.

Product code knows nothing of this: a trap replaces a function by its name with one
that acts before it, after it, or in the middle of it. A name that is not there any
more is an error, so that no point can silently vanish from the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from itertools import count
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
    "commit": "boe_reconciler.ledgers._work:commit_artifacts",
    "intend": "boe_reconciler.ledgers._work:intend",
    "settle": "boe_reconciler.ledgers._work:settle",
    "wait": "boe_reconciler.ledgers._work:wait",
}
_METHODS = {"tick": "materialise", "commit": "commit_artifacts"}


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
    # The attempt begins in the transaction of the claim, and the run ends in that of its
    # last delivery.
    "begin, before": ("boe_reconciler.ledgers._work:begin", "before"),
    "begin, inside": ("boe_reconciler.ledgers._work:begin", "after"),
    "end, before": ("boe_reconciler.ledgers._work:_end", "before"),
    "end, inside": ("boe_reconciler.ledgers._work:_end", "after"),
    "export, before": ("boe_reconciler.engine.runner:export", "before"),
    "export, file begun": ("boe_reconciler.engine.packing:_compressed", "half"),
    "export, file finished": (f"{EXPORT}_size", "before"),
    "export, after": ("boe_reconciler.engine.runner:export", "after"),
    "adopt, before": (f"{BLOBS}FolderBlobs._store", "before"),
    "adopt, inside": (f"{BLOBS}_sync", "before"),
    "adopt, after": (f"{BLOBS}FolderBlobs._store", "after"),
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
#: serves a branch of git, whose mail links to a file, whose files wait for a release, or
#: whose run has parameters, or ends otherwise than with a delivery.
OTHERS = {
    **_of_verb("begin_attempt", "boe_reconciler.ledgers._work:begin_attempt"),
    **_of_verb("finish", "boe_reconciler.ledgers._work:finish"),
    **_of_verb("await_release", "boe_reconciler.ledgers._holds:await_release"),
    **_of_verb("switch_off", "boe_reconciler.ledgers._holds:switch_off"),
    **_of_verb("owe", "boe_reconciler.ledgers._work:owe"),
    **_of_verb("hear", "boe_reconciler.ledgers._news:hear"),
    "bounce, put away": ("boe_reconciler.bounces.maildir:Maildir.put_away", "after"),
    **_of_verb("expire", "boe_reconciler.ledgers._claims:expire"),
    **_of_verb("give_back", "boe_reconciler.ledgers._claims:give_back"),
    **_of_verb("sweep", "boe_reconciler.ledgers._sweep:sweep_runs"),
    "ask, after": ("boe_reconciler.repos.git.mirror:Mirror.ask_head", "after"),
    "fetch, before": ("boe_reconciler.repos.git.mirror:Mirror.fetch", "before"),
    "fetch, after": ("boe_reconciler.repos.git.mirror:Mirror.fetch", "after"),
    "read, inside": ("boe_reconciler.repos.git.reading:Reader._learn", "before"),
    "read, after": ("boe_reconciler.repos.git.reading:Reader.read", "after"),
    "validate, inside": ("boe_reconciler.core.plan.looking:judge_revision", "after"),
    "validate, after": ("boe_reconciler.engine.reconciler:make_plan", "after"),
    "serve, rows written": (
        "boe_reconciler.ledgers.sqlite.schedules:Schedules.put_served",
        "before",
    ),
    "sweep, before a file goes": (f"{BLOBS}FolderBlobs.remove_older", "before"),
    "sweep, after a file went": (f"{BLOBS}FolderBlobs.remove_older", "after"),
}

SMTP = "boe_reconciler.destinations._smtp:SmtpChannel."
EMAIL = "boe_reconciler.destinations.email:EmailDestination."
S3 = "boe_reconciler.destinations.s3:"
SSH = "boe_reconciler.destinations._ssh:"
SFTP = "boe_reconciler.destinations.sftp:_Act."
WEBHOOK = "boe_reconciler.destinations.webhook:"
REQUEST = "botocore.httpsession:URLLib3Session.send"

#: What a delivery to a server does on its way.
ON_THE_WIRE: dict[str, tuple[str, str]] = {
    "mail, before the session": (f"{SMTP}_connect", "before"),
    "mail, in the session": (f"{SMTP}_connect", "after"),
    "mail, before its envelope": (f"{SMTP}_envelope", "before"),
    "mail, after its envelope": (f"{SMTP}_content", "before"),
    "mail, half of its content": (f"{SMTP}_pour", "half"),
    "mail, all but the dot": (f"{EMAIL}_begin", "before"),
    "mail, begun": (f"{EMAIL}_begin", "after"),
    "mail, after the dot": ("aiosmtplib.protocol:SMTPProtocol.write", "dot"),
    "mail, answer read": (f"{SMTP}_end", "after"),
    "mail, before the farewell": (f"{SMTP}_leave", "before"),
    "s3, before the write": (f"{S3}S3Store.write", "before"),
    "s3, begun": (f"{S3}_condition", "after"),
    "s3, before a request": (REQUEST, "before"),
    "s3, request sent": ("http.client:HTTPConnection.getresponse", "before"),
    "s3, after a request": (REQUEST, "after"),
    "s3, answer read": (f"{S3}S3Store.write", "after"),
    "sftp, before the session": (f"{SSH}connect", "before"),
    "sftp, in the session": (f"{SSH}connect", "after"),
    "sftp, before a file": (f"{SSH}Session.write", "before"),
    "sftp, file begun": (f"{SSH}Session._open", "after"),
    "sftp, file written": (f"{SSH}Session.write", "after"),
    "sftp, before the rename": (f"{SSH}Session.rename", "before"),
    "sftp, after the rename": (f"{SSH}Session.rename", "after"),
    "sftp, before the marker": (f"{SFTP}_mark", "before"),
    "sftp, after the marker": (f"{SFTP}_mark", "after"),
    "webhook, before the request": (f"{WEBHOOK}_Line._post", "before"),
    "webhook, half of the request": (f"{WEBHOOK}_Line._pieces", "second"),
    "webhook, request sent": (f"{WEBHOOK}_Line._pieces", "end"),
    "webhook, answered": (f"{WEBHOOK}_Line._read", "before"),
    "webhook, answer read": (f"{WEBHOOK}_Line._post", "after"),
}

#: What happens at the point. It may not come back.
Act = Callable[[], None]


@contextmanager
def trap(point: str, act: Act, nth: int = 1) -> Iterator[None]:
    """Within it, `act` is called the nth time that the point is reached."""
    reached = count(1)

    def arrive() -> None:
        if next(reached) == nth:
            act()

    with watch(point, arrive):
        yield


@contextmanager
def watch(point: str, act: Act) -> Iterator[None]:
    """Within it, `act` is called each time that the point is reached."""
    target, where = {**POINTS, **OTHERS, **ON_THE_WIRE}[point]
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    with patch.object(owner, name, _MADE[where](getattr(owner, name), act)):
        yield


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
    if iscoroutinefunction(real):
        return _poured_in_halves(real, act)
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


def _poured_in_halves(real: Any, act: Act) -> Any:
    async def trapped(self: Any, data: bytes) -> None:
        middle = len(data) // 2
        await real(self, data[:middle])
        act()
        await real(self, data[middle:])

    return trapped


def _dot(real: Any, act: Act) -> Any:
    """The final dot of a mail has left, and nobody has read what is answered."""

    def trapped(self: Any, data: bytes) -> None:
        real(self, data)
        if data == b".\r\n":
            act()

    return trapped


def _second(real: Any, act: Act) -> Any:
    def trapped(*given: Any) -> Iterator[Any]:
        for number, piece in enumerate(real(*given)):
            if number == 1:
                act()
            yield piece

    return trapped


def _end(real: Any, act: Act) -> Any:
    def trapped(*given: Any) -> Iterator[Any]:
        yield from real(*given)
        act()

    return trapped


#: How a function is replaced, by where in it something happens.
_MADE = {
    "before": _before,
    "after": _after,
    "half": _half,
    "dot": _dot,
    "second": _second,
    "end": _end,
}
