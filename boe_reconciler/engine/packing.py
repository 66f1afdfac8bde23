"""What is done to a file's bytes on their way to disk: compression and a password."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from boe_reconciler.core.blocks import Blocks
from boe_reconciler.core.ports import Sealing
from boe_reconciler.core.runs import Event
from boe_reconciler.engine.job import Job

_MEDIA_TYPES: dict[object, str] = {"gzip": "application/gzip", "zip": "application/zip"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Packer:
    """How the files of one run are packed, and put away."""

    job: Job
    password: str | None = field(repr=False)
    #: Takes a finished file; the sha256 in hex.
    adopt: Callable[[Path], str]
    #: What was noticed as the files were written, each once.
    notes: dict[tuple[str, str], Event] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def of(cls, job: Job) -> Iterator[Packer]:
        """Once it is left, its files are in the Blobs store, and its notes are kept.

        Permanent `secret_missing` where the password cannot be had.
        """
        secret = job.spec.export.password
        password = job.tools.backends.secrets.resolve(secret) if secret else None
        with job.tools.blobs.adopting() as adopt:
            packer = cls(job=job, password=password, adopt=adopt)
            try:
                yield packer
            finally:
                if packer.notes:
                    job.tools.ledger.note(list(packer.notes.values()))

    def note(self, action: str, message: str) -> None:
        """For the run's history; what is so of thousands of files is told once."""
        if (action, message) not in self.notes:
            self.notes[action, message] = self.job.event(action, message)

    def media_type(self, plain: str) -> str:
        return _MEDIA_TYPES.get(self.job.spec.export.compress, plain)

    @contextmanager
    def into(self, path: Path, format_name: str, name: str) -> Iterator[BinaryIO]:
        """A file to write to; once it was left, `path` holds it packed.

        `name` is the file's name before compression.
        """
        with ExitStack() as stack:
            raw = stack.enter_context(path.open("wb"))
            if self.password is None:
                yield stack.enter_context(_compressed(self.job, raw, name))
                return
            plain = path.with_suffix(".plain")
            stack.callback(plain.unlink, missing_ok=True)
            with plain.open("wb") as target:
                yield target
            self._protect(plain, raw, format_name, name)

    def _protect(self, plain: Path, raw: BinaryIO, format_name: str, name: str) -> None:
        zipped = self.job.spec.export.compress == "zip"
        protection = self.job.tools.backends.protection(
            "zip" if zipped else format_name
        )
        sealing = Sealing(
            password=self.password or "",
            name=name,
            occurrence=_local(self.job),
            cancel=self.job.cancel,
        )
        if zipped:
            protection.protect(plain, raw, sealing)
            return
        with _compressed(self.job, raw, name) as target:
            protection.protect(plain, target, sealing)


@contextmanager
def _compressed(job: Job, raw: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """`raw`, or a stream that compresses into it; the only time inside is the occurrence."""
    match job.spec.export.compress:
        case "gzip":
            with gzipped(raw, job.run.occurrence) as target:
                yield target
        case "zip":
            entry = zipfile.ZipInfo(name, _zip_time(job))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with (
                zipfile.ZipFile(raw, "w") as archive,
                archive.open(entry, "w", force_zip64=True) as target,
            ):
                yield cast(BinaryIO, target)
        case _:
            yield raw


@contextmanager
def gzipped(raw: BinaryIO, when: datetime) -> Iterator[BinaryIO]:
    """A stream that compresses into `raw`; `when` is the only time inside."""
    from isal import igzip  # noqa: PLC0415 loaded only where it compresses

    with igzip.IGzipFile(  # type: ignore[no-untyped-call]  # it has no types
        "", "wb", fileobj=raw, mtime=when.timestamp()
    ) as target:
        even = _Even(cast(BinaryIO, target))
        yield cast(BinaryIO, even)
        even.end()


class _Even(io.RawIOBase):
    """Writes in blocks of one size."""

    def __init__(self, target: BinaryIO) -> None:
        super().__init__()
        self._target = target
        self._blocks = Blocks()
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        for block in self._blocks.of(data):
            self._target.write(block)
        self._at += size
        return size

    def tell(self) -> int:
        return self._at

    def end(self) -> None:
        self._target.write(self._blocks.rest())


def _local(job: Job) -> datetime:
    """Zip knows wall time only, from 1980 on."""
    local = job.run.occurrence.astimezone(job.zone)
    return local.replace(year=max(local.year, 1980))


def _zip_time(job: Job) -> tuple[int, int, int, int, int, int]:
    year, month, day, hour, minute, second, *_ = _local(job).timetuple()
    return year, month, day, hour, minute, second
