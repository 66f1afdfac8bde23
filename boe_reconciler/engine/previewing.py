"""The first rows of a file, kept as they pass by, for the mails that show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from boe_reconciler.core.ports import FormatOptions, Table
from boe_reconciler.core.preview import Preview, stored_preview
from boe_reconciler.core.runs import Artifact
from boe_reconciler.engine.job import Job

if TYPE_CHECKING:
    import pyarrow as pa

_FORMAT = "preview"


def wanted(job: Job) -> int:
    """As many rows as the mail that shows most of them.

    None of a file that opens only with a password: a mail is read without it.
    """
    if job.spec.export.password is not None:
        return 0
    mails = (getattr(one.spec, "preview_rows", 0) for one in job.spec.destinations)
    return max(mails, default=0)


@dataclass(kw_only=True, slots=True)
class Sample:
    #: Rows at most.
    most: int
    _table: Table | None = None
    _kept: list[pa.RecordBatch] = field(default_factory=list)

    def of(self, table: Table) -> Table:
        """The same table; its first rows are kept as somebody reads it."""
        if not self.most:
            return table
        self._table = table
        return replace(table, batches=self._passing(table.batches))

    def _passing(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        room = self.most
        for batch in batches:
            if room and batch.num_rows:
                self._kept.append(batch.slice(0, room))
                room -= self._kept[-1].num_rows
            yield batch

    def write(self, job: Job, options: FormatOptions) -> Path | None:
        """A file to be stored; None where there is nothing to show."""
        if self._table is None or not self._kept:
            return None
        path = job.room("preview.part")
        table = replace(self._table, batches=iter(self._kept))
        with path.open("wb") as target:
            job.writer(_FORMAT).write([table], target, options)
        return path


def preview_of(job: Job, file: Artifact, count: int) -> Preview | None:
    """As many rows of what was stored with the file. Permanent where that is gone."""
    if not file.preview or not count:
        return None
    found = stored_preview(job.tools.blobs.read(file.preview)).first(count)
    workbook = job.spec.report.workbook
    if found is None or workbook is None or len(workbook.sheets) == 1:
        return found
    return replace(found, sheet=workbook.sheets[0].name)
