"""What the destination `local` promises."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from boe_reconciler.core.errors import Cancelled
from boe_reconciler.core.ports import Shipment
from boe_reconciler.core.resources.distribution import LocalDestination
from boe_reconciler.core.runs import DeliveryKey, DeliveryStatus, Outcome
from boe_reconciler.destinations import local
from tests.shipments import means

ACCEPTED, DEFERRED, FAILED = (
    DeliveryStatus.ACCEPTED,
    DeliveryStatus.DEFERRED,
    DeliveryStatus.FAILED,
)


class Never:
    def check(self) -> None: ...

    def on_cancel(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()


class After(Never):
    """Cancels at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def check(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise Cancelled("cancelled", "somebody asked for it")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def there_at(root: Path, **allowed: Any) -> local.LocalDestination:
    return local.create(means(root.parent, local_root=root, **allowed))


@pytest.fixture
def ship(tmp_path: Path, root: Path) -> Callable[..., Shipment]:
    """A shipment with an intent, as the runner would hand it over."""
    numbers = iter(range(1000))

    def make(
        content: bytes = b"a,b\n1,2\n",
        *,
        filename: str = "sales.csv",
        to: local.LocalDestination | None = None,
        run_id: str = "",
        **fields: Any,
    ) -> Shipment:
        number = next(numbers)
        path = tmp_path / f"artifact-{number}"
        path.write_bytes(content)
        values = {"type": "local", "base_path": "exports", **fields}
        shipment = Shipment(
            key=DeliveryKey(
                run_id=run_id or f"run-{number}", part="-", destination="local"
            ),
            spec=LocalDestination(**values),
            path=path,
            filename=filename,
            media_type="text/csv",
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            rows=1,
            occurrence=datetime(2026, 11, 23, 23, 30, tzinfo=UTC),
            timezone=ZoneInfo("Europe/Berlin"),
        )
        there = to or there_at(root)
        return replace(shipment, intent=there.choose(shipment, look=True))

    return make


@pytest.fixture
def send(root: Path) -> Callable[..., Outcome]:
    def deliver(shipment: Shipment, **how: Any) -> Outcome:
        there = there_at(root, **how)
        return there.attempt(shipment, shipment.intent, Never())

    return deliver


Ship = Callable[..., Shipment]
Send = Callable[..., Outcome]


def files(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir())


# --- Names --------------------------------------------------------------------


def test_a_file_lies_in_the_folder_of_its_local_day(
    root: Path, ship: Ship, send: Send
) -> None:
    outcome = send(ship())
    assert outcome.status is ACCEPTED
    assert outcome.remote == str(root / "exports/2026/11/24/sales.csv")
    assert files(root) == ["exports/2026/11/24/sales.csv"]
    assert Path(outcome.remote).read_bytes() == b"a,b\n1,2\n"


def test_without_subfolders_it_lies_in_the_base_path(
    root: Path, ship: Ship, send: Send
) -> None:
    send(ship(create_subdirs=False))
    assert files(root) == ["exports/sales.csv"]


def test_a_later_file_of_the_same_name_gets_a_number(
    root: Path, ship: Ship, send: Send
) -> None:
    for content in (b"one", b"two", b"three"):
        assert send(ship(content, create_subdirs=False)).status is ACCEPTED
    assert files(root / "exports") == ["sales (2).csv", "sales (3).csv", "sales.csv"]
    assert (root / "exports/sales (2).csv").read_bytes() == b"two"


def test_a_name_taken_after_the_intent_asks_for_a_new_one(
    root: Path, ship: Ship, send: Send
) -> None:
    first, second = ship(b"one"), ship(b"two")
    assert send(first).status is ACCEPTED
    outcome = send(second)
    assert (outcome.status, outcome.reason) == (DEFERRED, "name_taken")
    assert outcome.retry_after == 0
    again = replace(second, intent=there_at(root).choose(second, look=True))
    assert send(again).status is ACCEPTED
    assert files(root / "exports/2026/11/24") == ["sales (2).csv", "sales.csv"]


def test_a_new_delivery_has_its_first_word_before_its_folder_is_looked_at(
    root: Path, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mounted folder may hang: whoever asks by then has to find what was begun."""
    heard: list[str] = []
    opened = local._opened

    def looked(*given: Any, **how: Any) -> Any:
        heard.append("looked")
        return opened(*given, **how)

    monkeypatch.setattr(local, "_opened", looked)
    monkeypatch.setattr(os.path, "lexists", lambda _: heard.append("looked"))
    new = replace(ship(), intent={}, begin=lambda intent: heard.append(intent["name"]))
    heard.clear()
    (outcome,) = there_at(root).deliver([new], Never())
    assert outcome.status is ACCEPTED
    assert heard == ["sales.csv", "looked"]


def test_a_name_that_is_taken_costs_a_word_and_not_its_bytes(
    root: Path, ship: Ship, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send(ship(b"one")).status is ACCEPTED
    names, written, fill = [], [], local._fill
    new = replace(
        ship(b"two"), intent={}, begin=lambda each: names.append(each["name"])
    )

    def filling(folder: Any, place: Any, *given: Any) -> None:
        written.append(place.name)
        fill(folder, place, *given)

    monkeypatch.setattr(local, "_fill", filling)
    (outcome,) = there_at(root).deliver([new], Never())
    assert outcome.status is ACCEPTED
    assert names == ["sales.csv", "sales (2).csv"]
    assert written == ["sales (2).csv"]


def test_bytes_that_are_there_count_for_one_that_died_with_its_first_word(
    root: Path, ship: Ship, send: Send
) -> None:
    """Nobody can tell them from its own; other ones it never takes for its own."""
    assert send(ship(b"one", create_subdirs=False)).status is ACCEPTED
    there = there_at(root)
    for content, found in ((b"one", ACCEPTED), (b"two", None)):
        new = replace(ship(content, create_subdirs=False), intent={})
        begun = replace(new, intent=there.choose(new))
        outcome = there.probe(begun)
        assert (outcome and outcome.status) == found
    assert files(root / "exports") == ["sales.csv"]


def test_the_same_bytes_of_another_delivery_are_not_taken_for_ours(
    ship: Ship, send: Send
) -> None:
    first, second = ship(b"same"), ship(b"same")
    assert send(first).status is ACCEPTED
    assert send(second).reason == "name_taken"


def test_overwrite_replaces_the_file_in_one_step(
    root: Path, ship: Ship, send: Send
) -> None:
    how = {"if_exists": "overwrite", "create_subdirs": False}
    send(ship(b"one", **how))
    with (root / "exports/sales.csv").open("rb") as reader:
        send(ship(b"two", **how))
        assert reader.read() == b"one"
    assert (root / "exports/sales.csv").read_bytes() == b"two"
    assert files(root) == ["exports/sales.csv"]


def test_error_refuses_other_content_and_accepts_its_own(
    root: Path, ship: Ship, send: Send
) -> None:
    assert send(ship(b"one", if_exists="error")).status is ACCEPTED
    assert send(ship(b"one", if_exists="error")).status is ACCEPTED
    outcome = send(ship(b"two", if_exists="error"))
    assert (outcome.status, outcome.reason) == (FAILED, "exists")
    assert len(files(root)) == 1


def test_the_file_has_its_mode_whatever_the_umask(ship: Ship, send: Send) -> None:
    old = os.umask(0o077)
    try:
        outcome = send(ship(mode="0664"))
    finally:
        os.umask(old)
    assert outcome.remote
    assert stat.S_IMODE(Path(outcome.remote).stat().st_mode) == 0o664


def test_forty_deliveries_at_once_clobber_nothing(root: Path, ship: Ship) -> None:
    there = there_at(root)
    shipments = [ship(f"content {n}".encode()) for n in range(40)]

    def run(shipment: Shipment) -> None:
        for _ in range(200):
            outcome = there.attempt(shipment, shipment.intent, Never())
            if outcome.status is ACCEPTED:
                return
            assert outcome.reason == "name_taken"
            shipment = replace(shipment, intent=there.choose(shipment, look=True))

    threads = [threading.Thread(target=run, args=(each,)) for each in shipments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sorted(path.read_text() for path in root.rglob("*.csv"))
    assert found == sorted(f"content {n}" for n in range(40))
    assert len(files(root)) == 40


# --- Crashes ------------------------------------------------------------------


def kill(monkeypatch: pytest.MonkeyPatch, function: str, nth: int = 1) -> None:
    """The process ends at the n-th call; not even clean-up happens afterwards."""
    real = getattr(os, function)
    calls = iter(range(1, 1000))

    def die(*args: Any, **kwargs: Any) -> Any:
        if next(calls) < nth:
            return real(*args, **kwargs)
        monkeypatch.setattr(local._Folder, "remove", lambda *_: None)
        raise SystemExit

    monkeypatch.setattr(os, function, die)


@pytest.mark.parametrize("function", ["fdopen", "fchmod", "fsync", "link", "unlink"])
@pytest.mark.parametrize("marker", [None, "{file}.done"])
def test_after_a_crash_anywhere_there_is_one_whole_file_and_no_rest(
    root: Path, ship: Ship, send: Send, function: str, marker: str | None
) -> None:
    shipment = ship(b"x" * 3_000_000, done_marker=marker, create_subdirs=False)
    there = there_at(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "CHUNK", 1_000_000)
        kill(patch, function, nth=2 if function == "unlink" else 1)
        with pytest.raises(SystemExit):
            there.attempt(shipment, shipment.intent, Never())
    for path in root.rglob("sales.csv"):
        assert path.read_bytes() == b"x" * 3_000_000
    outcome = there.probe(shipment) or send(shipment)
    assert outcome.status is ACCEPTED
    expected = ["sales.csv"] + (["sales.csv.done"] if marker else [])
    assert files(root / "exports") == expected


def test_probe_accepts_what_was_finished_before_the_crash(
    root: Path, ship: Ship, send: Send
) -> None:
    shipment = ship()
    send(shipment)
    outcome = there_at(root).probe(shipment)
    assert outcome is not None
    assert outcome.status is ACCEPTED


def test_probe_knows_nothing_of_an_attempt_that_never_began(
    root: Path, ship: Ship
) -> None:
    assert there_at(root).probe(ship()) is None
    assert there_at(root).probe(replace(ship(), intent={})) is None


def test_probe_does_not_accept_another_file_of_that_name(
    root: Path, ship: Ship
) -> None:
    shipment = ship(create_subdirs=False)
    (root / "exports").mkdir()
    (root / "exports/sales.csv").write_text("other")
    assert there_at(root).probe(shipment) is None
    assert (root / "exports/sales.csv").read_text() == "other"


def test_a_cancel_leaves_nothing_behind(root: Path, ship: Ship) -> None:
    there = there_at(root)
    shipment = ship(b"x" * 10)
    with pytest.raises(Cancelled):
        there.attempt(shipment, shipment.intent, After(0))
    assert files(root) == []


# --- The marker ---------------------------------------------------------------


def test_the_marker_comes_last_and_its_retry_writes_no_data(
    root: Path, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = there_at(root)
    shipment = ship(done_marker="{file}.done", create_subdirs=False)
    real = os.open

    def full(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith(".done"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        outcome = there.attempt(shipment, shipment.intent, Never())
    assert (outcome.status, outcome.reason) == (DEFERRED, "no_space")
    written = (root / "exports/sales.csv").stat()
    assert there.choose(shipment) == shipment.intent
    shipment.path.unlink()  # a retry that read the artifact would fail
    assert there.attempt(shipment, shipment.intent, Never()).status is ACCEPTED
    after = (root / "exports/sales.csv").stat()
    assert (after.st_ino, after.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert files(root / "exports") == ["sales.csv", "sales.csv.done"]


# --- What goes wrong ----------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "reason", "delay"),
    [
        (errno.ENOSPC, DEFERRED, "no_space", 60),
        (errno.EDQUOT, DEFERRED, "no_space", 60),
        (errno.EIO, DEFERRED, "disk_error", 60),
        (errno.EROFS, FAILED, "read_only", None),
        (errno.EACCES, FAILED, "no_permission", None),
        (errno.ESTALE, DEFERRED, "disk_error", 60),
    ],
)
def test_the_systems_answers_become_outcomes(
    root: Path,
    ship: Ship,
    send: Send,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    status: DeliveryStatus,
    reason: str,
    delay: float | None,
) -> None:
    shipment = ship()

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    outcome = send(shipment)
    assert (outcome.status, outcome.reason) == (status, reason)
    assert outcome.retry_after == delay
    assert files(root) == []


def test_a_file_in_the_way_of_a_folder_fails(
    root: Path, ship: Ship, send: Send
) -> None:
    (root / "exports").write_text("a file")
    outcome = send(ship())
    assert (outcome.status, outcome.reason) == (FAILED, "not_a_folder")


def test_a_root_that_is_not_mounted_is_tried_again(tmp_path: Path, ship: Ship) -> None:
    there = there_at(tmp_path / "gone")
    shipment = ship()
    outcome = there.attempt(shipment, shipment.intent, Never())
    assert (outcome.status, outcome.reason) == (DEFERRED, "root_missing")


def test_a_stored_file_that_changed_is_not_delivered(
    root: Path, ship: Ship, send: Send
) -> None:
    shipment = ship(b"right")
    shipment.path.write_bytes(b"wrong")
    assert send(shipment).reason == "artifact_changed"
    shipment.path.unlink()
    assert send(shipment).reason == "artifact_missing"
    assert files(root) == []


def test_a_file_system_without_hard_links_is_served_too(
    root: Path, ship: Ship, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first, second = ship(b"one"), ship(b"two")
    assert send(first).status is ACCEPTED
    assert send(second).reason == "name_taken"
    assert len(files(root)) == 1


def test_one_bad_shipment_does_not_keep_back_the_others(root: Path, ship: Ship) -> None:
    good, bad = ship(), ship()
    bad.path.unlink()
    outcomes = there_at(root).deliver([bad, good], Never())
    assert [each.status for each in outcomes] == [FAILED, ACCEPTED]


# --- Attacks ------------------------------------------------------------------


def intent(folder: str, name: str = "x.csv") -> Mapping[str, str]:
    return {"folder": folder, "name": name, "temporary": ".boe-x"}


@pytest.mark.parametrize(
    "folder", ["..", "../x", "exports/../../x", "/etc", "~/x", "a\0b", "", "C:\\x"]
)
def test_no_folder_leaves_the_root(
    root: Path, ship: Ship, send: Send, folder: str
) -> None:
    outcome = send(replace(ship(), intent=intent(folder)))
    assert (outcome.status, outcome.reason) == (FAILED, "outside_root")
    assert files(root) == []


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", "..", "x\0y", "", "NUL"])
def test_no_name_leaves_its_folder(ship: Ship, send: Send, name: str) -> None:
    outcome = send(replace(ship(), intent=intent("exports", name)))
    assert (outcome.status, outcome.reason) == (FAILED, "bad_name")


@pytest.mark.parametrize("planted", ["exports", "exports/2026", "exports/2026/11/24"])
def test_a_planted_link_is_followed_nowhere_on_the_way(
    tmp_path: Path, root: Path, ship: Ship, send: Send, planted: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = root / planted
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    outcome = send(ship())
    assert (outcome.status, outcome.reason) == (FAILED, "symbolic_link")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("if_exists", ["number", "overwrite", "error"])
def test_a_planted_link_under_the_final_name_is_never_written_through(
    tmp_path: Path, root: Path, ship: Ship, send: Send, if_exists: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    shipment = ship(if_exists=if_exists, create_subdirs=False)
    (root / "exports").mkdir()
    (root / "exports/sales.csv").symlink_to(victim)
    (root / "exports" / shipment.intent["temporary"]).symlink_to(victim)
    send(shipment)
    assert victim.read_text() == "precious"


def test_a_planted_marker_link_is_never_written_through(
    tmp_path: Path, root: Path, ship: Ship, send: Send
) -> None:
    victim = tmp_path / "victim"
    (root / "exports").mkdir()
    (root / "exports/sales.csv.done").symlink_to(victim)
    outcome = send(ship(done_marker="{file}.done", create_subdirs=False))
    assert (outcome.status, outcome.reason) == (FAILED, "symbolic_link")
    assert not victim.exists()


def test_absolute_folders_need_a_root_of_the_policy(
    tmp_path: Path, ship: Ship, send: Send
) -> None:
    share = tmp_path / "share"
    share.mkdir()
    roots = ["exports", str(share)]
    there = there_at(tmp_path, local_roots=roots)
    inside = ship(base_path=str(share / "finance"), to=there)
    assert send(inside).reason == "outside_root"
    assert send(inside, local_roots=roots).status is ACCEPTED
    assert files(share) == ["finance/2026/11/24/sales.csv"]
    outside = ship(base_path="elsewhere", to=there)
    assert send(outside, local_roots=roots).reason == "outside_root"
