"""Source -> format -> artifacts: the files of one run, built once."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from boe_reconciler.core import names
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import (
    Code,
    Format,
    FormatOptions,
    Source,
    Table,
    Written,
)
from boe_reconciler.core.resources.report import Column
from boe_reconciler.core.resources.schedule import Dialect
from boe_reconciler.core.runs import Artifact
from boe_reconciler.engine.job import Job

if TYPE_CHECKING:
    import pyarrow as pa

#: The formats' own way to write rows that is the same wherever batches begin.
_CANONICAL = "jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    artifacts: Sequence[Artifact]
    rows: int
    #: Hex digest of all rows; "" unless `if_unchanged` asks for it.
    rows_digest: str


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
    """Run the queries, write each format's file, and move the files into the Blobs store."""
    with job.tools.backends.source(job.spec) as source:
        _refuse_failed_checks(job, source)
        open_tables: _Open = lambda stack: _open(job, source, stack)  # noqa: E731 a value beside its twin
        if _several_readers(job):
            open_tables = _spooled(job, open_tables)
        built = [_build(job, name, open_tables) for name in job.formats]
    digest = _digest(job, open_tables) if job.spec.if_unchanged != "send" else ""
    artifacts = list(built)
    return Exported(artifacts=artifacts, rows=built[0].rows, rows_digest=digest)


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
        batches = _limited(job, iter(rows))
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
    batches = _limited(job, iter(done.rows))
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


def _limited(job: Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Stop at the row limit and at a cancel."""
    limits = [limit for limit in (job.spec.report.max_rows, job.spec.max_rows) if limit]
    most, rows = min(limits, default=None), 0
    for batch in _cancelled(job, batches):
        rows += batch.num_rows
        if most is not None and rows > most:
            raise Permanent(
                "too_many_rows",
                f"The report has more than {most:,} rows.",
                "Narrow the query, or raise max_rows in the Report or in the Policy.",
            )
        yield batch


def _cancelled(job: Job, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Stop at a cancel."""
    for batch in batches:
        job.cancel.check()
        yield batch


def _several_readers(job: Job) -> bool:
    return len(job.formats) > 1 or job.spec.if_unchanged != "send"


def _spooled(job: Job, open_tables: _Open) -> _Open:
    """Ask the source once, into files that can be read any number of times."""
    import pyarrow as pa  # noqa: PLC0415 loaded only where rows are spooled

    with ExitStack() as stack:
        tables = open_tables(stack)
        paths = []
        for number, table in enumerate(tables):
            path = job.folder / f"rows-{number}.arrow"
            with (
                pa.OSFile(str(path), "wb") as sink,
                pa.ipc.new_stream(sink, table.schema) as writer,
            ):
                for batch in table.batches:
                    writer.write_batch(batch)
            paths.append(path)

    def again(stack: ExitStack) -> list[Table]:
        opened = []
        for query, path in zip(_queries(job), paths, strict=True):
            file = stack.enter_context(pa.OSFile(str(path), "rb"))
            reader = stack.enter_context(pa.ipc.open_stream(file))
            opened.append(_table(query, reader.schema, _cancelled(job, reader)))
        return opened

    return again


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


# --- Files --------------------------------------------------------------------


def _build(job: Job, format_name: str, open_tables: _Open) -> Artifact:
    target_format = job.writer(format_name)
    inner = job.file_name(None, target_format.extension)
    path = job.folder / f"{format_name}.part"
    with ExitStack() as stack:
        tables = open_tables(stack)
        _refuse_several_tables(target_format, format_name, tables)
        raw = stack.enter_context(path.open("wb"))
        target = stack.enter_context(_compressed(job, raw, inner))
        written = target_format.write(tables, target, _options(job))
    return _artifact(job, format_name, path, written)


def _artifact(job: Job, format_name: str, path: Path, written: Written) -> Artifact:
    size = path.stat().st_size
    if job.spec.max_artifact is not None and size > job.spec.max_artifact:
        raise Permanent(
            "too_large",
            f"The file has {size:,} bytes; the Policy allows {job.spec.max_artifact:,}.",
            "Narrow the query, compress, or raise limits.max_artifact in the Policy.",
        )
    for action, message in written.notes:
        job.note(action, message)
    target_format = job.tools.backends.format(format_name)
    compress = job.spec.export.compress
    return Artifact(
        part="-" if len(job.formats) == 1 else format_name,
        name=names.compressed(job.file_name(None, target_format.extension), compress),
        media_type=_MEDIA_TYPES.get(compress, target_format.media_type),
        bytes=size,
        sha256=job.tools.blobs.adopt(path),
        rows=written.rows,
    )


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


# --- Compression --------------------------------------------------------------

_MEDIA_TYPES: dict[object, str] = {"gzip": "application/gzip", "zip": "application/zip"}


@contextmanager
def _compressed(job: Job, raw: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """`raw`, or a stream that compresses into it; the only time inside is the occurrence."""
    match job.spec.export.compress:
        case "gzip":
            from isal import igzip  # noqa: PLC0415 loaded only where it compresses

            moment = job.run.occurrence.timestamp()
            with igzip.IGzipFile(  # type: ignore[no-untyped-call]  # it has no types
                "", "wb", fileobj=raw, mtime=moment
            ) as target:
                yield cast(BinaryIO, target)
        case "zip":
            entry = zipfile.ZipInfo(name, _zip_time(job.run.occurrence, job))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with (
                zipfile.ZipFile(raw, "w") as archive,
                archive.open(entry, "w", force_zip64=True) as target,
            ):
                yield cast(BinaryIO, target)
        case _:
            yield raw


def _zip_time(occurrence: datetime, job: Job) -> tuple[int, int, int, int, int, int]:
    """Zip knows wall time only, from 1980 on."""
    local = occurrence.astimezone(job.zone)
    return (
        max(local.year, 1980),
        local.month,
        local.day,
        local.hour,
        local.minute,
        local.second,
    )
