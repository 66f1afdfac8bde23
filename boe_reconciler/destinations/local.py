"""A folder on this machine, or one that is mounted here.

Accepted means: the bytes lie under their final name, and file and folder are
synced. The bytes are written under a temporary name in the same folder, which then
gets the final name in one step that never replaces another file. The temporary
name stays until everything is done, so that a later look can tell our file from
somebody else's.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from io import FileIO
from itertools import count
from pathlib import Path, PurePosixPath
from secrets import token_hex
from threading import Lock

from boe_reconciler.core import names
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel, Means, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.destinations._artifacts import check_unchanged, opened
from boe_reconciler.destinations._outcomes import conflict, outcome_of

CHUNK = 1 << 20
#: A name that others keep taking is left to the ordinary retry after as many tries.
_AT_ONCE = 20
#: Seconds until a full or failing disk is tried again.
DISK_DELAY = 60.0
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: The system's answers that stay the same until somebody changes something.
_FINAL = {
    errno.EACCES: "no_permission",
    errno.EPERM: "no_permission",
    errno.EROFS: "read_only",
    errno.ENOTDIR: "not_a_folder",
    errno.EISDIR: "not_a_file",
    errno.ELOOP: "symbolic_link",
    errno.ENAMETOOLONG: "name_too_long",
    errno.EINVAL: "bad_name",
}
_LATER = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EIO: "disk_error",
    errno.ENOENT: "folder_missing",
}
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
#: Where there are no hard links, two of our own must not rename at the same time.
_RENAMING = Lock()


def create(means: Means) -> LocalDestination:
    return LocalDestination(means.local_root, means.local_roots)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """An intent, taken apart."""

    #: Exists, and may itself be a symbolic link: whoever set it up chose it.
    root: Path
    #: Folders below it, each opened without following a link.
    folders: tuple[str, ...]
    name: str
    temporary: str

    @property
    def path(self) -> Path:
        return self.root.joinpath(*self.folders, self.name)


class LocalDestination:
    def __init__(self, root: Path, allowed_roots: Sequence[str] | None) -> None:
        self._root = root
        self._allowed = allowed_roots

    def deliver(
        self, shipments: Iterable[Shipment], cancel: Cancel
    ) -> Iterator[Outcome]:
        for shipment in shipments:
            cancel.check()
            outcome = self._try(shipment, cancel)
            for _ in range(_AT_ONCE):
                if outcome.reason != "name_taken":
                    break
                outcome = self._try(shipment, cancel, look=True)
            yield outcome

    def probe(self, shipment: Shipment) -> Outcome | None:
        """Ends what was begun: a file that has its name only needs its marker."""
        if not shipment.intent:
            return None
        try:
            place = self._place(shipment.intent)
            with _opened(place, make=False) as folder:
                if folder.is_ours(place) or folder.holds(place.name, shipment):
                    return _finish(folder, place, shipment)
                folder.remove(place.temporary)
        except FileNotFoundError:
            return None
        except (OSError, RunError) as error:
            return _outcome(error)
        return None

    def _try(
        self, shipment: Shipment, cancel: Cancel, *, look: bool = False
    ) -> Outcome:
        intent = self.choose(shipment, look=look)
        shipment.begin(intent)
        return self.attempt(shipment, intent, cancel)

    def attempt(
        self, shipment: Shipment, intent: Mapping[str, str], cancel: Cancel
    ) -> Outcome:
        """One try under the names of the intent."""
        try:
            return self._deliver(shipment, self._place(intent), cancel)
        except (OSError, Temporary, Permanent) as error:
            return _outcome(error)

    def choose(self, shipment: Shipment, *, look: bool = False) -> Mapping[str, str]:
        """`folder` (below the local root, or absolute), `name` and `temporary`.

        Touches nothing. The earlier intent stays while its file only waits for its marker.
        `look` for a number that is free: a new delivery takes its name without, as a folder
        that hangs shall not keep it from its first word.
        """
        if self._is_ours(shipment):
            return shipment.intent
        folder = PurePosixPath(shipment.spec.base_path)
        if shipment.spec.create_subdirs:
            folder /= names.dated_folder(shipment.occurrence, shipment.timezone)
        wanted = names.sanitise(shipment.filename)
        intent = {
            "folder": str(folder),
            "name": wanted,
            "temporary": f".boe-{shipment.key.identity[:16]}-{token_hex(4)}",
        }
        if look and shipment.spec.if_exists == "number":
            with suppress(RunError):  # deliver meets it again and says so
                intent["name"] = _free_name(self._place(intent), wanted)
        return intent

    def _deliver(self, shipment: Shipment, place: _Place, cancel: Cancel) -> Outcome:
        with _opened(place, make=True) as folder:
            # With `number` the same bytes under that name may be another delivery's.
            same_is_ours = shipment.spec.if_exists != "number"
            if not folder.is_ours(place) and not (
                same_is_ours and folder.holds(place.name, shipment)
            ):
                _write(folder, place, shipment, cancel)
            return _finish(folder, place, shipment)

    def _is_ours(self, shipment: Shipment) -> bool:
        if not shipment.intent:
            return False
        try:
            place = self._place(shipment.intent)
            with _opened(place, make=False) as folder:
                return folder.is_ours(place)
        except (OSError, RunError):  # deliver meets it again and says so
            return False

    def _place(self, intent: Mapping[str, str]) -> _Place:
        """The intent, checked once more. Permanent `outside_root`, `bad_name`."""
        if not intent:
            raise Permanent("no_intent", "nothing was chosen for this delivery")
        path, name = intent["folder"], intent["name"]
        wrong = names.check_base_path(path, self._allowed)
        root = names.base_root(path, self._allowed)
        if wrong or root is None:
            raise Permanent("outside_root", f"the folder {path!r} is refused: {wrong}")
        if names.sanitise(name) != name:
            raise Permanent("bad_name", f"{name!r} is no safe file name")
        return _Place(
            root=Path(root) if root else self._root,
            folders=PurePosixPath(path).relative_to(root or ".").parts,
            name=name,
            temporary=intent["temporary"],
        )


def _free_name(place: _Place, wanted: str) -> str:
    """As far as a look tells: whoever delivers there looks again."""
    candidates = (names.numbered(wanted, number) for number in count(1))
    return next(
        each for each in candidates if not os.path.lexists(place.path.with_name(each))
    )


# --- One folder, held open ----------------------------------------------------


class _Folder:
    """All by descriptor: nobody can swap the folder for a link meanwhile."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def stat(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_ours(self, place: _Place) -> bool:
        """Whether the final name is one more link to our temporary file."""
        final = self.stat(place.name)
        temporary = final and self.stat(place.temporary)
        return bool(final and temporary and os.path.samestat(final, temporary))

    def holds(self, name: str, shipment: Shipment) -> bool:
        """Whether the file of that name has the artifact's bytes."""
        found = self.stat(name)
        if not found or not stat.S_ISREG(found.st_mode):
            return False
        if found.st_size != shipment.bytes:
            return False
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        with os.fdopen(fd, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == shipment.sha256

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.fd)

    def link(self, place: _Place) -> None:
        """Give the temporary file its final name; FileExistsError if that is taken."""
        both = {"src_dir_fd": self.fd, "dst_dir_fd": self.fd}
        try:
            os.link(place.temporary, place.name, follow_symlinks=False, **both)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            with _RENAMING:
                if self.stat(place.name):
                    raise FileExistsError(errno.EEXIST, "exists", place.name) from None
                os.rename(place.temporary, place.name, **both)  # noqa: PTH104 by descriptor


