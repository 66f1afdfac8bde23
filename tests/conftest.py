"""What holds for all tests: no network, nobody's home, an environment of our own."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import settings

#: What a test may see of the environment that started it: the machine, not the person.
KEPT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "PYTEST_",
    "COV_",
    "COVERAGE_",
    "VIRTUAL_ENV",
)

# The quick suite gives the same answer each time; `make slow` looks further.
settings.register_profile("quick", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("slow", deadline=None, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden", action="store_true", help="rewrite the expected files of the tests"
    )


#: A disk in memory: a process that is killed loses nothing of it, and no test waits for
#: another disk. How many bytes have to be free there.
MEMORY, ROOM = Path("/dev/shm"), 8 << 30


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("slow" if config.option.markexpr == "slow" else "quick")
    if _has_room(MEMORY):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def _has_room(folder: Path) -> bool:
    """Room enough, and programs may be started from there."""
    with suppress(OSError):
        found = os.statvfs(folder)
        runs = not found.f_flag & os.ST_NOEXEC
        return runs and found.f_bavail * found.f_frsize >= ROOM
    return False


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty home, and no variable but what `KEPT` lets through."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if not name.startswith(KEPT):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("PYTEST_DEBUG_TEMPROOT", raising=False)  # it was read
        patch.setenv("TZ", "Asia/Kathmandu")  # where no test would expect to be
        yield


@pytest.fixture(autouse=True)
def _nobody_stays() -> Iterator[None]:
    """No thread of ours outlives its test, to complain of it in the next one's name."""
    before = set(threading.enumerate())
    yield
    stay = [
        one.name
        for one in threading.enumerate()
        if one not in before and one.name.startswith(("post-", "troubles", "pings"))
    ]
    assert stay == []


def _refuse_the_network(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: our own servers are reached, nothing else is."""
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else "localhost"
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not _is_here(host):
        raise AssertionError(f"a test reaches for the network: {host!r}")


def _is_here(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost"):
        return True
    try:
        return ip_address(str(host)).is_loopback
    except ValueError:
        return False


sys.addaudithook(_refuse_the_network)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """golden(file, text): text is what the file holds; `make golden` rewrites it."""

    def compare(file: Path, text: str) -> None:
        if request.config.getoption("--golden"):
            file.write_text(text)
        assert text == file.read_text()

    return compare
