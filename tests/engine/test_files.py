"""The files of a run: what opens them, how many there are, and what they are called."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msoffcrypto
import openpyxl
import pypdf
import pytest
import pyzipper
from msoffcrypto.exceptions import InvalidKeyError
from pypdf.errors import FileNotDecryptedError

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.manifest import Origin, recorded
from boe_reconciler.core.ports import Cancel, Sealing, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome, RunRecord, RunStatus
from boe_reconciler.engine import export
from boe_reconciler.passwords import xlsx
from tests.engine.world import START, World, a_spec

PASSWORD = "gr0ßes Geheimnis 今"
DAY = "2026/11/24"


@pytest.fixture
def sealed(world: World) -> World:
    (world.root / "password").write_text(PASSWORD)
    return world


def protected(world: World, **export_: Any) -> Path:
    """Where the one file of a run with a password was delivered."""
    given = {"password": {"file": "password"}, **export_}
    record = world.run_now(a_spec("select 42 as answer", export=given))
    assert record.run.status is RunStatus.SUCCEEDED, record.run.message
    (name,) = world.files()
    return world.root / "exports" / name


def is_locked(path: Path) -> bool:
    return bool(msoffcrypto.OfficeFile(io.BytesIO(path.read_bytes())).is_encrypted())


def test_a_zip_with_a_password_opens_with_it_alone(sealed: World) -> None:
    path = protected(sealed, format="csv", compress="zip")
    assert b"answer" not in path.read_bytes()
    with pyzipper.AESZipFile(path) as archive:
        (entry,) = archive.infolist()
        assert entry.filename == "All_numbers_2026-11-24.csv"
        assert entry.wz_aes_strength == 3  # 256 bits
        assert archive.read(entry, pwd=PASSWORD.encode()).split() == [b"answer", b"42"]
        with pytest.raises(RuntimeError, match="password"):
            archive.read(entry, pwd=b"another")
        with pytest.raises(RuntimeError, match="password"):
            archive.read(entry)


def test_a_workbook_with_a_password_opens_with_it_alone(sealed: World) -> None:
    path = protected(sealed, format="xlsx")
    assert path.name == "All_numbers_2026-11-24.xlsx"
    assert not zipfile.is_zipfile(path)
    with path.open("rb") as file:
        book = msoffcrypto.OfficeFile(file)
        book.load_key(password=PASSWORD, verify_password=True)
        plain = io.BytesIO()
        book.decrypt(plain, verify_integrity=True)
        with pytest.raises(InvalidKeyError):
            book.load_key(password="another", verify_password=True)
    sheet = openpyxl.load_workbook(plain).worksheets[0]
    assert [cell.value for cell in sheet["A"]] == ["answer", 42]


def test_a_pdf_with_a_password_opens_with_it_alone(sealed: World) -> None:
    path = protected(sealed, format="pdf")
    document = pypdf.PdfReader(path)
    with pytest.raises(FileNotDecryptedError):
        document.pages[0].extract_text()
    assert not document.decrypt("another")
    assert document.decrypt(PASSWORD)
    assert "42" in document.pages[0].extract_text()
    # AES of 256 bits.
    assert b"/AESV3" in path.read_bytes()


def test_gzip_stands_around_a_workbook_that_has_its_own_password(
    sealed: World,
) -> None:
    path = protected(sealed, format="xlsx", compress="gzip")
    book = msoffcrypto.OfficeFile(io.BytesIO(gzip.decompress(path.read_bytes())))
    book.load_key(password=PASSWORD, verify_password=True)


def test_each_of_several_formats_has_the_password(sealed: World) -> None:
    given = {"format": ["xlsx", "pdf"], "password": {"file": "password"}}
    sealed.run_now(a_spec(export=given))
    pdf, book = (sealed.root / "exports" / name for name in sealed.files())
    assert pypdf.PdfReader(pdf).is_encrypted
    assert is_locked(book)


def test_a_child_that_writes_the_file_never_sees_the_password(sealed: World) -> None:
    given = {"format": "xlsx", "password": {"file": "password"}}
    record = sealed.run_now(a_spec(export=given, execution={"isolate": True}))
    assert record.run.status is RunStatus.SUCCEEDED, record.run.message
    (name,) = sealed.files()
    path = sealed.root / "exports" / name
    assert is_locked(path)


def test_a_password_that_cannot_be_had_fails_before_anything_is_asked(
    world: World,
) -> None:
    given = {"format": "pdf", "password": {"env": "NOT_SET"}}
    record = world.run_now(a_spec("select nonsense from nowhere", export=given))
    assert (record.run.status, record.run.reason) == (
        RunStatus.FAILED,
        "secret_missing",
    )


def test_neither_the_password_nor_the_plain_file_stays_anywhere(sealed: World) -> None:
    protected(sealed, format="csv", compress="zip")
    (record,) = sealed.ledger.runs(limit=9)
    events = sealed.ledger.events(record.run.run_id)
    spec = sealed.ledger.schedule_spec("daily")
    assert PASSWORD not in f"{record!r} {events!r} {spec!r}"
    for path in (sealed.root / ".boe").rglob("*"):
        assert path.is_dir() or b"answer" not in path.read_bytes()


def test_what_a_sealing_looks_like_hides_the_password() -> None:
    assert PASSWORD not in repr(Sealing(password=PASSWORD, name="x", occurrence=START))


def test_a_workbook_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "MAX_BYTES", 3)
    plain = tmp_path / "plain"
    plain.write_bytes(b"1234")
    sealing = Sealing(password=PASSWORD, name="x.xlsx", occurrence=START)
    with pytest.raises(Permanent, match="3 bytes"):
        xlsx.create().protect(plain, io.BytesIO(), sealing)


# --- Where they come from ---------------------------------------------------------


def origin_of(world: World, record: RunRecord) -> tuple[Origin, str]:
    """As anybody can make it from the ledger, and the sha256 it was recorded with."""
    run = record.run
    spec = world.ledger.run_spec(run.run_id)
    found = recorded(world.ledger.events(run.run_id))
    assert spec is not None
    assert found is not None
    version, sha256 = found
    origin = Origin(run=run, spec=spec, parameters=run.parameters, version=version)
    return origin, sha256


def test_each_file_has_a_manifest_that_the_ledger_alone_can_make_again(
    world: World,
) -> None:
    query = "select $month as month".replace("$", ":")
    fields: dict[str, Any] = {
        "parameters": {"month": "2026-10"},
        "report": {"parameters": {"month": {"type": "string"}}},
        "export": {"format": ["csv", "json"]},
    }
    record = world.run_now(a_spec(query, **fields))
    origin, sha256 = origin_of(world, record)
    assert origin.common_sha256(record.artifacts) == sha256
    found = origin.manifest(record.artifacts[1])
    content = world.blobs.read(record.artifacts[1].sha256)
    assert found["artifact"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert found["queries"] == [
        {"sheet": None, "sha256": hashlib.sha256(query.encode()).hexdigest()}
    ]
    assert found["parameters"] == {"month": "2026-10"}
    assert found["revision"] == "folder@sha1:1"
    assert found["occurrence"]["local"] == "2026-11-24T06:00:00+01:00"


def test_a_changed_record_does_not_fit_its_manifest(world: World) -> None:
    record = world.run_now(a_spec())
    origin, sha256 = origin_of(world, record)
    (artifact,) = record.artifacts
    assert origin.common_sha256([replace(artifact, rows=2)]) != sha256
    other = replace(origin.run, revision="folder@sha1:2")
    assert replace(origin, run=other).common_sha256([artifact]) != sha256


class _Listening:
    """Notes the provenance of what it is given, and accepts it at the second try."""

    def __init__(self) -> None:
        self.heard: list[Mapping[str, str]] = []

    def deliver(
        self, shipments: Iterable[Shipment], cancel: Cancel
    ) -> Iterator[Outcome]:
        del cancel
        for one in shipments:
            self.heard.append(one.provenance())
            again = len(self.heard) < 2
            status = DeliveryStatus.DEFERRED if again else DeliveryStatus.ACCEPTED
            one.begin({})
            yield Outcome(status=status)

    def probe(self, shipment: Shipment) -> None:
        del shipment


def test_every_try_tells_its_destination_the_same_provenance(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one by a newer BOE, of the file that the older one wrote."""
    listening = _Listening()
    monkeypatch.setattr(world.backends, "destination", lambda *_: listening)
    world.tools = replace(world.tools, version="1.0")
    world.run_now(a_spec())
    world.tools = replace(world.tools, version="2.0")
    world.clock.move(120)
    world.work()
    (record,) = world.ledger.runs(limit=9)
    assert record.run.status is RunStatus.SUCCEEDED
    origin, _ = origin_of(world, record)
    first, second = listening.heard
    assert first == second
    assert first["manifest"] == origin.sha256(record.artifacts[0])
    assert first["sha256"] == record.artifacts[0].sha256
    assert first["run"] == record.run.run_id
    assert all(text.isascii() for text in first.values())


