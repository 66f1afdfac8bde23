"""Small files come from children that are kept, the same bytes and at no risk."""

from __future__ import annotations

import importlib
import io
import os
import signal
import threading
import zoneinfo
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from boe_reconciler.backends import FORMATS
from boe_reconciler.core.errors import Cancelled, Permanent
from boe_reconciler.core.facts import Stepped, Ticked
from boe_reconciler.core.ports import Never, Table
from boe_reconciler.core.runs import Tick
from boe_reconciler.transforms import children as children_module
from boe_reconciler.transforms import kept as kept_module
from boe_reconciler.transforms import small as small_module
from boe_reconciler.transforms.children import Children
from boe_reconciler.transforms.kept import KeptChildren
from boe_reconciler.transforms.small import KeptFormat
from tests.crowds import crowd, kept_children, with_a_child
from tests.folders import until
from tests.sources.conftest import ByHand
from tests.transforms import odd_format
from tests.transforms.conftest import MEMORY
from tests.transforms.test_isolated import OPTIONS, tables

HERE = str(os.getpid())
ODD = replace(OPTIONS, title="", subtitle=HERE)


@pytest.fixture
def kept(scratch: Path, tmp_path: Path) -> Iterator[KeptChildren]:
    with kept_children(scratch, tmp_path) as made:
        yield made


@pytest.fixture
def patient(kept: KeptChildren, monkeypatch: pytest.MonkeyPatch) -> KeptChildren:
    """With all the children it may have; who waits for one does so as if for ever."""
    monkeypatch.setattr(kept_module, "_PATIENCE", 600)
    return with_a_child(kept, 2)


def odd(kept: KeptChildren) -> KeptFormat:
    return KeptFormat(kept, odd_format.__name__, odd_format.create())


def made(kept: KeptChildren, title: str = "") -> str:
    """The pid of the process that wrote a file."""
    target = io.BytesIO()
    told = odd(kept).write(tables(2), target, replace(ODD, title=title))
    assert (told.rows, list(told.notes)) == (6, [("told", "6 rows")])
    return target.getvalue().decode()


def numbers() -> Table:
    """More bytes than a pipe takes by itself."""
    batch = pa.record_batch({"n": pa.array(range(50_000))})
    return Table(name="x", schema=batch.schema, batches=iter([batch]))


@pytest.mark.parametrize("name", FORMATS)
def test_a_small_file_from_a_child_has_the_very_same_bytes(
    kept: KeptChildren, name: str
) -> None:
    inner = importlib.import_module(FORMATS[name]).create()
    count = 2 if inner.several_tables else 1
    by_thread, by_child, again = io.BytesIO(), io.BytesIO(), io.BytesIO()
    expected = inner.write(tables(count), by_thread, OPTIONS)
    own = with_a_child(kept)._idle[0]
    for target in (by_child, again):
        told = KeptFormat(kept, FORMATS[name], inner).write(
            tables(count), target, OPTIONS
        )
        assert told.rows == expected.rows
        assert list(told.notes) == list(expected.notes)
        assert target.getvalue() == by_thread.getvalue()
    assert own in kept._idle


def test_one_file_after_the_other_needs_no_child(kept: KeptChildren) -> None:
    assert {made(kept) for _ in range(50)} == {HERE}
    assert kept._count == 0


def test_many_files_at_once_get_a_child_that_is_used_again(kept: KeptChildren) -> None:
    with_a_child(kept)
    pids = {made(kept) for _ in range(3)}
    assert len(pids) == 1
    assert HERE not in pids


def test_there_are_never_more_than_it_may_have(kept: KeptChildren) -> None:
    for _ in range(5):
        crowd(kept, 40)
        until(lambda: kept._busy is None)
    assert kept._count == 2


def test_a_file_waits_for_a_child_that_is_soon_free(patient: KeptChildren) -> None:
    at_work = ExitStack()
    with patient.child(Never()):
        at_work.enter_context(patient.child(Never()))
        threading.Timer(0.2, at_work.close).start()
        assert made(patient) != HERE


