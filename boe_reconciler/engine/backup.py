"""A state folder as one file, and back (docs/operating/backup.md).

The ledger is copied first and the stored files after it: a file is stored before the
ledger names it, and none is swept meanwhile, so that all that the copy names is there.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from boe_reconciler.core.checks import Check
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.ports import Blobs, Clock
from boe_reconciler.engine.lock import ServeLock, SweepLock

FORMAT_VERSION = "1.0"
_MANIFEST, _LEDGER = "boe-backup.json", "ledger.sqlite"
_BLOB = re.compile(r"blobs/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_ENDINGS = (".tar", ".tar.gz", ".tgz")
_CHUNK = 1 << 20
#: Bytes of a manifest: it is read as a whole, a hundred times what one has.
_LARGEST_MANIFEST = 1 << 16
#: Seconds to wait for a sweep to end, and between two looks.
_PATIENCE, _LOOK = 120.0, 0.1
_TODO = "Take another one: `boe backup` makes them."


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The first member of a backup: what it is of, and what has to be in it."""

    format_version: str
    #: The version of BOE that made it.
    boe: str
    #: All that was committed before it is in it. ISO 8601, UTC.
    at: str
    ledger_sha256: str
    blobs: int

    @property
    def made(self) -> datetime:
        """ValueError, TypeError or OverflowError where `at` is no instant."""
        moment = datetime.fromisoformat(self.at)
        if moment.tzinfo is None:
            raise ValueError(f"{self.at} has no offset")
        return moment.astimezone(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a backup is made of."""

    state: Path
    #: Writes a consistent copy of the ledger, whoever writes into it meanwhile.
    copy_ledger: Callable[[Path], None]
    blobs: Blobs
    clock: Clock
    #: Of BOE.
    version: str


# --- Making one -------------------------------------------------------------------


def back_up(origin: Origin, target: Path) -> tuple[Manifest, Sequence[str]]:
    """Make `target`, whole and synced or not at all.

    With the hashes of stored files that were left out because they are not what they
    were. InputError if it cannot be made there.
    """
    _check_name(target)
    with _failures_told(target), _no_sweep(origin), _beside(target, "backup") as folder:
        at = origin.clock.now()
        ledger = folder / _LEDGER
        origin.copy_ledger(ledger)
        stored = {one: origin.blobs.is_whole(one) for one in origin.blobs}
        whole = [one for one, good in stored.items() if good]
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            boe=origin.version,
            at=at.isoformat(),
            ledger_sha256=_sha256(ledger),
            blobs=len(whole),
        )
        made = folder / target.name
        with _new(made) as file:
            tar = _archive(file, packed=not target.name.endswith(".tar"))
            _write(tar, manifest, [(_LEDGER, ledger), *_named(origin, whole)])
        made.rename(_free(target))
        _sync(target.parent)
    return manifest, [one for one, good in stored.items() if not good]


def _check_name(target: Path) -> None:
    if not target.name.endswith(_ENDINGS):
        raise InputError(
            f"{target.name} does not say what it is.", "End it with .tar or .tar.gz."
        )
    _free(target)


def _free(target: Path) -> Path:
    if not target.parent.is_dir():
        raise InputError(f"There is no folder {target.parent}.", "Make it first.")
    if target.exists() or target.is_symlink():
        raise InputError(f"{target} is there already.", "Give another name.")
    return target


def _named(origin: Origin, whole: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for sha256 in whole:
        yield f"blobs/{sha256[:2]}/{sha256}", origin.blobs.path(sha256)


def _archive(file: IO[bytes], *, packed: bool) -> tarfile.TarFile:
    if packed:
        return tarfile.open(fileobj=file, mode="w:gz", compresslevel=6)
    return tarfile.open(fileobj=file, mode="w")


def _write(
    archive: tarfile.TarFile, manifest: Manifest, parts: Sequence[tuple[str, Path]]
) -> None:
    text = json.dumps(asdict(manifest), indent=2).encode()
    with archive as tar:
        tar.addfile(_member(_MANIFEST, len(text)), io.BytesIO(text))
        for name, path in parts:
            with path.open("rb") as part:
                tar.addfile(_member(name, path.stat().st_size), part)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


@contextmanager
def _no_sweep(origin: Origin) -> Iterator[None]:
    lock, clock = SweepLock(origin.state), origin.clock
    end = clock.monotonic() + _PATIENCE
    while not lock.try_acquire():
        if clock.monotonic() >= end:
            raise InputError(f"{lock.holder()} holds {lock.path}.", "Try again later.")
        clock.sleep(_LOOK)
    try:
        yield
    finally:
        lock.release()


# --- Putting one back -------------------------------------------------------------

#: Brings what was unpacked into a state to serve from; what the doctor then says.
Settle = Callable[[Path, Manifest], Sequence[Check]]


def restore(
    source: Path, state: Path, settle: Settle
) -> tuple[Manifest, Sequence[Check]]:
    """Unpack and verify it beside `state`, which then appears whole, or not at all.

    InputError for a state folder that is not empty, and for a backup that is damaged.
    """
    _refuse_others(state)
    with _failures_told(state):
        state.parent.mkdir(parents=True, exist_ok=True)
    with _failures_told(source), _beside(state, "restore") as folder:
        with _damage_told(source):
            manifest = _unpack(source, folder)
        try:
            checks = settle(folder, manifest)
        except InputError as error:
            told = error.message.replace(str(folder / _LEDGER), f"in {source}")
            raise InputError(told, error.help) from error
        _sync_all(folder)
        _refuse_others(state)
        folder.rename(state)
        _sync(state.parent)
    return manifest, checks


def _refuse_others(state: Path) -> None:
    if not state.exists():
        return
    holder = ServeLock(state).seen() if state.is_dir() else None
    if holder:
        raise InputError(
            f"{holder} serves {state}.", "Give a new folder with --state, or stop it."
        )
    if not state.is_dir() or any(state.iterdir()):
        raise InputError(
            f"{state} is not empty.", "Give a new folder with --state, or move it away."
        )


def _unpack(source: Path, folder: Path) -> Manifest:
    with tarfile.open(source, "r:*") as tar:
        members = iter(tar)
        manifest = _manifest(source, tar, next(members, None))
        (folder / "blobs").mkdir(mode=0o700)
        found = [_unpack_one(source, tar, member, folder) for member in members]
    if found.count(manifest.ledger_sha256) != 1 or len(found) != manifest.blobs + 1:
        raise _damaged(source, "something is missing")
    return manifest


def _manifest(
    source: Path, tar: tarfile.TarFile, member: tarfile.TarInfo | None
) -> Manifest:
    file = _plain(tar, member) if member and member.name == _MANIFEST else None
    if file is None or member is None or member.size > _LARGEST_MANIFEST:
        raise _damaged(source, "it is no backup of boe")
    found = json.load(file)
    version = str(found.get("format_version"))
    if version.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        raise InputError(
            f"{source} was made by a newer BOE ({found.get('boe')}).",
            "Install that version to restore it.",
        )
    names = Manifest.__dataclass_fields__
    manifest = Manifest(**{name: found[name] for name in names})
    # Odd ones are told before anything is unpacked.
    _ = manifest.made, manifest.blobs + 1
    return manifest


def _plain(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
    """None for a link, and for a sparse file: a few bytes of it could fill the disk."""
    return tar.extractfile(member) if member.isreg() and not member.sparse else None


def _unpack_one(
    source: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path
) -> str:
    """Its hash. Only the names that a backup has are taken: no path leads elsewhere."""
    blob = _BLOB.fullmatch(member.name)
    part = _plain(tar, member)
    if part is None or not (blob or member.name == _LEDGER):
        raise _damaged(source, f"{member.name!r} has no place in a backup")
    target = folder / member.name
    target.parent.mkdir(mode=0o700, exist_ok=True)
    digest = hashlib.sha256()
    with _new(target) as file:
        while chunk := part.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
    if blob and digest.hexdigest() != blob[2]:
        raise _damaged(source, f"{member.name} is not what it was")
    return digest.hexdigest()


#: What Python makes of a manifest that somebody else wrote.
_ODD = (
    *(ValueError, KeyError, AttributeError, TypeError),
    *(OverflowError, RecursionError),
)


@contextmanager
def _damage_told(source: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(source, f"it is damaged ({error})") from error
    except _ODD as error:
        raise _damaged(source, f"its {_MANIFEST} cannot be read") from error


def _damaged(source: Path, why: str) -> InputError:
    return InputError(f"{source} cannot be restored: {why}.", _TODO)


# --- Files ------------------------------------------------------------------------


@contextmanager
def _failures_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}.", "Look at the disk and at its rights."
        ) from error


@contextmanager
def _beside(path: Path, what: str) -> Iterator[Path]:
    """A folder for its owner alone, in the same file system, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f".boe-{what}-", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _new(path: Path) -> Iterator[IO[bytes]]:
    """A file that was not there, for its owner alone, synced at the end."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir():
            _sync(path)
    _sync(folder)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
