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
from threading import Lock, Thread, Timer
from typing import Any, BinaryIO

import pyarrow as pa

from boe_reconciler.core.errors import RunError, Temporary
from boe_reconciler.core.ports import Format, FormatOptions, Never, Table, Written
from boe_reconciler.transforms import _tasks
from boe_reconciler.transforms._tasks import Files
from boe_reconciler.transforms.children import Child, Children
from boe_reconciler.transforms.isolated import file_of, send, written

log = logging.getLogger(__name__)

#: Bytes of rows. Of more than that, Arrow's part outweighs Python's: threads do.
SMALL = 1 << 20
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
        self._lock = Lock()
        self._idle: list[Child] = []
        #: Those that there are or that are being started.
        self._count = 0
        #: Files under way, also those that no child writes.
        self._writing = 0
        #: Files that met another under way, and no child.
        self._met = 0
        #: Whether a file was wanted since the timer began.
        self._used = False
        self._timer: Timer | None = None
        #: Starts one child at a time: nobody waits for it.
        self._starter: Thread | None = None
        self._closed = False

    @contextmanager
    def child(self) -> Iterator[Child | None]:
        """One for a file; None where none is free. After an error it is not used again."""
        child = self._take()
        try:
            yield child
        except BaseException:
            with self._lock:
                self._writing -= 1
                self._count -= child is not None
            if child is not None:
                child.close()
            raise
        with self._lock:
            self._writing -= 1
            if child is not None:
                self._idle.append(child)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            self._let_go()
            starter = self._starter
        self._children.close()  # ends the one that is being started, too
        if starter is not None:
            starter.join()

    def _take(self) -> Child | None:
        with self._lock:
            self._used = True
            self._writing += 1
            if self._idle:
                return self._idle.pop()
            self._met += self._writing > 1
            if self._met >= _ENOUGH and self._count < self._most:
                self._begin()
        return None

    def _begin(self) -> None:
        if self._starter is None and not self._closed:
            self._met = 0
            self._count += 1
            self._starter = Thread(target=self._start, name="kept", daemon=True)
            self._starter.start()

    def _start(self) -> None:
        child, trouble = None, ""
        try:
            child = self._children.start(Files(), "small files")
            if _tasks.receive_file(child.line) is None:
                child.answer(Never())
        except RunError as error:
            trouble = error.message
        with self._lock:
            self._starter = None
            if child is None:
                self._count -= 1
            else:
                self._idle.append(child)
            if trouble or self._closed:
                self._most = 0
                self._let_go()
            else:
                self._watch()
        if trouble and not self._closed:
            log.warning("no_child_for_files", extra={"detail": trouble})

    # --- When nobody wants a file -------------------------------------------------

    def _watch(self) -> None:
        if self._timer is None:
            self._used = False
            self._timer = Timer(_LINGER, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._timer = None
            if not self._used:
                self._let_go()
            if self._count and not self._closed:
                self._watch()

    def _let_go(self) -> None:
        """Of those that write nothing; with the last, of the process that forks them."""
        for child in self._idle:
            child.close()
        self._count -= len(self._idle)
        self._idle.clear()
        if not self._count:
            self._children.close()


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
        rows, small = _taken(tables)
        if small:
            with suppress(_Lost), self._kept.child() as child:
                if child is not None:
                    answer, made = self._made_by(child, _held(tables, rows), options)
                    target.write(made)
                    return written(answer)
                return self._inner.write(_held(tables, rows), target, options)
        return self._inner.write(_held(tables, rows), target, options)

    def _made_by(
        self, child: Child, tables: Sequence[Table], options: FormatOptions
    ) -> tuple[Mapping[str, Any], bytes]:
        cancel = options.cancel
        try:
            with cancel.on_cancel(child.stop):
                with child.blamed(cancel):
                    _tasks.ask(child.rows, file_of(self._module, tables, options))
                for table in tables:
                    send(table, child, cancel)
                with child.blamed(cancel):
                    child.rows.flush()
                found = _tasks.receive_file(child.line)
                answer, made = found or (child.answer(cancel), b"")
        except Temporary as error:
            cancel.check()
            raise _Lost from error
        child.check(answer)
        return answer, made


class _Lost(Exception):
    """A child was lost, and no byte of its file was written."""


def _taken(tables: Sequence[Table]) -> tuple[list[list[pa.RecordBatch]], bool]:
    """The first rows of each table, and whether they are all rows of all tables."""
    rows: list[list[pa.RecordBatch]] = []
    room = SMALL
    for table in tables:
        rows.append([])
        while room >= 0 and (batch := next(table.batches, None)) is not None:
            rows[-1].append(batch)
            room -= batch.nbytes
    return rows, room >= 0


def _held(
    tables: Sequence[Table], rows: Sequence[Sequence[pa.RecordBatch]]
) -> list[Table]:
    """The tables, whose first rows were taken."""
    return [
        replace(table, batches=chain(taken, table.batches))
        for table, taken in zip(tables, rows, strict=True)
    ]