def test_a_file_waits_for_no_child_that_is_at_work_for_long(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_child(kept, 2)
    with kept.child(Never()):
        with kept.child(Never()):
            assert made(kept) == HERE
            monkeypatch.setattr(kept_module, "_PATIENCE", 600)
            assert made(kept) == HERE  # nobody waits after one who did in vain
        assert made(kept) != HERE


def test_nobody_waits_for_a_child_that_has_died(patient: KeptChildren) -> None:
    at_work = ExitStack()
    with patient.child(Never()):
        dying = at_work.enter_context(patient.child(Never()))
        assert dying is not None
        at_work.callback(dying.stop)
        threading.Timer(0.2, at_work.close).start()
        assert made(patient) == HERE


def test_what_lies_there_counts_when_the_wait_is_over(
    patient: KeptChildren, tmp_path: Path
) -> None:
    at_work = ExitStack()
    with patient.child(Never()):
        at_work.enter_context(patient.child(Never()))
        at_work.callback(tmp_path.mkdir)
        at_work.callback(tmp_path.rename, tmp_path.with_name("another"))
        threading.Timer(0.2, at_work.close).start()
        assert made(patient) == HERE


def test_a_file_waits_no_longer_than_there_are_children(patient: KeptChildren) -> None:
    with patient.child(Never()), patient.child(Never()):
        threading.Timer(0.2, patient.close).start()
        assert made(patient) == HERE


def test_more_rows_than_a_few_stay_in_the_thread(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_a_child(kept)
    monkeypatch.setattr(small_module, "SMALL", 10)
    assert made(kept) == HERE


def test_rows_without_any_size_are_not_few_for_that(kept: KeptChildren) -> None:
    with_a_child(kept)
    batch = pa.record_batch({"n": pa.nulls(100_000)})
    table = Table(name="x", schema=batch.schema, batches=iter([batch]))
    found = io.BytesIO()
    odd(kept).write([table], found, ODD)
    assert found.getvalue().decode() == HERE


def test_a_template_counts_with_the_rows(kept: KeptChildren) -> None:
    with_a_child(kept)
    found = io.BytesIO()
    odd(kept).write(tables(), found, replace(ODD, template=bytes(small_module.SMALL)))
    assert found.getvalue().decode() == HERE


def test_large_rows_are_neither_lost_nor_held(kept: KeptChildren) -> None:
    alive: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(100):
            alive.append(number)
            yield pa.record_batch({"n": pa.array([number] * 20_000)})

    rows = batches()
    first = next(rows)
    table = Table(name="x", schema=first.schema, batches=rows)
    found = io.BytesIO()
    inner = importlib.import_module(FORMATS["csv"]).create()
    told = KeptFormat(kept, FORMATS["csv"], inner).write([table], found, OPTIONS)
    assert told.rows == 99 * 20_000
    numbers = found.getvalue().decode().splitlines()[1:]
    assert numbers[::20_000] == [str(number) for number in range(1, 100)]


@pytest.mark.parametrize("when", ["before", "within"])
def test_a_child_that_is_killed_costs_nothing(kept: KeptChildren, when: str) -> None:
    pid = made(with_a_child(kept))
    if when == "before":
        os.kill(int(pid), signal.SIGKILL)
    assert made(kept, "killed") == HERE
    assert made(kept) == HERE
    assert kept._count == 0
    assert made(with_a_child(kept)) not in {HERE, pid}


def test_a_crash_is_told_and_harms_nobody_else(kept: KeptChildren) -> None:
    with_a_child(kept)
    with pytest.raises(Permanent) as error:
        made(kept, "crash")
    assert error.value.reason == "child_crashed"
    assert "SIGSEGV" in error.value.message
    assert made(kept) == HERE


def test_what_is_wrong_with_rows_is_told_as_ever(kept: KeptChildren) -> None:
    with_a_child(kept)
    with pytest.raises(Permanent, match="holds none") as error:
        odd(kept).write([numbers()], io.BytesIO(), replace(ODD, title="refuse"))
    assert (error.value.reason, error.value.help) == ("too_many_rows", "Take fewer.")


def test_what_fails_only_in_a_child_is_done_by_the_thread(kept: KeptChildren) -> None:
    assert made(with_a_child(kept), "break") == HERE


def test_a_child_takes_zones_from_the_same_place(kept: KeptChildren) -> None:
    assert made(with_a_child(kept), "zones") == str(zoneinfo.TZPATH)


def test_a_cancel_stops_the_child(kept: KeptChildren) -> None:
    with_a_child(kept)
    cancel = ByHand()
    threading.Timer(0.3, cancel.pull).start()
    options = replace(ODD, title="hang", cancel=cancel)
    with pytest.raises(Cancelled):
        odd(kept).write(tables(), io.BytesIO(), options)
    assert kept._count == 0


@pytest.mark.parametrize("how", ["killed", "cancelled"])
def test_rows_that_wait_for_a_child_hold_nobody_up(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A pipe takes some of them, and the child takes none."""
    monkeypatch.setattr(children_module, "_WIDE", 4096)
    (child,) = with_a_child(kept)._idle
    pid = int(made(kept))
    os.kill(pid, signal.SIGSTOP)
    cancel = ByHand()
    stop = partial(os.kill, pid, signal.SIGKILL) if how == "killed" else cancel.pull
    threading.Timer(0.3, stop).start()
    target = io.BytesIO()
    wanted = replace(ODD, cancel=cancel)
    if how == "killed":
        assert odd(kept).write([numbers()], target, wanted).rows == 50_000
        assert target.getvalue() == HERE.encode()
    else:
        with pytest.raises(Cancelled):
            odd(kept).write([numbers()], target, wanted)
    assert child not in kept._idle
    assert kept._count == 0


def test_none_is_kept_once_nobody_wants_a_file(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_LINGER", 1.0)
    pid = made(with_a_child(kept))
    until(lambda: kept._children._server._process is None)
    assert kept._count == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert made(kept) == HERE
    monkeypatch.undo()
    assert made(with_a_child(kept)) != HERE


def test_without_children_threads_write_all(
    scratch: Path, caplog: pytest.LogCaptureFixture
) -> None:
    children = Children(
        scratch=scratch, memory=MEMORY, environment={}, preload=["no.such.module"]
    )
    kept = KeptChildren(children, scratch, 2)
    crowd(kept)
    until(lambda: kept._enough > 16)
    crowd(kept)
    assert made(kept) == HERE
    assert [one.message for one in caplog.records] == ["no_child_for_files"]
    kept.close()


# --- A crowd that is expected ---------------------------------------------------------


def test_for_a_crowd_children_are_there_before_its_first_file(
    kept: KeptChildren,
) -> None:
    kept.expect(100)
    until(lambda: len(kept._idle) == 2)
    assert made(kept) != HERE


def test_for_fewer_none_is_started_before_they_come(kept: KeptChildren) -> None:
    kept.expect(99)
    assert (kept._count, kept._busy) == (0, None)
    assert made(kept) == HERE


def test_a_tick_that_makes_many_runs_has_them_started(kept: KeptChildren) -> None:
    tick = Tick(inserted=500, more=False, next_due=None)
    kept.observe(Stepped())
    assert kept._count == 0
    kept.observe(Ticked(tick=tick))
    until(lambda: len(kept._idle) == 2)


def test_its_first_files_wait_for_the_first_child(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_LOADING", 600)
    monkeypatch.setattr(kept_module, "_PATIENCE", 0)
    kept.expect(100)
    assert made(kept) != HERE


def test_all_who_wait_while_children_start_get_one(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_LOADING", 600)

    def wait(_: int) -> bool:
        with kept.child(Never()) as child:
            return child is not None

    with start_held_up(kept, monkeypatch) as go, ThreadPoolExecutor(4) as pool:
        kept.expect(100)
        found = pool.map(wait, range(4))
        until(lambda: len(kept._lock._waiters) == 4)  # type: ignore[attr-defined]  # who waits
        go.set()
        assert all(found)


def test_a_cancel_ends_the_wait_for_a_child(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_LOADING", 600)
    cancel = ByHand()
    with start_held_up(kept, monkeypatch):
        kept.expect(100)
        threading.Timer(0.2, cancel.pull).start()
        with pytest.raises(Cancelled), kept.child(cancel):
            pass
    assert kept._writing == 0


def test_for_one_worker_a_crowd_needs_no_child(scratch: Path, tmp_path: Path) -> None:
    children = Children(scratch=scratch, memory=MEMORY, environment={}, preload=[])
    kept = KeptChildren(children, tmp_path, 1)
    kept.expect(1_000)
    assert (kept._count, kept._busy) == (0, None)
    kept.close()


def test_its_files_wait_no_longer_than_that(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_LOADING", 0.05)
    with start_held_up(kept, monkeypatch) as go:
        kept.expect(100)
        assert made(kept) == HERE
        go.set()
    until(lambda: len(kept._idle) == 2)


def test_nobody_waits_for_one_that_cannot_start(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_LOADING", 600)
    children = Children(
        scratch=scratch, memory=MEMORY, environment={}, preload=["no.such.module"]
    )
    kept = KeptChildren(children, scratch, 2)
    kept.expect(100)
    assert made(kept) == HERE
    kept.expect(100)  # it is not tried again for as few
    assert (kept._count, kept._busy) == (0, None)
    kept.close()


def test_nobody_waits_for_what_the_last_one_makes_way_for(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_LOADING", 600)
    kept._busy = threading.current_thread()  # it ends the process that forks them
    kept.expect(100)
    assert (kept._count, made(kept)) == (0, HERE)
    kept._busy = None


@contextmanager
def start_held_up(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> Iterator[threading.Event]:
    go, start = threading.Event(), kept._children.start

    def late(*given: Any) -> Any:
        go.wait()
        return start(*given)

    monkeypatch.setattr(kept._children, "start", late)
    try:
        yield go
    finally:
        go.set()


# --- At the end -----------------------------------------------------------------------


def test_a_child_in_use_ends_as_it_is_given_back_after_the_end(
    kept: KeptChildren,
) -> None:
    with with_a_child(kept).child(Never()) as child:
        assert child is not None
        kept.close()
    assert (kept._count, kept._idle) == (0, [])


def test_the_process_that_forks_ends_after_the_last_child_was_lost(
    kept: KeptChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_LINGER", 1.0)
    with_a_child(kept)
    assert made(kept, "killed") == HERE
    until(lambda: kept._children._server._process is None)


def test_a_full_disk_is_told_once_and_no_child_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "scratch").write_text("not a folder")
    children = Children(
        scratch=tmp_path / "scratch", memory=MEMORY, environment={}, preload=[]
    )
    kept = KeptChildren(children, tmp_path, 2)
    crowd(kept)
    until(lambda: caplog.records)
    assert (kept._count, kept._busy) == (0, None)
    kept.close()


def test_one_that_comes_up_as_all_ends_is_ended_too(kept: KeptChildren) -> None:
    crowd(kept)
    kept.close()
    assert kept._count == 0
    assert made(kept) == HERE