@contextmanager
def _opened(place: _Place, *, make: bool) -> Iterator[_Folder]:
    """The place's folder, opened one component after the other from its root."""
    fd = _open_root(place.root)
    try:
        for name in place.folders:
            fd, parent = _open_child(fd, name, make=make), fd
            os.close(parent)
        yield _Folder(fd)
    finally:
        os.close(fd)


def _open_root(root: Path) -> int:
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        detail = f"the folder {root} is not there"
        todo = "create it, or mount what belongs there"
        delay = timedelta(seconds=DISK_DELAY)
        raise Temporary("root_missing", detail, todo, delay=delay) from error


def _open_child(parent: int, name: str, *, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=parent)
    except FileNotFoundError:
        if not make:
            raise
    except (NotADirectoryError, OSError) as error:
        if stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode):
            detail = f"{name!r} is a symbolic link, which is never followed"
            todo = "use the folder it points to, and list that in Policy's local_roots"
            raise Permanent("symbolic_link", detail, todo) from error
        raise
    with suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)
        os.fsync(parent)
    return os.open(name, _FOLDER, dir_fd=parent)


# --- The act ------------------------------------------------------------------


def _write(folder: _Folder, place: _Place, shipment: Shipment, cancel: Cancel) -> None:
    """The bytes under the final name. Temporary `name_taken`, Permanent `exists`."""
    folder.remove(place.temporary)  # of an attempt that was cut off
    try:
        if shipment.spec.if_exists != "overwrite" and folder.stat(place.name):
            raise FileExistsError  # before all of it is written
        _fill(folder, place, shipment, cancel)
        if shipment.spec.if_exists == "overwrite":
            both = {"src_dir_fd": folder.fd, "dst_dir_fd": folder.fd}
            os.replace(place.temporary, place.name, **both)  # noqa: PTH105 by descriptor
        else:
            folder.link(place)
    except FileExistsError as error:
        folder.remove(place.temporary)
        raise _taken(place, shipment) from error
    except BaseException:
        with suppress(OSError):
            folder.remove(place.temporary)
        raise