# --- Splitting ------------------------------------------------------------------


def split(world: World, rows: int, most: int, **fields: Any) -> RunRecord:
    report = {"max_rows": most, "on_too_many": "split", **fields.pop("report", {})}
    spec = a_spec(f"select * from range({rows}) t(n)", report=report, **fields)
    return world.run_now(spec)


def numbers(path: Path) -> list[int]:
    header, *lines = path.read_text().split()
    assert header == "n"
    return [int(line) for line in lines]


def test_too_many_rows_are_split_into_files_that_say_which_they_are(
    world: World,
) -> None:
    record = split(world, 10, 4)
    assert record.run.status is RunStatus.SUCCEEDED, record.run.message
    assert [one.part for one in record.artifacts] == ["1 of 3", "2 of 3", "3 of 3"]
    assert [one.rows for one in record.artifacts] == [4, 4, 2]
    assert record.run.rows == 10
    assert world.files() == [
        f"{DAY}/All_numbers_2026-11-24 ({number} of 3).csv" for number in (1, 2, 3)
    ]
    files = [numbers(world.root / "exports" / name) for name in world.files()]
    assert files == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize(("rows", "files"), [(0, 1), (3, 1), (4, 1), (5, 2), (8, 2)])
def test_as_many_files_as_the_rows_need(world: World, rows: int, files: int) -> None:
    record = split(world, rows, 4)
    assert len(world.files()) == files
    assert (record.artifacts[0].part == "-") == (files == 1)
    assert record.run.rows == rows


