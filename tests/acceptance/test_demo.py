"""The repo's own demo: every schedule once, on real data."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import openpyxl
import pytest
import yaml

from tests.folders import boe_json, run_boe

ROOT = Path(__file__).parent.parent.parent
FOLDERS = (
    "schedules distributions reports connections calendars templates groups".split()
)
FLIGHTS = 336_776


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it in which every schedule has run once."""
    folder = tmp_path_factory.mktemp("demo") / "repo"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "policy.yaml", folder)
    shutil.copy(ROOT / "flights.duckdb", folder)
    done = run_boe(folder, "run", "--once", "--now-all")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_schedule_delivers_its_file_into_the_folder_of_the_day(
    demo: Path,
) -> None:
    runs = boe_json(demo, "runs")
    assert {run["status"] for run in runs} == {"succeeded"}
    remotes = {Path(one["remote"]) for run in runs for one in run["deliveries"]}
    dated = list((demo / "exports/scheduled").glob("[0-9]*/[0-9]*/[0-9]*/*"))
    assert len(dated) >= 8
    assert set(dated) <= remotes
    formats = {path.suffix for path in dated}
    assert formats >= {".xlsx", ".csv", ".parquet", ".json", ".html", ".pdf"}
    assert formats & {".gz", ".zip"}
    shapes = {
        key
        for schedule in (ROOT / "schedules").glob("*.yaml")
        for key in yaml.safe_load(schedule.read_text())["spec"].get("when", {})
    }
    assert shapes >= {"cron", "frequency", "every", "once"}
    assert run_boe(demo, "doctor").returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_flights_workbook_equals_its_source_cell_for_cell(demo: Path) -> None:
    (file,) = (demo / "exports/scheduled").rglob("Flights_2*.xlsx")
    book = openpyxl.load_workbook(file, read_only=True)
    written = book["Flights"].iter_rows(values_only=True)
    header = next(written)
    report = yaml.safe_load((demo / "reports/flights.yaml").read_text())["spec"]
    with duckdb.connect(demo / "flights.duckdb", read_only=True) as database:
        database.execute("set timezone = 'UTC'")
        source = database.execute((demo / "reports/flights.sql").read_text())
        titles = {
            name: column.get("title", name)
            for name, column in report.get("columns", {}).items()
        }
        names = [column[0] for column in source.description]
        assert header == tuple(titles.get(name, name) for name in names)
        count = 0
        while batch := source.fetchmany(10_000):
            for row in batch:
                expected = tuple(_cell(value) for value in row)
                found = tuple(_cell(value) for value in next(written))
                assert found == expected, f"row {count + 2}"
                count += 1
    assert next(written, None) is None
    assert count + 1 == FLIGHTS + 1


def _cell(value: Any) -> Any:
    """Instants as the wall time of the schedule's zone, to the second."""
    if isinstance(value, datetime):
        if value.tzinfo:
            value = value.astimezone(ZoneInfo("America/New_York")).replace(tzinfo=None)
        return value.replace(microsecond=0)
    return value