def _taken(place: _Place, shipment: Shipment) -> RunError:
    if shipment.spec.if_exists == "error":
        return conflict(repr(place.name), "number or overwrite")
    detail = f"{place.name!r} is already there, with other content"
    return Temporary("name_taken", detail, delay=timedelta(0))


def _fill(folder: _Folder, place: _Place, shipment: Shipment, cancel: Cancel) -> None:
    """Write the temporary file, with the right mode, synced, and verified."""
    digest = hashlib.sha256()
    size = min(CHUNK, max(shipment.bytes, 1))  # a read takes its room before it reads
    fd = os.open(place.temporary, _NEW_FILE, 0o600, dir_fd=folder.fd)
    with os.fdopen(fd, "wb", buffering=0) as target, opened(shipment.path) as source:
        while chunk := source.read(size):
            cancel.check()
            digest.update(chunk)
            _write_all(target, chunk)
            shipment.sent(target.tell())
        check_unchanged(digest.hexdigest(), shipment.sha256)
        os.fchmod(fd, int(shipment.spec.mode, 8))
        os.fsync(fd)
        now = folder.stat(place.temporary)
        if not now or not os.path.samestat(now, os.fstat(fd)):
            raise Temporary("overtaken", "another attempt writes the same file")


def _write_all(target: FileIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[target.write(view) or 0 :]


def _finish(folder: _Folder, place: _Place, shipment: Shipment) -> Outcome:
    """The marker last, then no temporary name, and all of it synced."""
    if shipment.spec.done_marker:
        os.fsync(folder.fd)
        marker = names.marker_name(shipment.spec.done_marker, place.name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(marker, flags, int(shipment.spec.mode, 8), dir_fd=folder.fd)
        os.utime(fd)
        os.close(fd)
    folder.remove(place.temporary)
    os.fsync(folder.fd)
    return Outcome(
        status=DeliveryStatus.ACCEPTED,
        receipt=f"sha256:{shipment.sha256}",
        remote=str(place.path),
    )


def _outcome(error: OSError | RunError) -> Outcome:
    return outcome_of(_translate(error) if isinstance(error, OSError) else error)


def _translate(error: OSError) -> RunError:
    code = error.errno or 0
    where = f": {error.filename}" if error.filename else ""
    detail = f"{error.strerror or error}{where}"
    if code in _FINAL:
        return Permanent(_FINAL[code], detail)
    delay = timedelta(seconds=DISK_DELAY)
    return Temporary(_LATER.get(code, "disk_error"), detail, delay=delay)
