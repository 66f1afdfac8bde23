"""Small files are written by children that are kept for the next one.

Python lets one thread of a process work at a time. A run asks its Source and tells the
ledger in the main process; a child makes its file meanwhile, on another processor.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from threading import Lock, Thread, Timer, current_thread
from typing import Any, BinaryIO

import pyarrow as pa

from boe_reconciler.core.errors import RunError, Temporary
from boe_reconciler.core.ports import Format, FormatOptions, Never, Table, Written
from boe_reconciler.transforms import _tasks
from boe_reconciler.transforms._tasks import Files
from boe_reconciler.transforms.children import Child, Children
from boe_reconciler.transforms.isolated import file_of, written

log = logging.getLogger(__name__)

#: Bytes of rows and template. Of more than that, Arrow's part outweighs Python's: threads do.
SMALL = 1 << 20
#: Bytes that a row counts for at least.
_ROW = 16
#: What ends a child's work for reasons that a thread does not have, or tells better.
_ITS_OWN = frozenset(["out_of_memory", "internal"])
#: So many files have to meet another under way before there is a child for them.
_ENOUGH = 16
#: Seconds without a file after which no child is kept.
_LINGER = 60.0


class KeptChildren:
    """Each writes one small file after the other; safe to use from several threads."""

    def __init__(self, children: Children, most: int) -> None:
        """`children` are theirs alone; `most` of them are kept at a time."""
        self._children = children
        self._most = most
        #: Held for a moment at a time: children start and end outside of it.
        self._lock = Lock()
        self._idle: list[Child] = []
        #: Those that there are or that are being started.
        self._count = 0
        #: Files under way, also those that no child writes.
        self._writing = 0
        #: Files that met another under way, and no child; with so many one is started.
        self._met = 0
        self._enough = _ENOUGH
        #: Starts a child, or ends the process that forks them: nobody waits for it.
        self._busy: Thread | None = None
        #: Whether a file was wanted since the timer began.
        self._used = False
        self._timer: Timer | None = None
        self._closed = False

    @contextmanager
    def child(self) -> Iterator[Child | None]:
        """One for a file; None where none is free. After an error it is not used again."""
        child, sound = self._take(), False
        try:
            yield child
            sound = True
        finally:
            with self._lock:
                self._writing -= 1
            if child is not None:
                self._keep(child, sound)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            spare, busy = self._spare(), self._busy
        for child in spare:
            child.close()
        self._children.close()  # ends one that is being started, too
        if busy is not None:
            busy.join()
            self._children.close()

    def _take(self) -> Child | None:
        with self._lock:
            self._used = True
            self._writing += 1
            if self._idle:
                return self._idle.pop()
            if self._writing > 1 and self._count < self._most:
                self._met += 1
                if self._met >= self._enough:
                    self._begin()
        return None

    def _keep(self, child: Child, sound: bool) -> None:
        with self._lock:
            sound = sound and not self._closed
            if sound:
                self._idle.append(child)
            else:
                self._count -= 1
        if not sound:
            child.close()

    # --- Starting -----------------------------------------------------------------

    def _begin(self) -> None:
        if self._busy is not None or self._closed:
            return
        starter = Thread(target=self._start, name="kept", daemon=True)
        self._met = 0
        with suppress(RuntimeError):  # there is no room for one more thread
            starter.start()
            self._busy = starter
            self._count += 1

    def _start(self) -> None:
        child, trouble = None, ""
        try:
            child = self._children.start(Files(), "small files")
            if _tasks.receive_file(child.line) is None:
                child.answer(Never())
        except (RunError, OSError) as error:
            trouble = str(error)
        with self._lock:
            self._busy = None
            self._watch()
            if trouble:
                self._enough *= 10
            if child is None:
                self._count -= 1
        if child is not None:
            self._keep(child, sound=not trouble)
        if trouble and not self._closed:
            log.warning("no_child_for_files", extra={"detail": trouble})

    # --- When nobody wants a file -------------------------------------------------

    def _watch(self) -> None:
        if self._timer is None and not self._closed:
            self._used = False
            self._timer = Timer(_LINGER, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        """With the last child ends the process that forks them."""
        with self._lock:
            self._timer = None
            spare = [] if self._used else self._spare()
            last = not self._count
            if last:
                self._busy = current_thread()
                self._met = 0
            else:
                self._watch()
        for child in spare:
            child.close()
        if last:
            self._children.close()
            with self._lock:
                self._busy = None

    def _spare(self) -> list[Child]:
        """Those that write nothing: they are not kept any more."""
        spare, self._idle = self._idle, []
        self._count -= len(spare)
        return spare


class KeptFormat:
    """What a format makes of a few rows, a child makes where one is free."""

    def __init__(self, kept: KeptChildren, module: str, inner: Format) -> None:
        self.extension = inner.extension
        self.media_type = inner.media_type
        self.several_tables = inner.several_tables
        self._kept = kept
        self._module = module
        self._inner = inner

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        rows, small = _taken(tables, SMALL - len(options.template or b""))
        if small:
            with suppress(_Lost), self._kept.child() as child:
                if child is not None:
                    answer, made = self._made_by(child, tables, rows, options)
                    target.write(made)
                    return written(answer)
                return self._inner.write(_held(tables, rows), target, options)
        return self._inner.write(_held(tables, rows), target, options)

    def _made_by(
        self,
        child: Child,
        tables: Sequence[Table],
        rows: Sequence[Sequence[pa.RecordBatch]],
        options: FormatOptions,
    ) -> tuple[Mapping[str, Any], bytes]:
        cancel = options.cancel
        streams = [_stream(*each) for each in zip(tables, rows, strict=True)]
        file = file_of(self._module, tables, streams, options)
        try:
            with cancel.on_cancel(child.stop):
                with child.blamed(cancel):
                    _tasks.ask(child.rows, file)
                found = _tasks.receive_file(child.line)
                answer, made = found or (child.answer(cancel), b"")
        except Temporary as error:
            cancel.check()
            raise _Lost from error
        if answer.get("reason") in _ITS_OWN:
            raise _Lost
        child.check(answer)
        return answer, made


class _Lost(Exception):
    """A child could not, and no byte of its file was written: the thread does."""


def _taken(
    tables: Sequence[Table], room: int
) -> tuple[list[list[pa.RecordBatch]], bool]:
    """The first rows of each table, and whether they are all rows of all tables."""
    rows: list[list[pa.RecordBatch]] = []
    for table in tables:
        rows.append([])
        while room >= 0 and (batch := next(table.batches, None)) is not None:
            rows[-1].append(batch)
            # What takes no room in memory takes some in a file.
            room -= max(batch.nbytes, _ROW * batch.num_rows)
    return rows, room >= 0


def _stream(table: Table, rows: Sequence[pa.RecordBatch]) -> bytes:
    """In memory: into a pipe Arrow writes each buffer, and asks for Python's lock."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def _held(
    tables: Sequence[Table], rows: Sequence[Sequence[pa.RecordBatch]]
) -> list[Table]:
    """The tables, whose first rows were taken."""
    return [
        replace(table, batches=chain(taken, table.batches))
        for table, taken in zip(tables, rows, strict=True)
    ]
