"""One child, from its fork to its end: hold it to its limits, do the task, answer."""

from __future__ import annotations

import importlib
import io
import os
import select
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar, cast

import pyarrow as pa

from boe_reconciler.core.errors import RunError
from boe_reconciler.core.ports import Never, Table
from boe_reconciler.transforms import _limits, _tasks
from boe_reconciler.transforms._tasks import (
    OUTPUT,
    File,
    Files,
    Order,
    Query,
    Send,
    Sheet,
    Transform,
)
from boe_reconciler.transforms.arrow import (
    SMALL,
    as_stream,
    in_pieces,
    keep_pandas_out,
    take_few,
)

if TYPE_CHECKING:
    from boe_reconciler.core.ports import Format, Source

#: Opens the rows of a table: a stream, or batches.
_Open = Callable[[], Iterable[pa.RecordBatch]]
Answer = TypeVar("Answer", Mapping[str, Any], Mapping[str, Any] | None)
#: Freed when memory runs out, so that there is some to say so.
_RESERVE = 1 << 20
_reserve: list[bytearray] = []
#: Where programs and libraries lie, besides the folders of Python itself.
_SYSTEM = "/usr /lib /lib64 /bin /sbin /opt /nix /etc /sys".split()
# Not the rest of /dev: in /dev/shm lie files of other programs.
_SYSTEM += "/dev/null /dev/zero /dev/full /dev/random /dev/urandom".split()
_SYSTEM += "/proc/self /proc/meminfo /proc/cpuinfo /proc/stat /proc/sys".split()


def run(line_fd: int, server: int) -> NoReturn:
    """What a fresh fork of the server does; it never returns into the server's loop."""
    try:
        _be_a_child(line_fd, server)
        line = socket.socket(fileno=line_fd)
        order, fds = _tasks.receive_order(line)
        console, pipe = fds
        _settle(order, console)
        threading.Thread(target=_end_with, args=(line,), daemon=True).start()
        if isinstance(order.task, Files):
            _keep(line, pipe)
        else:
            answer = _answer(order.task, pipe)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            _tasks.send_answer(line, answer)
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


# --- Becoming one -----------------------------------------------------------------


def _be_a_child(line: int, server: int) -> None:
    os.setpgid(0, 0)
    _limits.end_with_parent(server)
    _limits.be_the_first_to_go()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    # Whatever the server has open, other children's lines above all.
    os.closerange(3, line)
    os.closerange(line + 1, os.sysconf("SC_OPEN_MAX"))


