"""Source -> format -> artifacts: the files of one run, built once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from boe_reconciler.core import names
from boe_reconciler.core.burst import Part
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import (
    Code,
    Format,
    FormatOptions,
    Rows,
    Source,
    Table,
)
from boe_reconciler.core.resources.report import Column
from boe_reconciler.core.resources.schedule import Burst, Dialect
from boe_reconciler.core.runs import Artifact
from boe_reconciler.engine import bursting, previewing
from boe_reconciler.engine.job import Job
from boe_reconciler.engine.packing import Packer

if TYPE_CHECKING:
    import pyarrow as pa

#: The formats' own way to write rows that is the same wherever batches begin.
_CANONICAL = "jsonl"
#: Files that one format's file is split into at most.
MAX_PIECES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    artifacts: Sequence[Artifact]
    #: Hex digest of all rows; "" unless `if_unchanged` asks for it.
    rows_digest: str
    #: What is told of rows that are in no file; "": there are none.
    left_out: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Query:
    """One table to ask for."""

    name: str
    text: str
    columns: Mapping[str, Column]
    fill: str | None


#: Opens the tables once more for each reader.
_Open = Callable[[ExitStack], Sequence[Table]]


def export(job: Job) -> Exported:
    """Run the queries, write each format's files, and move them into the Blobs store."""
    backends, for_file = job.tools.backends, _for_one_file(job)
    with (
        backends.source(job.spec, for_file=for_file) as source,
        Packer.of(job) as packer,
    ):
        _refuse_failed_checks(job, source)
        open_tables: _Open = partial(_open, job, source)
        if job.spec.burst is not None:
            return _burst(packer, source, job.spec.burst)
        pieces = [_WHOLE]
        if _several_readers(job):
            spool = _spooled(job, open_tables)
            open_tables, pieces = spool.open, _pieces(job, sum(spool.rows))
        built = [
            artifact
            for name in job.formats
            for artifact in _files(packer, name, open_tables, pieces)
        ]
    digest = _digest(job, open_tables) if job.spec.if_unchanged != "send" else ""
    return Exported(artifacts=built, rows_digest=digest)


def holds(job: Job, query: str) -> bool:
    """Whether a query's first value is true (`only_if`)."""
    with job.tools.backends.source(job.spec) as source:
        rows = source.rows(query, job.prepared.parameters, job.cancel)
        try:
            first = next((batch for batch in rows if batch.num_rows), None)
        finally:
            rows.close()
    return first is not None and bool(first.column(0)[0].as_py())


def _refuse_failed_checks(job: Job, source: Source) -> None:
    for check in job.spec.report.checks:
        rows = source.rows(check.query, job.prepared.parameters, job.cancel)
        try:
            found = rows.count
            if found is None:
                found = sum(batch.num_rows for batch in rows)
        finally:
            rows.close()
        if found:
            raise Permanent(
                "check_failed",
                f'The check "{check.name}" found {found} rows; it must find none.',
                "Mend the data, then run `boe rerun` for this run.",
            )


# --- Rows ---------------------------------------------------------------------


def _queries(job: Job) -> list[_Query]:
    report = job.spec.report
    if report.workbook is None:
        name = job.spec.export.sheet_name or job.spec.report_title[:31]
        text = report.query or ""
        return [_Query(name=name, text=text, columns=report.columns, fill=None)]
    return [
        _Query(
            name=sheet.name,
            text=sheet.query or "",
            columns={**report.columns, **sheet.columns},
            fill=sheet.fill,
        )
        for sheet in report.workbook.sheets
    ]


def _open(job: Job, source: Source, stack: ExitStack) -> list[Table]:
    """Each table streams from its own query; the stack closes the cursors."""
    tables = []
    for query in _queries(job):
        rows = source.rows(query.text, job.prepared.parameters, job.cancel)
        stack.callback(rows.close)
        batches = _limited(job, rows)
        table = _table(query, rows.schema, batches)
        tables.append(_transformed(job, table, stack))
    return tables


def _transformed(job: Job, table: Table, stack: ExitStack) -> Table:
    """What the Report's `transform` makes of the table, if it has one."""
    transform = job.spec.report.transform
    if transform is None:
        return table
    path, function = names.transform_parts(transform)
    text = job.tools.blobs.read(job.spec.files[path]).decode("utf-8-sig")
    code = Code(path=path, text=text, function=function)
    done = job.tools.backends.transforms.run(code, table, job.cancel)
    stack.callback(done.rows.close)
    if done.printed.strip():
        job.note("transform_printed", done.printed.strip())
    batches = _limited(job, done.rows)
    return replace(table, schema=done.rows.schema, batches=batches)


