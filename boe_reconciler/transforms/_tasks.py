"""What a child is asked to do, and how both sides speak over its line.

The parent's words are pickled: it is trusted. The child's answer is JSON: whatever ran
there may have written it. Rows are Arrow IPC streams; many travel apart from both.
"""

from __future__ import annotations

import json
import pickle
import socket
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from boe_reconciler.core.errors import Permanent, RunError, Temporary

if TYPE_CHECKING:
    import pyarrow as pa

    from boe_reconciler.core.ports import Code, FormatOptions
    from boe_reconciler.core.resources.connection import ConnectionSpec
    from boe_reconciler.core.resources.report import Column

_HEADER = struct.Struct("!I")
#: Lengths of an answer, and of the file that comes with it.
_FILE = struct.Struct("!IQ")
#: An answer is a few sentences; a longer one is none.
_LONGEST_ANSWER = 256 * 1024
#: Characters of a message.
_LONGEST_TOLD = 4000
#: What a child writes in its folder: a format's file, a transform's rows.
OUTPUT = "output"
#: What ends the work of a child that is kept: a thread does not have it, or tells it better.
ENDS = frozenset(["out_of_memory", "internal"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Run a query; the rows go out through the pipe."""

    #: Of the source, such as `boe_reconciler.sources.duckdb`.
    module: str
    connection: ConnectionSpec
    data_root: Path
    memory_limit: str
    query: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """A table; its rows are with it, or with the child, or come in through the pipe."""

    name: str
    #: Its rows as an Arrow stream. None: one comes, with the schema; a child that is kept
    #: has them of its last Query.
    stream: bytes | None
    #: None: whoever has the rows knows it.
    schema: pa.Schema | None
    columns: Mapping[str, Column]
    fill: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """Write a file of one sheet after the other: to OUTPUT, or for the answer of `Files`."""

    module: str
    sheets: Sequence[Sheet]
    options: FormatOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """Write one small file after the other, and read for them: whatever is asked for."""

    #: What a Query reads lies below it.
    data_root: Path


class Send:
    """Send the rows that the last Query left here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transform:
    """Call a function with the rows that come in; what it returns goes to OUTPUT."""

    code: Code
    sheet: str


Task = Query | File | Files | Transform
#: What `ask` asks for.
Wish = Query | File | Send


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A task, and where and how it is done."""

    task: Task
    #: The working folder, and the only one that may be written to.
    folder: Path
    #: Bytes of memory beyond what the libraries take.
    memory: int


# --- The parent speaks, the child listens ---------------------------------------


def send_order(line: socket.socket, order: Order, fds: Sequence[int]) -> None:
    """`fds`: the child's console, and the pipe of its rows."""
    content = pickle.dumps(order)
    socket.send_fds(line, [_HEADER.pack(len(content))], list(fds))
    line.sendall(content)


def receive_order(line: socket.socket) -> tuple[Order, list[int]]:
    header, fds, *_ = socket.recv_fds(line, _HEADER.size, 2)
    (length,) = _HEADER.unpack(header)
    with line.makefile("rb") as file:
        order: Order = pickle.loads(file.read(length))  # noqa: S301 the parent's own words
    return order, fds


def ask(rows: IO[bytes], wish: Wish) -> None:
    """Of a child that does Files."""
    content = pickle.dumps(wish)
    rows.write(_HEADER.pack(len(content)) + content)
    rows.flush()


def asked(rows: IO[bytes]) -> Wish | None:
    """None when nothing is wanted any more."""
    header = rows.read(_HEADER.size)
    if not header:
        return None
    (length,) = _HEADER.unpack(header)
    wish: Wish = pickle.loads(rows.read(length))  # noqa: S301 the parent's own words
    return wish


# --- The child answers ----------------------------------------------------------


def send_answer(line: socket.socket, answer: Mapping[str, Any]) -> None:
    line.sendall(json.dumps(answer).encode())


def send_reply(
    line: socket.socket, answer: Mapping[str, Any], made: bytes | memoryview
) -> None:
    """What became of a wish, and the bytes of its file or rows. A child that waits for the
    first one sends nothing in nothing. With "more" in it another one follows."""
    told = json.dumps(answer).encode()
    line.sendall(_FILE.pack(len(told), len(made)) + told)
    line.sendall(made)


def receive_reply(replies: IO[bytes]) -> tuple[Mapping[str, Any], bytes] | None:
    """None: the child has ended. `replies`: its line as a file, the same each time."""
    with suppress(ConnectionError):
        header = replies.read(_FILE.size)
        if len(header) == _FILE.size:
            told, size = _FILE.unpack(header)
            answer, made = replies.read(told), replies.read(size)
            if len(made) == size:
                return json.loads(answer), made
    return None


def as_answer(error: RunError) -> dict[str, Any]:
    return {
        "temporary": isinstance(error, Temporary),
        "reason": error.reason,
        "message": _short(error.message),
        "help": error.help,
    }


def _short(said: object) -> str:
    """The beginning, as text: a function may raise all of its rows, and bytes that are none."""
    text = str(said).encode(errors="backslashreplace").decode()
    return text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]} …"


def receive_answer(line: socket.socket) -> dict[str, Any] | None:
    """What the child said before it ended; None: nothing that can be understood."""
    said = b""
    # It may have ended without reading all that it was told.
    with suppress(ConnectionError):
        while len(said) <= _LONGEST_ANSWER and (more := line.recv(65536)):
            said += more
    try:
        answer = json.loads(said)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def raise_answer(answer: Mapping[str, Any]) -> None:
    """Raise the error that an answer tells of, if it does."""
    if "reason" in answer:
        kind = Temporary if answer.get("temporary") else Permanent
        words = (_short(answer.get(key, "")) for key in ("reason", "message", "help"))
        raise kind(*words)
