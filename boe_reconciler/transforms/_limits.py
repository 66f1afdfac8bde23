"""What the operating system is asked to hold a child to.

Linux has all of it. macOS takes no limit of memory and knows no fence around folders;
there a child is killed with its parent and has no secrets, but nothing more.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

#: Of prctl(2).
_PDEATHSIG, _NO_NEW_PRIVILEGES, _SUBREAPER = 1, 38, 36
_LINUX = sys.platform == "linux"
#: Databases that a child which is kept has open at a time.
DATABASES = 2
#: Address space of a thread's stack, and threads that a DuckDB has besides one a processor.
_STACK, _THREADS = 8 << 20, 8


def room_of_databases() -> int:
    """Bytes of address space of their threads, which take memory only as they are used."""
    return DATABASES * ((os.cpu_count() or 1) + _THREADS) * _STACK


def _prctl(*values: int) -> None:
    if _LINUX:
        ctypes.CDLL(None).prctl(*values, *(0,) * (5 - len(values)))


def adopt_orphans() -> None:
    """What a child leaves behind becomes ours, to be ended."""
    _prctl(_SUBREAPER, 1)


def own_children() -> list[int]:
    """The pids of all children of this process, where the system tells."""
    with suppress(OSError):
        pid = os.getpid()
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in text.split()]
    return []


def end_with_parent(parent: int) -> None:
    """Killed by the system when the fork server ends, whatever this process does."""
    _prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def be_the_first_to_go() -> None:
    """When the machine has no memory left, the system ends this process, not BOE."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def limit_memory(size: int) -> None:
    """So many bytes more than are mapped now; and no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _LINUX:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + size
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


# --- The fence around folders (Landlock) ----------------------------------------

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_ARCHITECTURES = ("x86_64", "aarch64", "riscv64")
_VERSION = 1
#: Bits of linux/landlock.h, as far as its first version knows them.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ALL_OF_1 = (1 << 13) - 1
#: Moving between folders, since version 2; truncating, since version 3.
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READ = _EXECUTE | _READ_FILE | _READ_DIR


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("access", ctypes.c_uint64), ("parent", ctypes.c_int32))


def fence(readable: Iterable[Path], writable: Sequence[Path]) -> None:
    """From now on nothing else can be opened; needs Linux 5.13, else does nothing.

    It closes other processes' memory and environment in /proc as well.
    """
    if not (_LINUX and platform.machine() in _ARCHITECTURES):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, 0, _VERSION)
    if version < 1:
        return
    known = _ALL_OF_1
    known |= _REFER if version >= 2 else 0
    known |= _TRUNCATE if version >= 3 else 0
    handled = ctypes.c_uint64(known)
    rules = libc.syscall(_CREATE, ctypes.byref(handled), 8, 0)
    if rules < 0:
        return
    for path in readable:
        _allow(libc, rules, path, _READ)
    for path in writable:
        _allow(libc, rules, path, known & ~_EXECUTE)
    _prctl(_NO_NEW_PRIVILEGES, 1)
    libc.syscall(_RESTRICT, rules, 0)
    os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: Path, access: int) -> None:
    flags = os.O_PATH | os.O_CLOEXEC
    with suppress(OSError):
        place = os.open(path, flags)
        try:
            if not path.is_dir():
                access &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
            rule = _Beneath(access=access, parent=place)
            libc.syscall(_ADD_RULE, rules, 1, ctypes.byref(rule), 0)
        finally:
            os.close(place)