def _table(
    query: _Query, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> Table:
    return Table(
        name=query.name,
        schema=schema,
        batches=batches,
        columns=query.columns,
        fill=query.fill,
    )


def _limited(job: Job, rows: Rows) -> Iterator[pa.RecordBatch]:
    """Stop at the row limit and at a cancel."""
    own = None if _splits(job) else job.spec.report.max_rows
    limits = [limit for limit in (own, job.spec.max_rows) if limit]
    most = min(limits, default=None)
    if rows.count is None:
        return _counted(_cancelled(job, iter(rows)), most)
    _refuse_too_many(rows.count, most)
    return iter(rows)


def _counted(
    batches: Iterator[pa.RecordBatch], most: int | None
) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        _refuse_too_many(rows, most)
        yield batch


def _refuse_too_many(rows: int, most: int | None) -> None:
    if most is not None and rows > most:
        raise Permanent(
            "too_many_rows",
            f"The report has more than {most:,} rows.",
            "Narrow the query, or raise max_rows in the Report or in the Policy.",
        )


def _cancelled(job: Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Stop at a cancel."""
    for batch in batches:
        job.cancel.check()
        yield batch


def _splits(job: Job) -> bool:
    return job.spec.report.on_too_many == "split"


def _for_one_file(job: Job) -> bool:
    """Whether its rows go into one file, and nobody else looks at them."""
    spec = job.spec
    others = spec.burst or spec.report.transform or previewing.wanted(job)
    return len(_queries(job)) == 1 and not others and not _several_readers(job)


def _several_readers(job: Job) -> bool:
    """Also the count of files has to be known before the first is named."""
    several = len(job.formats) > 1 or job.spec.if_unchanged != "send"
    return several or _splits(job)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Spool:
    """Rows on disk, to be read any number of times."""

    open: _Open
    #: Of each table.
    rows: Sequence[int]


def _spooled(job: Job, open_tables: _Open) -> _Spool:
    """Ask the source once."""
    with ExitStack() as stack:
        tables = open_tables(stack)
        paths = [job.room(f"rows-{number}.arrow") for number, _ in enumerate(tables)]
        rows = [_spool(*each) for each in zip(tables, paths, strict=True)]
    return _Spool(open=partial(_opened, job, paths), rows=rows)


def _spool(table: Table, path: Path) -> int:
    import pyarrow as pa  # noqa: PLC0415 loaded only where rows are spooled

    rows = 0
    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as writer,
    ):
        for batch in table.batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _opened(job: Job, paths: Sequence[Path], stack: ExitStack) -> list[Table]:
    import pyarrow as pa  # noqa: PLC0415 loaded only where rows are spooled

    opened = []
    for query, path in zip(_queries(job), paths, strict=True):
        file = stack.enter_context(pa.OSFile(str(path), "rb"))
        reader = stack.enter_context(pa.ipc.open_stream(file))
        opened.append(_table(query, reader.schema, _cancelled(job, reader)))
    return opened


class _Sha256Sink:
    """A write-only file that keeps nothing but the digest."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return len(data)


def _digest(job: Job, open_tables: _Open) -> str:
    """A digest of the rows, not of the file: the same rows, the same digest."""
    sink = _Sha256Sink()
    with ExitStack() as stack:
        for table in open_tables(stack):
            sink.write(repr(table.schema.names).encode())
            canonical = job.writer(_CANONICAL)
            # The writers only ever call write().
            canonical.write([table], cast(BinaryIO, sink), _options(job))
    return sink.sha256.hexdigest()


# --- Pieces -------------------------------------------------------------------

#: All rows in one file.
_WHOLE = ""


def _pieces(job: Job, rows: int) -> list[str]:
    """The names of the files that so many rows are split into, in order."""
    most = job.spec.report.max_rows
    if most is None or not _splits(job) or rows <= most:
        return [_WHOLE]
    count = -(-rows // most)
    if count > MAX_PIECES:
        raise Permanent(
            "too_many_files",
            f"{rows:,} rows, {most:,} in each file, would be {count:,} files; "
            f"{MAX_PIECES:,} are the most.",
            "Narrow the query, or raise max_rows in the Report.",
        )
    return [names.piece(number, count) for number in range(1, count + 1)]


def _cut(table: Table, most: int) -> Iterator[Table]:
    """Tables of `most` rows each; one is read to its end before the next is taken."""
    batches = _aligned(table.batches, most)
    while True:
        yield replace(table, batches=_first(batches, most))


def _aligned(batches: Iterator[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    """The same rows; every `most` of them a batch ends."""
    room = most
    for batch in batches:
        at = 0
        while at < batch.num_rows:
            piece = batch.slice(at, room)
            at += piece.num_rows
            room = room - piece.num_rows or most
            yield piece


def _first(batches: Iterator[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    rows = 0
    while rows < most and (batch := next(batches, None)) is not None:
        rows += batch.num_rows
        yield batch


# --- Parts --------------------------------------------------------------------


def _burst(packer: Packer, source: Source, wish: Burst) -> Exported:
    if wish.mode == "query":
        parts = bursting.parts_of(packer.job, source, lambda: iter(()))
        built = [one for part in parts for one in _asked(packer, source, part)]
        return Exported(artifacts=built, rows_digest="")
    job = packer.job
    open_tables = _spooled(job, partial(_open, job, source)).open
    digest = _digest(job, open_tables) if job.spec.if_unchanged != "send" else ""
    parts = bursting.parts_of(job, source, partial(_read, open_tables))
    with ExitStack() as stack:
        table = _only(open_tables(stack))
        column = bursting.column_of(table.schema, wish.key)
        dealer = bursting.Dealer(
            room=job.room,
            schema=table.schema,
            column=column,
            keys=[part.key for part in parts],
        )
        built = [
            one
            for number, rows in dealer.deal(table.batches)
            for one in _of_part(packer, table, rows, parts[number])
        ]
    left = bursting.left_out(dealer.left_out, wish.key) if dealer.left_out else ""
    return Exported(artifacts=built, rows_digest=digest, left_out=left)


def _asked(packer: Packer, source: Source, part: Part) -> list[Artifact]:
    """The files of a part that has a query of its own."""
    job = packer.job.about(part.values)
    open_tables = _spooled(job, partial(_open, job, source)).open
    with ExitStack() as stack:
        table = _only(open_tables(stack))
        rows = partial(_read, open_tables)
        return list(_of_part(replace(packer, job=job), table, rows, part))


def _only(tables: Sequence[Table]) -> Table:
    """`validate` refuses a burst of a workbook with several sheets."""
    (table,) = tables
    return table


def _read(open_tables: _Open) -> Iterator[pa.RecordBatch]:
    with ExitStack() as stack:
        yield from _only(open_tables(stack)).batches


def _of_part(
    packer: Packer, like: Table, rows: bursting.Batches, part: Part
) -> Iterator[Artifact]:
    """A file in each format, of rows that are looked at once more as they are written."""
    wish = packer.job.spec.burst
    column = bursting.column_of(like.schema, wish.key if wish else "")
    for name in packer.job.formats:
        packer.job.cancel.check()
        table = replace(like, batches=bursting.own(rows(), column, part))
        shown = _shown(packer.job, name)
        built = _build(packer, name, part.label, [table], shown)
        yield replace(built, key=part.label, values=part.values)


# --- Files --------------------------------------------------------------------


def _files(
    packer: Packer, format_name: str, open_tables: _Open, pieces: Sequence[str]
) -> Iterator[Artifact]:
    """The file of one format, or one for each piece, from one pass over the rows."""
    with ExitStack() as stack:
        tables = open_tables(stack)
        _refuse_several_tables(packer.job.writer(format_name), format_name, tables)
        shown = _shown(packer.job, format_name)
        if len(pieces) == 1:
            yield _build(packer, format_name, pieces[0], tables, shown)
            return
        (table,), most = tables, packer.job.spec.report.max_rows or 1
        for piece, cut in zip(pieces, _cut(table, most), strict=False):
            yield _build(packer, format_name, piece, [cut], shown)
            shown = 0


def _shown(job: Job, format_name: str) -> int:
    """Rows that mails show of the first file, which is in the first format."""
    return previewing.wanted(job) if format_name == job.formats[0] else 0


def _build(
    packer: Packer, format_name: str, piece: str, tables: Sequence[Table], shown: int
) -> Artifact:
    """One file of these tables, in the Blobs store; `piece` tells it from its siblings."""
    job, writer = packer.job, packer.job.writer(format_name)
    path = job.room(f"{format_name}.part")
    inner = job.file_name(None, writer.extension, piece)
    options, sample = _options(job), previewing.Sample(most=shown)
    first, *others = tables
    with packer.into(path, format_name, inner) as target:
        written = writer.write([sample.of(first), *others], target, options)
    for action, message in written.notes:
        packer.note(action, message)
    preview = sample.write(job, options)
    return Artifact(
        part=job.part(format_name, piece),
        name=job.compressed(inner),
        media_type=packer.media_type(writer.media_type),
        bytes=_size(job, path),
        sha256=packer.adopt(path),
        rows=written.rows,
        format=format_name,
        preview=packer.adopt(preview) if preview else "",
    )


def _size(job: Job, path: Path) -> int:
    size = path.stat().st_size
    if job.spec.max_artifact is not None and size > job.spec.max_artifact:
        raise Permanent(
            "too_large",
            f"The file has {size:,} bytes; the Policy allows {job.spec.max_artifact:,}.",
            "Narrow the query, compress, or raise limits.max_artifact in the Policy.",
        )
    return size


def _refuse_several_tables(
    target_format: Format, name: str, tables: Sequence[Table]
) -> None:
    if len(tables) > 1 and not target_format.several_tables:
        raise Permanent(
            "one_table_only",
            f"A {name} file holds one table; the report has {len(tables)} sheets.",
            "Use xlsx or html for this report.",
        )


def _options(job: Job) -> FormatOptions:
    spec = job.spec
    workbook = spec.report.workbook
    template = workbook.template if workbook else None
    period = job.prepared.period
    return FormatOptions(
        title=spec.report_title,
        timezone=job.zone,
        occurrence=job.run.occurrence,
        include_headers=spec.export.include_headers,
        dialect=spec.export.dialect or Dialect(),
        template=job.tools.blobs.read(spec.files[template]) if template else None,
        subtitle=period.label if period else "",
        cancel=job.cancel,
    )
