"""What a kept child does for a file of a few rows: it reads them, and writes it.

Everything else comes to the run's own thread, as if there were no children.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from boe_reconciler.core.errors import Temporary
from boe_reconciler.core.ports import (
    Cancel,
    Format,
    FormatOptions,
    Rows,
    Source,
    Table,
    Written,
)
from boe_reconciler.transforms._tasks import Query, Send, Sheet
from boe_reconciler.transforms.arrow import SMALL, as_stream, take_few
from boe_reconciler.transforms.isolated import file_of, sheet_of, written
from boe_reconciler.transforms.kept import KeptChild, KeptChildren, Lost

if TYPE_CHECKING:
    from boe_reconciler.core.resources.connection import ConnectionSpec

log = logging.getLogger(__name__)

# --- A source ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptSource:
    """A child reads where one is free, and else the Source itself."""

    kept: KeptChildren
    inner: Source
    #: Of the source; its Connection holds no secret and writes nothing.
    module: str
    connection: ConnectionSpec
    #: What tells this Connection, as it stands, from others.
    version: str
    data_root: Path
    memory_limit: str

    def rows(self, query: str, parameters: Mapping[str, Any], cancel: Cancel) -> Rows:
        if not self.kept.may_ask(self.version, query):
            return self.inner.rows(query, parameters, cancel)
        again = partial(self._again, query, parameters, cancel)
        try:
            with ExitStack() as held:
                child = held.enter_context(self.kept.child(cancel))
                if child is None:
                    return self.inner.rows(query, parameters, cancel)
                wish = self._wish(query, parameters)
                rows = KeptRows(child, wish, cancel, again, held)
        except Lost as error:
            return again(str(error))
        if rows.count is None:
            self.kept.do_not_ask(self.version, query)
        return rows

    def _wish(self, query: str, parameters: Mapping[str, Any]) -> Query:
        return Query(
            module=self.module,
            connection=self.connection,
            data_root=self.data_root,
            memory_limit=self.memory_limit,
            query=query,
            parameters=parameters,
        )

    def _again(
        self, query: str, parameters: Mapping[str, Any], cancel: Cancel, why: str
    ) -> Rows:
        self.kept.do_not_ask(self.version, query)
        log.info("read_again", extra={"detail": why})
        return self.inner.rows(query, parameters, cancel)

    def check(self) -> None:
        self.inner.check()

    def close(self) -> None:
        """It is somebody else's who made it."""


class KeptRows:
    """Rows (see core.ports) of a query that a child was asked.

    A few stay there until somebody wants them: a file can be written where they are.
    """

    def __init__(
        self,
        child: KeptChild,
        wish: Query,
        cancel: Cancel,
        again: Callable[[str], Rows],
        held: ExitStack,
    ) -> None:
        """Lost where the child could not. `again` asks once more, and is told why.

        `held` is closed with them.
        """
        self.child = child
        self._cancel = cancel
        self._again = again
        cancel.check()
        with cancel.on_cancel(child.stop):
            child.ask(wish, cancel)
            answer, begin = child.reply(cancel)
        #: None: many, which follow at once.
        self.count: int | None = answer["rows"]
        self.schema = _schema_of(begin)
        self._batches = self._coming()
        self._held = held.pop_all()
        self._held.callback(self._batches.close)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        return next(self._batches)

    def close(self) -> None:
        self._held.close()

    def _coming(self) -> Generator[pa.RecordBatch, None, None]:
        used = False
        try:
            for batch in self._sent():
                used = True
                yield batch
        except Lost as error:
            if used:
                raise Temporary(
                    "child_lost", f"The rows end early: {error}."
                ) from error
            rows = self._again(str(error))
        else:
            return
        self._held.callback(rows.close)
        yield from self._once_more(rows)

    def _sent(self) -> Iterator[pa.RecordBatch]:
        """They are looked at before anybody trusts their buffers."""
        child, cancel, more = self.child, self._cancel, True
        with cancel.on_cancel(child.stop):
            if self.count is not None:
                child.ask(Send(), cancel)
            while more:
                answer, stream = child.reply(cancel)
                more = answer.get("more", False)
                for batch in pa.ipc.open_stream(stream) if stream else ():
                    batch.validate()
                    cancel.check()
                    yield batch

    def _once_more(self, rows: Rows) -> Iterator[pa.RecordBatch]:
        """What was decided of them, by their columns and their number, still holds."""
        left = self.count
        for batch in rows:
            if left is not None:
                left -= batch.num_rows
            if batch.schema != self.schema or (left is not None and left < 0):
                text = "The query gave other columns, or more rows, at a second look."
                raise Temporary("source_changed", text)
            yield batch


@lru_cache(maxsize=256)
def _schema_of(stream: bytes) -> pa.Schema:
    """Of a stream without a row, which is the same at each run of a report."""
    return pa.ipc.open_stream(stream).schema


# --- A format ---------------------------------------------------------------------


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
        room = SMALL - len(options.template or b"")
        there = _child_of(tables)
        if there is not None and room >= 0:
            with suppress(Lost):
                return self._written_by(there, [sheet_of(tables[0])], target, options)
        rows, small = _taken(tables, room)
        if small:
            with suppress(Lost), self._kept.child(options.cancel) as child:
                if child is not None:
                    sheets = [
                        sheet_of(table, stream=as_stream(table.schema, taken))
                        for table, taken in zip(tables, rows, strict=True)
                    ]
                    return self._written_by(child, sheets, target, options)
                return self._inner.write(_held(tables, rows), target, options)
        return self._inner.write(_held(tables, rows), target, options)

    def _written_by(
        self,
        child: KeptChild,
        sheets: Sequence[Sheet],
        target: BinaryIO,
        options: FormatOptions,
    ) -> Written:
        file = file_of(self._module, sheets, options)
        with options.cancel.on_cancel(child.stop):
            child.ask(file, options.cancel)
            answer, made = child.reply(options.cancel)
        target.write(made)
        return written(answer)


def _child_of(tables: Sequence[Table]) -> KeptChild | None:
    """Which has the rows of the only table, and will send none."""
    if len(tables) != 1:
        return None
    rows = tables[0].batches
    return rows.child if isinstance(rows, KeptRows) and rows.count is not None else None


def _taken(
    tables: Sequence[Table], room: int
) -> tuple[list[list[pa.RecordBatch]], bool]:
    """The first rows of each table, and whether they are all rows of all tables."""
    rows = []
    for table in tables:
        taken, room = take_few(table.batches, room)
        rows.append(taken)
    return rows, room >= 0


def _held(
    tables: Sequence[Table], rows: Sequence[Sequence[pa.RecordBatch]]
) -> list[Table]:
    """The tables, whose first rows were taken."""
    return [
        replace(table, batches=chain(taken, table.batches))
        for table, taken in zip(tables, rows, strict=True)
    ]