def _settle(order: Order, console: int) -> None:
    for standard in (1, 2):
        os.dup2(console, standard)
    os.close(console)
    # Unbuffered: what it said before a crash is told.
    raw = io.FileIO(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(raw, "utf-8", "replace", write_through=True)
    os.chdir(order.folder)
    os.environ.update(HOME=str(order.folder), TMPDIR=str(order.folder))  # noqa: TID251 its own; nothing is read
    tempfile.tempdir = str(order.folder)
    readable, writable = _places(order.task)
    _limits.fence(readable, [order.folder, Path("/dev/null"), *writable])
    _limits.limit_memory(order.memory)


def _places(task: _tasks.Task) -> tuple[list[Path], list[Path]]:
    """What may be read and what may be written besides the working folder."""
    python = (sys.prefix, sys.base_prefix, *sys.path)
    readable = [Path(place) for place in (*_SYSTEM, *python)]
    if isinstance(task, Files):
        return [*readable, task.data_root], []
    if not isinstance(task, Query):
        return readable, []
    # A database may keep files of its own beside the one that is read.
    path = getattr(task.connection, "path", None)
    databases = [(task.data_root / path).resolve().parent] if path else []
    return [*readable, task.data_root], databases


def _end_with(line: socket.socket) -> None:
    """Nothing is said on the line any more: when it can be read, it was closed.

    Who waits in `recv` is woken by each reply that is taken off the line as well.
    """
    watch = select.poll()
    watch.register(line, select.POLLIN)
    watch.poll()
    os.kill(os.getpid(), signal.SIGKILL)


# --- The work ---------------------------------------------------------------------


def _answer(task: _tasks.Task, pipe: int) -> Mapping[str, Any]:
    mode = "wb" if isinstance(task, Query) else "rb"
    with cast(BinaryIO, os.fdopen(pipe, mode)) as rows:
        return _told(_WORK[type(task)], task, rows)


def _told(work: Callable[..., Answer], *given: object) -> Answer | Mapping[str, Any]:
    """What the work gives, or how it failed."""
    if not _reserve:  # it takes a while to make
        _reserve.append(bytearray(_RESERVE))
    try:
        return work(*given)
    except Exception as error:
        _reserve.clear()
        return _failed(error)


def _failed(error: Exception) -> Mapping[str, Any]:
    if _is_of_memory(error):
        return {"reason": "out_of_memory"}
    if isinstance(error, RunError):
        return _tasks.as_answer(error)
    text = f"BOE itself failed: {type(error).__name__}: {error}"
    return {"reason": "internal", "message": text}


def _is_of_memory(error: Exception) -> bool:
    if isinstance(error, RunError):
        return error.reason == "out_of_memory"
    # A thread that cannot start found no room for its stack.
    return isinstance(error, MemoryError) or str(error) == "can't start new thread"


class _NoSecrets:
    def resolve(self, _secret: object) -> str:
        raise AssertionError("a child has no secrets")


def _opened(task: Query) -> Source:
    made: Source = importlib.import_module(task.module).create(
        task.connection,
        secrets=_NoSecrets(),
        data_root=task.data_root,
        memory_limit=task.memory_limit,
    )
    return made


def _query(task: Query, rows: BinaryIO) -> Mapping[str, Any]:
    source = _opened(task)
    found = source.rows(task.query, task.parameters, Never())
    with pa.ipc.new_stream(rows, found.schema) as writer:
        for batch in found:
            writer.write_batch(batch)
    found.close()
    source.close()
    return {}


def _file(task: File, rows: BinaryIO) -> Mapping[str, Any]:
    with Path(OUTPUT).open("wb") as target:
        open_rows = partial(pa.ipc.open_stream, rows)
        return _write(
            task,
            [_table(sheet, sheet.schema, open_rows) for sheet in task.sheets],
            target,
        )


def _keep(line: socket.socket, pipe: int) -> None:
    keep_pandas_out()
    with cast(BinaryIO, os.fdopen(pipe, "rb")) as wishes:
        _Kept(line, wishes).serve()


class _Kept:
    """Grants one wish after the other; of a query it holds the rows if they are few."""

    def __init__(self, line: socket.socket, wishes: BinaryIO) -> None:
        self._line = line
        self._wishes = wishes
        #: Of Connections as they stand; each closes by itself what it has opened.
        self._sources: dict[str, Source] = {}
        self._schema: pa.Schema | None = None
        self._rows: list[pa.RecordBatch] = []

    def serve(self) -> None:
        """Until nothing is asked for any more, or what failed may fail for everything."""
        answer: Mapping[str, Any] | None = {}
        made = io.BytesIO()
        while answer is not None and answer.get("reason") not in _tasks.ENDS:
            self._reply(answer, made)
            made = io.BytesIO()
            answer = _told(self._grant, made)
        if answer is not None:
            self._reply(answer, made)

    def _reply(self, answer: Mapping[str, Any], made: io.BytesIO) -> None:
        """Of what failed no byte is worth anything."""
        content = b"" if "reason" in answer else made.getbuffer()
        _tasks.send_reply(self._line, answer, content)

    def _grant(self, made: BinaryIO) -> Mapping[str, Any] | None:
        """None: nothing is wanted any more."""
        match _tasks.asked(self._wishes):
            case File() as file:
                return _write(file, [*map(self._sheet, file.sheets)], made)
            case Query() as query:
                return self._read(query, made)
            case Send():
                made.write(as_stream(self._schema, self._rows))
                return {}
            case None:
                return None

    def _sheet(self, sheet: Sheet) -> Table:
        if sheet.stream is None:
            return _table(sheet, self._schema, lambda: self._rows)
        stream = pa.ipc.open_stream(sheet.stream)
        return _table(sheet, stream.schema, lambda: stream)

    def _read(self, query: Query, made: BinaryIO) -> Mapping[str, Any]:
        """The rows stay here, or follow at once where they are many."""
        found = self._source(query).rows(query.query, query.parameters, Never())
        try:
            batches = iter(found)
            self._schema, self._rows = found.schema, []
            self._rows, room = take_few(batches, SMALL)
            begin = as_stream(found.schema, [])
            if room >= 0:
                made.write(begin)
                return {"rows": sum(batch.num_rows for batch in self._rows)}
            self._send({"rows": None}, begin)
            self._stream(batches)
            return {}
        finally:
            found.close()

    def _stream(self, batches: Iterator[pa.RecordBatch]) -> None:
        few, self._rows = self._rows, []
        for batch in chain(few, batches):
            for piece in in_pieces(batch):
                self._send({}, as_stream(self._schema, [piece]))

    def _send(self, answer: Mapping[str, Any], made: bytes) -> None:
        _tasks.send_reply(self._line, {**answer, "more": True}, made)

    def _source(self, query: Query) -> Source:
        """The one that was not wanted for longest makes room."""
        key = query.connection.model_dump_json()
        source = self._sources.pop(key, None)
        if source is None and len(self._sources) == _limits.DATABASES:
            self._sources.pop(next(iter(self._sources))).close()
        self._sources[key] = source or _opened(query)
        return self._sources[key]


def _write(task: File, tables: Sequence[Table], target: BinaryIO) -> Mapping[str, Any]:
    made: Format = importlib.import_module(task.module).create()
    written = made.write(tables, target, task.options)
    return {"rows": written.rows, "notes": list(written.notes)}


def _table(sheet: Sheet, schema: pa.Schema | None, rows: _Open) -> Table:
    return Table(
        name=sheet.name,
        schema=schema,
        batches=_incoming(rows),
        columns=sheet.columns,
        fill=sheet.fill,
    )


def _incoming(rows: _Open) -> Iterator[pa.RecordBatch]:
    """A stream, or the next one in the pipe; it is opened when its first row is wanted."""
    yield from rows()


def _transform(task: Transform, rows: BinaryIO) -> Mapping[str, Any]:
    from boe_reconciler.transforms import frames

    with pa.ipc.open_stream(rows) as reader:
        table = reader.read_all()
    result = frames.transformed(task.code, table, task.sheet)
    with pa.OSFile(OUTPUT, "wb") as sink, pa.ipc.new_stream(sink, result.schema) as out:
        out.write_table(result, max_chunksize=frames.BATCH_ROWS)
    return {}


_WORK: dict[type, Callable[[Any, BinaryIO], Mapping[str, Any]]] = {
    Query: _query,
    File: _file,
    Transform: _transform,
}