def test_each_format_is_split_alike_from_one_query(world: World) -> None:
    export_ = {"format": ["csv", "jsonl"], "compress": "zip"}
    record = split(world, 5, 3, export=export_)
    assert [one.part for one in record.artifacts] == [
        "csv 1 of 2",
        "csv 2 of 2",
        "jsonl 1 of 2",
        "jsonl 2 of 2",
    ]
    assert record.run.rows == 5
    assert len(world.files()) == 4
    with zipfile.ZipFile(world.root / "exports" / world.files()[0]) as archive:
        assert archive.namelist() == ["All_numbers_2026-11-24 (1 of 2).csv"]


def test_a_pattern_says_where_the_number_of_a_piece_stands(world: World) -> None:
    destinations = [
        {
            "type": "local",
            "create_subdirs": False,
            "filename_pattern": "{part} - {date}.{format}",
            "done_marker": "{part}.done",
        }
    ]
    split(world, 2, 1, destinations=destinations)
    assert world.files() == [
        "1 of 2 - 2026-11-24.csv",
        "1 of 2.done",
        "2 of 2 - 2026-11-24.csv",
        "2 of 2.done",
    ]


def test_the_policys_limit_stays_a_failure(world: World) -> None:
    record = split(world, 10, 4, resolved={"max_rows": 9})
    assert (record.run.status, record.run.reason) == (RunStatus.FAILED, "too_many_rows")
    assert world.files() == []


def test_a_split_into_very_many_files_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MAX_PIECES", 2)
    record = split(world, 9, 4)
    assert record.run.reason == "too_many_files"
    assert "3 files" in record.run.message
    assert world.files() == []


def test_pieces_do_not_depend_on_where_batches_begin(world: World) -> None:
    """DuckDB gives these in several batches; a piece begins inside of one."""
    record = split(world, 300_000, 131_073)
    assert [one.rows for one in record.artifacts] == [131_073, 131_073, 37_854]
    found = [numbers(world.root / "exports" / name) for name in world.files()]
    assert [number for each in found for number in each] == list(range(300_000))
