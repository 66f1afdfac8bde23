"""Work on thousands of things, which forks of the process do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL

import pytest

from boe_reconciler.cli import shares
from boe_reconciler.cli.shares import in_shares
from tests.cli.conftest import Boe
from tests.folders import a_folder, schedule

# Newer ones of Python warn of forks where there are threads, as beside these tests.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of them, and everything is worth a fork."""
    monkeypatch.setattr(shares, "_LEAST", 1)
    monkeypatch.setattr(shares, "_processors", lambda: 3)


def test_few_things_are_done_here() -> None:
    here = os.getpid()
    assert in_shares(lambda items: [os.getpid() for _ in items], [1, 2]) == [here, here]


@pytest.mark.usefixtures("processors")
def test_each_share_has_a_process_and_what_they_find_is_in_order() -> None:
    found = in_shares(lambda items: [(os.getpid(), one) for one in items], range(7))
    assert [one for _, one in found] == [*range(7)]
    assert len({pid for pid, _ in found}) == 3
    assert found[0][0] == os.getpid()


@pytest.mark.usefixtures("processors")
def test_what_a_fork_left_undone_is_done_here() -> None:
    here = os.getpid()

    def work(items: Sequence[int]) -> list[int]:
        if os.getpid() != here and 3 in items:
            os.kill(os.getpid(), SIGKILL)
        if os.getpid() != here and 6 in items:
            raise ValueError
        return [one * 2 for one in items]

    assert in_shares(work, range(7)) == [0, 2, 4, 6, 8, 10, 12]


@pytest.mark.usefixtures("processors")
def test_where_no_process_can_be_had_all_is_done_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fork() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", fork)
    assert in_shares(lambda items: [*items], range(7)) == [*range(7)]


@pytest.mark.usefixtures("processors")
def test_no_fork_outlives_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(items: Sequence[int]) -> list[int]:
        if 0 in items:
            raise ValueError("here")
        return [*items]

    pids: list[int] = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: pids.append(fork()) or pids[-1])
    with pytest.raises(ValueError, match="here"):
        in_shares(work, range(7))
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


@pytest.mark.parametrize(
    "command", ["validate", "plan", "next --all --until 2026-12-31"]
)
def test_a_command_says_the_same_however_its_work_is_shared(
    tmp_path: Path, boe: Boe, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    names = [f"s{number}" for number in range(8)]
    repo = a_folder(tmp_path / "repo", *map(schedule, names))
    for name in names[::3]:
        file = repo / f"schedules/{name}.yaml"
        file.write_text(file.read_text().replace('"cron"', '"corn"'))
    (repo / "schedules/s4.yaml").write_text("a: [")
    alone = boe(repo, *command.split())
    monkeypatch.setattr(shares, "_LEAST", 1)
    monkeypatch.setattr(shares, "_processors", lambda: 3)
    assert alone.out
    assert boe(repo, *command.split()) == alone
