"""Arrow without pandas; a few rows as bytes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import pyarrow as pa

#: Bytes of rows and template. Of more than that, Arrow's part outweighs Python's: threads do.
SMALL = 1 << 20
#: Bytes that a row counts for at least.
_ROW = 16


class _NoPandas:
    """An import hook under which pandas is not to be had."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ImportError(name)


def keep_pandas_out() -> None:
    """Let Arrow know that nobody here hands it anything of pandas.

    Arrow imports pandas, a second and 60 MB, at the first value that it converts,
    only to ask whether that is a Series. It asks once; whoever needs pandas later
    can import it all the same.
    """
    refusal = _NoPandas()
    sys.meta_path.insert(0, refusal)
    try:
        pa.array([0]).to_numpy()
    finally:
        sys.meta_path.remove(refusal)


def take_few(
    batches: Iterator[pa.RecordBatch], room: int
) -> tuple[list[pa.RecordBatch], int]:
    """The first rows, and the room that is left: below 0, there may be more of them."""
    taken: list[pa.RecordBatch] = []
    while room >= 0 and (batch := next(batches, None)) is not None:
        taken.append(batch)
        # What takes no room in memory takes some in a file.
        room -= max(batch.nbytes, _ROW * batch.num_rows)
    return taken, room


def in_pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Of about SMALL bytes, so that a copy of each takes little room."""
    rows = max(batch.num_rows * SMALL // max(batch.nbytes, 1), 1)
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def as_stream(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
    """In memory: into a pipe Arrow writes each buffer, and asks for Python's lock."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream
