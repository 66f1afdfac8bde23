"""The doctor: looks at a state folder and at what BOE stands on (docs/operating/doctor.md)."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from boe_reconciler.core.calendar import TZDB_VERSION, tzdb_is_old
from boe_reconciler.core.checks import Check, LedgerFile, bad, ok, warn
from boe_reconciler.core.due import BEHIND, SERVED_WITHIN
from boe_reconciler.core.errors import BoeError, RunError
from boe_reconciler.core.notices import CHANNELS
from boe_reconciler.core.ports import Blobs, Ledger, Mailbox
from boe_reconciler.core.retention import files_kept, retention_of
from boe_reconciler.core.troubles import Kind
from boe_reconciler.core.wording import counted

#: Bytes that are free on the disk: below it nothing can be written soon, or later.
FULL, NEARLY_FULL = 100_000_000, 1_000_000_000
#: A log of changes of this size means that somebody keeps the ledger from tidying up.
LARGE_WAL = 500_000_000
#: File systems over a network, on which SQLite's locks and shared memory fail.
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre"}
NETWORK |= {"fuse.sshfs", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone", "beegfs"}
_TOLD = 20
#: After so long somebody should have been told.
UNTOLD = timedelta(minutes=10)
Checks = Iterator[Check]


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """What is looked at; each part is opened only when its turn comes."""

    state: Path
    ledger_path: Path
    look: Callable[[], LedgerFile]
    ledger: Callable[[], Ledger]
    blobs: Callable[[], Blobs]
    #: Where bounces arrive, as far as no network is needed to look there.
    mailboxes: Callable[[], Mapping[str, Mailbox]]
    #: Who serves it now.
    holder: str | None
    #: Of BOE.
    version: str
    now: datetime
    #: Read every stored file, and every page of the ledger.
    deep: bool = False


def examine(patient: Patient) -> list[Check]:
    """One Check or more for each part, in one order; what is broken stops nothing else."""
    checks = [ok("versions", f"boe {patient.version}, zone data {TZDB_VERSION}")]
    checks += _zone_data(patient)
    if not patient.ledger_path.exists():
        return [*checks, ok("state", f"nothing has run here yet: {patient.state}")]
    checks += [*_folder(patient), *_disk(patient), *_file_system(patient)]
    try:
        checks += _file(patient)
        checks += _inside(patient, patient.ledger())
    except BoeError as error:
        checks.append(bad("ledger", error.message, error.help))
    return checks


def _inside(patient: Patient, ledger: Ledger) -> Checks:
    yield from _promises(patient, ledger)
    yield from _files(patient, ledger)
    yield from _clock(patient, ledger)
    yield from _serving(patient, ledger)
    yield from _telling(patient, ledger)
    yield from _bounces(patient)


# --- What BOE stands on -----------------------------------------------------------


def _zone_data(patient: Patient) -> Checks:
    if tzdb_is_old(patient.now.date()):
        yield warn(
            "zone data",
            f"The time zone data {TZDB_VERSION} is older than half a year.",
            "Upgrade the package tzdata: some country has changed its clocks since.",
        )


def _folder(patient: Patient) -> Checks:
    """Only its owner may look into it: exports, and what a spec says, are in there."""
    mode = stat.S_IMODE(patient.state.stat().st_mode)
    if mode & 0o077:
        yield warn(
            "folder",
            f"Others may read {patient.state} (mode {mode:04o}).",
            f"chmod 700 {patient.state}",
        )
    else:
        yield ok("folder", f"{patient.state}, for its owner alone")


def _disk(patient: Patient) -> Checks:
    free = shutil.disk_usage(patient.state).free
    text = f"{_size(free)} are free in {patient.state}."
    todo = "Free some, or move the state folder."
    if free < FULL:
        yield bad("disk", text, todo)
    elif free < max(NEARLY_FULL, 2 * patient.ledger_path.stat().st_size):
        yield warn("disk", text, f"{todo} An upgrade puts a copy beside the ledger.")
    else:
        yield ok("disk", f"{_size(free)} free")


def _file_system(patient: Patient) -> Checks:
    kind = _kind_of(patient.state.resolve())
    if kind in NETWORK:
        yield warn(
            "file system",
            f"{patient.state} lies on {kind}, over a network.",
            "Put it on a local disk: SQLite's locks are not safe there.",
        )


def _kind_of(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The file system's name; "" where that cannot be told, as on macOS."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    found = [
        (len(place.parts), kind)
        for _, text, kind, *_ in lines
        if folder.is_relative_to(place := Path(text.replace("\\040", " ")))
    ]
    return max(found, default=(0, ""), key=lambda one: one[0])[1]


# --- The ledger -------------------------------------------------------------------


def _file(patient: Patient) -> Checks:
    found = patient.look()
    for line in found.damage[:_TOLD]:
        yield bad(
            "ledger",
            f"The file is damaged: {line}.",
            "Stop `boe run` and put a backup in its place: `boe restore`.",
        )
    if found.wal > LARGE_WAL:
        yield warn(
            "ledger",
            f"{_size(found.wal)} of changes wait to be written into its file.",
            "Look for a program that keeps the ledger open for reading.",
        )
    if not found.damage:
        free = 100 * found.free // max(found.bytes, 1)
        version = f"version {found.version}, {_size(found.bytes)}, {free} % free"
        yield ok("ledger", f"whole; {version}")


def _promises(patient: Patient, ledger: Ledger) -> Checks:
    broken = ledger.broken_invariants(now=patient.now)
    for text in broken[:_TOLD]:
        yield bad(
            "promises", text, "Please report it, with the output of `boe doctor`."
        )
    if len(broken) > _TOLD:
        text = f"… and {len(broken) - _TOLD} more."
        yield bad("promises", text, "Look at the first ones first.")
    if not broken:
        yield ok("promises", "I1 to I11 hold for every row")


def _clock(patient: Patient, ledger: Ledger) -> Checks:
    mark = ledger.high_water()
    if mark is None or mark <= patient.now:
        yield ok("clock", "not behind what is done")
        return
    text = (
        f"The clock is behind what is done: runs up to {mark:%Y-%m-%d %H:%M:%S}Z are."
    )
    if patient.now < mark - BEHIND:
        yield bad("clock", f"{text} Nothing is started.", "Set the clock right.")
    else:
        yield warn("clock", text, "Nothing is repeated; set the clock right.")


def _serving(patient: Patient, ledger: Ledger) -> Checks:
    dues = [one.next_due for one in ledger.states() if one.next_due and not one.pause]
    late = min(dues, default=patient.now) < patient.now - SERVED_WITHIN
    if patient.holder is None:
        yield ok("serving", "nobody serves now: `boe run` does")
    elif late:
        yield bad(
            "serving",
            f"{patient.holder} serves, but what is due since {min(dues):%H:%M:%S}Z has "
            "no row.",
            "Look at its log; stop it and start it again.",
        )
    else:
        yield ok("serving", f"{patient.holder} serves")


def _telling(patient: Patient, ledger: Ledger) -> Checks:
    """Whether people can be told of what is wrong."""
    tried = [one for channel in CHANNELS for one in ledger.owed(channel) if one.tries]
    for one in tried[:_TOLD]:
        who = one.body.get("who") or one.channel
        text = (
            f"{who} could not be told since {one.since:%Y-%m-%d %H:%M}Z: {one.detail}"
        )
        yield warn("notices", text, "It is tried again; look at that Connection.")
    lost = ledger.given_up()
    for one in lost[:_TOLD]:
        who = one.body.get("who") or one.channel
        text = f"{who} was not told at {one.since:%Y-%m-%d %H:%M}Z: {one.detail}"
        todo = "It is not tried again; mend that address, or that Connection."
        yield warn("notices", text, todo)
    unheard = [
        one
        for one in ledger.board().troubles.values()
        # Of a revision, statuses and a setting's address tell as well.
        if not one.heard and one.kind is not Kind.REVISION
    ]
    old = [one for one in unheard if one.at < patient.now - UNTOLD]
    if old and patient.holder is not None:
        text = f"Nobody was told of {counted(len(old), 'trouble')}, such as: {old[0].subject}."
        todo = "Set `notify`, or notices.ops in policy.yaml (docs/notices.md)."
        yield warn("notices", text, todo)
    if not tried and not old and not lost:
        yield ok("notices", "nothing that people had to be told is left")


def _bounces(patient: Patient) -> Checks:
    """Whether news of mails can be read where it arrives."""
    for at, box in patient.mailboxes().items():
        try:
            box.check()
        except RunError as error:
            text = f"{at}: {error.message}"
            yield bad("bounces", text, error.help or "Look at `bounces` there.")
        else:
            yield ok("bounces", f"{at} can read them")


# --- Stored files -----------------------------------------------------------------


def _files(patient: Patient, ledger: Ledger) -> Checks:
    blobs = patient.blobs()
    keep = files_kept(retention_of(ledger.served()))
    stored = set(blobs)
    needed = ledger.blobs_needed(keep, now=patient.now)
    missing = sorted({*needed} - stored, key=needed.__getitem__)
    spoiled = [one for one in sorted(stored) if patient.deep and _spoiled(blobs, one)]
    for sha256 in missing[:_TOLD]:
        text = f"The file of {needed[sha256]} is not in the Blobs store."
        yield bad("files", text, "`boe rerun` builds the file of a run anew.")
    for sha256 in spoiled[:_TOLD]:
        whose = needed.get(sha256, "nothing that is needed")
        text = f"The stored file {sha256} is not what it was; it is of {whose}."
        yield bad("files", text, "Look at the disk; remove the file, then `boe rerun`.")
    if not missing and not spoiled:
        how = "each as it was stored" if patient.deep else "none is missing"
        yield ok("files", f"{len(stored):,} stored, {how}")


def _spoiled(blobs: Blobs, sha256: str) -> bool:
    try:
        return not blobs.is_whole(sha256)
    except RunError:
        return False  # swept meanwhile


def _size(count: int) -> str:
    if count < 1_000_000_000:
        return f"{count / 1_000_000:.1f} MB"
    return f"{count / 1_000_000_000:.1f} GB"
