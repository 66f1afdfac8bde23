"""What systemd is told, over a real socket of its kind."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from boe_reconciler.core.facts import Draining, Reconciled, Resumed
from boe_reconciler.core.health import Health
from boe_reconciler.notices import systemd
from tests.builders import an_activation

WELL = Health(reason="", message="", step_age=0, tick_age=0)
SICK = Health(reason="tick_late", message="It is late.", step_age=0, tick_age=99)


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, socket.socket]]:
    """NOTIFY_SOCKET, and the other end of it."""
    address = str(tmp_path / "notify")
    if request.param == "abstract":
        if sys.platform != "linux":
            pytest.skip("only Linux has abstract addresses")
        address = f"@boe-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address.replace("@", "\0"))
        listening.settimeout(5)
        yield address, listening


def heard(listening: socket.socket) -> list[str]:
    return listening.recv(4096).decode().split("\n")


def silent(listening: socket.socket) -> bool:
    listening.setblocking(False)
    try:
        listening.recv(4096)
    except BlockingIOError:
        return True
    finally:
        listening.settimeout(5)
    return False


def test_it_is_ready_once_with_the_first_activation(
    manager: tuple[str, socket.socket],
) -> None:
    address, listening = manager
    told = systemd.create({"NOTIFY_SOCKET": address})
    assert told
    told.look(0, SICK)
    assert silent(listening)
    told.observe(Reconciled(activation=an_activation(revision="main@sha1:1")))
    assert heard(listening) == ["READY=1", "STATUS=Serving main@sha1:1."]
    told.observe(Reconciled(activation=an_activation(revision="main@sha1:2")))
    told.look(0, WELL)
    assert heard(listening) == ["STATUS=Serving main@sha1:2."]
    told.look(0, WELL)
    assert silent(listening)
    told.look(0, SICK)
    assert heard(listening) == ["STATUS=It is late."]
    told.observe(Draining())
    assert heard(listening)[0] == "STOPPING=1"


def test_it_is_ready_with_what_was_served_before_while_git_is_down(
    manager: tuple[str, socket.socket],
) -> None:
    address, listening = manager
    told = systemd.create({"NOTIFY_SOCKET": address})
    assert told
    told.observe(Resumed())
    assert heard(listening) == ["READY=1", "STATUS=Serving what was served before."]
    told.look(0, WELL)
    assert silent(listening)
    told.observe(Reconciled(activation=an_activation(revision="main@sha1:1")))
    told.look(0, WELL)
    assert heard(listening) == ["STATUS=Serving main@sha1:1."]


def test_the_watchdog_is_fed_only_while_the_loop_comes_round(
    manager: tuple[str, socket.socket],
) -> None:
    address, listening = manager
    told = systemd.create({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"})
    assert told
    told.look(3, WELL)
    assert heard(listening) == ["WATCHDOG=1"]
    told.look(3, WELL)
    assert silent(listening)
    told.look(4, SICK)
    assert heard(listening) == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "watchdog",
    [{}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}],
)
def test_a_watchdog_that_is_not_ours_is_left_alone(
    manager: tuple[str, socket.socket], watchdog: dict[str, str]
) -> None:
    address, listening = manager
    told = systemd.create({"NOTIFY_SOCKET": address, **watchdog})
    assert told
    told.look(1, WELL)
    assert silent(listening)


@pytest.mark.parametrize("address", ["", "vsock:2:1", "relative"])
def test_without_a_socket_nobody_is_told(address: str) -> None:
    assert systemd.create({"NOTIFY_SOCKET": address}) is None


def test_a_manager_that_is_gone_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = systemd.create({"NOTIFY_SOCKET": str(tmp_path / "nowhere")})
    assert told
    told.observe(Draining())
    told.observe(Draining())
    assert [one.message for one in caplog.records] == ["systemd_unreachable"]
