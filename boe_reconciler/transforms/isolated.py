"""Sources and formats that do their work in a child, and users' transforms."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from boe_reconciler.core.ports import (
    Cancel,
    Code,
    Format,
    FormatOptions,
    Never,
    Rows,
    Table,
    Transformed,
    Written,
)
from boe_reconciler.transforms._tasks import File, Query, Sheet, Transform
from boe_reconciler.transforms.children import Child, Children

if TYPE_CHECKING:
    from boe_reconciler.core.resources.connection import ConnectionSpec


class _Stream:
    """Rows (see core.ports) that a child, or what it left, holds until they are closed."""

    count: int | None = None

    def __init__(
        self, schema: pa.Schema, batches: Iterator[pa.RecordBatch], held: ExitStack
    ) -> None:
        self.schema = schema
        self._batches = batches
        self._held = held

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def close(self) -> None:
        self._held.close()


def _checked(
    reader: pa.RecordBatchStreamReader, child: Child, cancel: Cancel
) -> Iterator[pa.RecordBatch]:
    """Rows from a child are looked at before anybody trusts their buffers."""
    while True:
        cancel.check()
        with child.blamed(cancel):
            batch = next(reader, None)
            if batch is None:
                return
            batch.validate(full=True)
        yield batch


# --- A source ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class IsolatedSource:
    """A database file, read in a child: the rows come through a pipe as they are read."""

    children: Children
    #: Of the source that does it there; its Connection holds no secret.
    module: str
    connection: ConnectionSpec
    data_root: Path

    def rows(self, query: str, parameters: Mapping[str, Any], cancel: Cancel) -> Rows:
        task = Query(
            module=self.module,
            connection=self.connection,
            data_root=self.data_root,
            memory_limit=f"{self.children.memory // 2_000_000}MB",
            query=query,
            parameters=parameters,
        )
        with ExitStack() as held:
            child = held.enter_context(self.children.start(task, "the query"))
            held.enter_context(cancel.on_cancel(child.stop))
            with child.blamed(cancel):
                reader = pa.ipc.open_stream(child.rows)
            batches = self._batches(reader, child, cancel)
            return _Stream(reader.schema, batches, held.pop_all())
        raise AssertionError  # pragma: no cover - ExitStack swallows nothing

    @staticmethod
    def _batches(
        reader: pa.RecordBatchStreamReader, child: Child, cancel: Cancel
    ) -> Iterator[pa.RecordBatch]:
        yield from _checked(reader, child, cancel)
        child.answer(cancel)  # the pipe of a child that died may end as well

    def check(self) -> None:
        self.rows("select 1", {}, Never()).close()

    def close(self) -> None:
        """Nothing is kept open."""


# --- A format ---------------------------------------------------------------------


class IsolatedFormat:
    """A file that a child writes in its folder, row by row as they come."""

    def __init__(self, children: Children, module: str, inner: Format) -> None:
        self.extension = inner.extension
        self.media_type = inner.media_type
        self.several_tables = inner.several_tables
        self._children = children
        self._module = module

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        cancel = options.cancel
        sheets = [sheet_of(table, schema=table.schema) for table in tables]
        task = file_of(self._module, sheets, options)
        what = f"the {self.extension} file"
        with self._children.start(task, what) as child, cancel.on_cancel(child.stop):
            for table in tables:
                send(table, child, cancel)
            answer = child.answer(cancel)
            with child.output.open("rb") as made:
                shutil.copyfileobj(made, target, 1 << 20)
        return written(answer)


def sheet_of(
    table: Table, *, stream: bytes | None = None, schema: pa.Schema | None = None
) -> Sheet:
    """What a child is told of a table."""
    return Sheet(
        name=table.name,
        stream=stream,
        schema=schema,
        columns=table.columns,
        fill=table.fill,
    )


def file_of(module: str, sheets: Sequence[Sheet], options: FormatOptions) -> File:
    """What a child is told of a file."""
    return File(module=module, sheets=sheets, options=replace(options, cancel=Never()))


def written(answer: Mapping[str, Any]) -> Written:
    notes = [(str(action), str(text)) for action, text in answer["notes"]]
    return Written(rows=int(answer["rows"]), notes=notes)


def send(table: Table, child: Child, cancel: Cancel) -> None:
    """One Arrow stream; errors of the rows themselves stay what they are."""
    with child.blamed(cancel):
        writer = pa.ipc.new_stream(child.rows, table.schema)
    for batch in table.batches:
        with child.blamed(cancel):
            writer.write_batch(batch)
    with child.blamed(cancel):
        writer.close()


# --- A transform ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildTransforms:
    """Users' functions (see core.ports.Transforms); a child holds one DataFrame."""

    children: Children

    def run(self, code: Code, table: Table, cancel: Cancel) -> Transformed:
        task = Transform(code=code, sheet=table.name)
        with ExitStack() as held:
            what = f"the transform {code.name}"
            child = held.enter_context(self.children.start(task, what))
            with cancel.on_cancel(child.stop):
                send(table, child, cancel)
                child.answer(cancel)
            file = held.enter_context(pa.OSFile(str(child.output), "rb"))
            with child.blamed(cancel):
                reader = held.enter_context(pa.ipc.open_stream(file))
            rows = _Stream(
                reader.schema, _checked(reader, child, cancel), held.pop_all()
            )
            return Transformed(rows=rows, printed=child.printed)
        raise AssertionError  # pragma: no cover - ExitStack swallows nothing
