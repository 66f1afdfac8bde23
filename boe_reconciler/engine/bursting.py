"""Rows -> parts: from where they come, whose each row is, and a look at what was dealt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from boe_reconciler.core import burst
from boe_reconciler.core.burst import Part
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import Source
from boe_reconciler.engine.job import Job

if TYPE_CHECKING:
    import pyarrow as pa

#: Reads rows from the start, as often as it is called.
Batches = Callable[[], "Iterator[pa.RecordBatch]"]
#: Files that rows are dealt to at once, and bytes of one that are sorted in memory.
_FAN = 64
IN_MEMORY = 16_000_000


# --- Columns as text ------------------------------------------------------------------


def column_of(schema: pa.Schema, name: str) -> int:
    """Permanent `burst_column` where it is not there, or there twice."""
    number: int = schema.get_field_index(name)
    if number < 0:
        raise Permanent(
            "burst_column",
            f'The burst needs one column "{name}"; there are {", ".join(schema.names)}.',
            "Name it as the query does, and once.",
        )
    return number


def _texts(values: pa.Array) -> pa.Array:
    """What keys are compared by: the same for a number in a query and in a csv file."""
    import pyarrow as pa  # noqa: PLC0415 loaded only where a burst runs
    from pyarrow import compute as pc  # noqa: PLC0415 as said

    try:
        return pc.cast(values, pa.string())
    except pa.ArrowException:
        text = f"A column of type {values.type} cannot name parts."
        todo = "Cast it to text in the query."
        raise Permanent("burst_column", text, todo) from None


# --- Where parts come from ------------------------------------------------------------


def parts_of(job: Job, source: Source, rows: Batches) -> list[Part]:
    """In the order of what they come from; `rows` are those of the report."""
    wish = job.spec.burst
    assert wish is not None  # noqa: S101 asked only of a burst
    if wish.recipients_file is not None:
        found: Iterator[dict[str, str]] = iter(_from_file(job, wish.recipients_file))
        key = wish.key
    elif wish.recipients_query is not None:
        found, key = _from_query(job, source, wish.recipients_query), wish.key
    else:
        key = wish.values_from or ""
        found = _from_column(rows(), key)
    return burst.parts(found, key, wish.max_parts)


def _from_file(job: Job, path: str) -> list[dict[str, str]]:
    text = job.tools.blobs.read(job.spec.files[path]).decode("utf-8-sig")
    assert job.spec.burst is not None  # noqa: S101 as above
    rows, flaws = burst.rows_of(text, job.spec.burst.key)
    if flaws:
        first = flaws[0]
        text = f"{path}, line {first.line}: {first.detail}."
        raise Permanent("recipients_invalid", text)
    return rows


def _from_query(job: Job, source: Source, query: str) -> Iterator[dict[str, str]]:
    rows = source.rows(query, job.prepared.parameters, job.cancel)
    try:
        assert job.spec.burst is not None  # noqa: S101 as above
        key = column_of(rows.schema, job.spec.burst.key)
        for batch in rows:
            job.cancel.check()
            columns = [_texts(one).to_pylist() for one in batch.columns]
            if None in columns[key]:
                text = "A row of recipients_query has no key: it is null."
                raise Permanent("recipients_invalid", text, "Leave such rows out.")
            for cells in zip(*columns, strict=True):
                texts = ["" if cell is None else cell for cell in cells]
                yield dict(zip(batch.schema.names, texts, strict=True))
    finally:
        rows.close()


def _from_column(
    batches: Iterator[pa.RecordBatch], name: str
) -> Iterator[dict[str, str]]:
    for batch in batches:
        column = _texts(batch.column(column_of(batch.schema, name)))
        for value in column.unique().to_pylist():
            if value is not None:
                yield {name: value}


# --- Whose a row is -------------------------------------------------------------------


@dataclass(kw_only=True, slots=True)
class Dealer:
    """Deals rows to their parts, the order within a part kept, in bounded memory.

    Rows are spread over files by ranges of parts until a file holds one part, or fits
    into memory: it is never more than that, and types stay what they are.
    """

    #: Where a file of this name can be made.
    room: Callable[[str], Path]
    schema: pa.Schema
    #: The number of the column that holds the key.
    column: int
    keys: Sequence[str]
    #: Rows whose key is null or nobody's.
    left_out: int = 0
    _set: pa.Array = field(init=False)

    def __post_init__(self) -> None:
        import pyarrow as pa  # noqa: PLC0415 loaded only where a burst runs

        self._set = pa.array(self.keys, pa.string())

    def deal(self, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, Batches]]:
        """Each part's number and rows, in order; a part is read before the next."""
        if self.keys:
            yield from self._spread(batches, 0, len(self.keys))

    def _spread(
        self, batches: Iterator[pa.RecordBatch], first: int, end: int
    ) -> Iterator[tuple[int, Batches]]:
        width = -(-(end - first) // _FAN)
        starts = range(first, end, width)
        paths = [self.room(f"part-{start}-{width}.arrow") for start in starts]
        self._write(batches, paths, first, width)
        for start, path in zip(starts, paths, strict=True):
            yield from self._parts(path, start, min(start + width, end))
            path.unlink()

    def _write(
        self,
        batches: Iterator[pa.RecordBatch],
        paths: Sequence[Path],
        first: int,
        width: int,
    ) -> None:
        import pyarrow as pa  # noqa: PLC0415 loaded only where a burst runs

        with ExitStack() as stack:
            writers = []
            for path in paths:
                sink = stack.enter_context(pa.OSFile(str(path), "wb"))
                stream = pa.ipc.new_stream(sink, self.schema)
                writers.append(stack.enter_context(stream))
            for batch in batches:
                for number, rows in self._runs(batch, first, width):
                    writers[number].write_batch(rows)

    def _runs(
        self, batch: pa.RecordBatch, first: int, width: int
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The rows of each range of parts; those of nobody are counted."""
        from pyarrow import compute as pc  # noqa: PLC0415 loaded only where a burst runs

        numbers = self._numbers(batch.column(self.column))
        self.left_out += numbers.null_count
        kept = batch.filter(pc.is_valid(numbers))
        numbers = pc.divide(pc.subtract(numbers.drop_null(), first), width)
        yield from _sorted(kept, numbers)

    def _numbers(self, column: pa.Array) -> pa.Array:
        from pyarrow import compute as pc  # noqa: PLC0415 loaded only where a burst runs

        return pc.index_in(_texts(column), value_set=self._set)

    def _parts(self, path: Path, first: int, end: int) -> Iterator[tuple[int, Batches]]:
        if end - first == 1:
            yield first, partial(_read, path)
        elif path.stat().st_size > IN_MEMORY:
            yield from self._spread(_read(path), first, end)
        else:
            yield from self._in_memory(path, first, end)

    def _in_memory(
        self, path: Path, first: int, end: int
    ) -> Iterator[tuple[int, Batches]]:
        import pyarrow as pa  # noqa: PLC0415 loaded only where a burst runs

        with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
            table = reader.read_all().combine_chunks()
        numbers = self._numbers(table.column(self.column))
        found = dict(_sorted(table, numbers))
        for number in range(first, end):
            rows = found.get(number, table.slice(0, 0))
            yield number, partial(_batches, rows)


def _sorted(
    rows: pa.RecordBatch | pa.Table, numbers: pa.Array
) -> Iterator[tuple[int, pa.RecordBatch | pa.Table]]:
    """The rows of each number, in their order, by rising number."""
    from pyarrow import compute as pc  # noqa: PLC0415 loaded only where a burst runs

    dealt = rows.take(pc.sort_indices(numbers))
    counts = {
        one["values"]: one["counts"] for one in numbers.value_counts().to_pylist()
    }
    at = 0
    for number in sorted(counts):
        yield number, dealt.slice(at, counts[number])
        at += counts[number]


def _batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    return iter(table.to_batches())


def _read(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa  # noqa: PLC0415 loaded only where a burst runs

    with pa.OSFile(str(path), "rb") as file, pa.ipc.open_stream(file) as reader:
        yield from reader


# --- A look at what was dealt ---------------------------------------------------------


def own(
    batches: Iterator[pa.RecordBatch], column: int, part: Part
) -> Iterator[pa.RecordBatch]:
    """The same rows. Permanent `foreign_rows` at the first that is not the part's.

    It knows nothing of how they were dealt: where each part has its own query, it is all
    that stands between a forgotten filter and a file full of other people's rows.
    """
    from pyarrow import compute as pc  # noqa: PLC0415 loaded only where a burst runs

    for batch in batches:
        same = pc.fill_null(pc.equal(_texts(batch.column(column)), part.key), False)
        if batch.num_rows and not pc.all(same).as_py():
            name = batch.schema.names[column]
            raise Permanent(
                "foreign_rows",
                f'The file of "{part.key}" would hold rows with another {name}. Nothing '
                "was delivered to anybody.",
                f"Let the query give rows of its part alone: filter by {name}.",
            )
        yield batch


def left_out(rows: int, column: str) -> str:
    """What is told of rows that nobody gets."""
    noun = "row belongs" if rows == 1 else "rows belong"
    return f"{rows:,} {noun} to no part: their {column} is null or nobody's."
