"""`make bench` measures, compares each file with its source, and writes its page."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import duckdb
import pytest

from benches.speed import __main__ as bench
from benches.speed import checks, files, growth, measure, rows, stages
from benches.speed.measure import Goal, Part


def a_page(folder: Path, names: list[str]) -> Path:
    """With the marks of these parts."""
    page = folder / "performance.md"
    marks = "<!-- bench-{0}: written by make -->\n<!-- end of bench-{0} -->\n"
    page.write_text("before\n" + "".join(map(marks.format, names)))
    return page


def test_a_file_that_differs_in_one_cell_is_found(tmp_path: Path) -> None:
    database, file = tmp_path / "rows.duckdb", tmp_path / "rows.csv"
    rows.make(database, 3)
    copied = "COPY (SELECT * REPLACE (quantity + ? AS quantity) FROM rows) TO ?"
    with duckdb.connect(database) as connection:
        connection.execute(copied, [0, str(file)])
    assert checks.check_text(database, file, 1) == {"Python's csv": 36, "DuckDB": 36}
    with duckdb.connect(database) as connection:
        connection.execute(copied, [1, str(file)])
    with pytest.raises(ValueError, match="Python's csv, row 0"):
        checks.check_text(database, file, 1)


def test_a_goal_is_judged_by_the_median() -> None:
    most = Goal(what="slow", ratios=[1, 1.2, 9], at_most=1.2)
    assert most.line() == ("slow", "at most 1.2", "1.20 (1.00 to 9.00)", "yes")
    least = Goal(what="quick", ratios=[7, 5.9, 1], at_least=6)
    assert least.line() == ("quick", "at least 6", "5.90 (1.00 to 7.00)", "**no**")


def test_a_part_that_fails_keeps_no_other_from_its_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = a_page(tmp_path, ["broken", "good", "goals"])

    def broken(_: bench.Bench) -> Part:
        raise RuntimeError("no such program")

    goal = Goal(what="quick", ratios=[2], at_least=1)
    good = Part(text="It is quick.", goals=[goal])
    parts = {"broken": broken, "good": lambda _: good}
    monkeypatch.setattr(bench, "PARTS", parts)
    assert bench.main(["--page", str(page)]) == 1
    assert "broken failed: no such program" in capsys.readouterr().err
    assert "It is quick." in page.read_text()
    assert "| quick | at least 1 | 2.00 (2.00 to 2.00) | yes |" in page.read_text()


def test_a_thread_counts_for_what_of_boe_it_is_in() -> None:
    ours = f"{measure.ROOT}/boe_reconciler"
    assert stages.stage_of(["/lib/zlib.py", f"{ours}/formats/csv.py"]) == "format"
    assert stages.stage_of([f"{ours}/core/plan/__init__.py", "a.py"]) == "judging"
    loaded = [f"{ours}/core/sql.py", "<frozen importlib._bootstrap>"]
    assert stages.stage_of(loaded) == "loading Python code"
    assert stages.stage_of(["/lib/threading.py", f"{ours}/engine/executor.py"]) == ""
    assert stages.stage_of(["/lib/json/decoder.py"]) == "the rest"


@pytest.mark.slow
def test_growth_and_where_time_goes_are_measured(tmp_path: Path) -> None:
    there = files.Files(folder=tmp_path, rounds=1, kinds=[])
    grown = growth.measured(there, 2_000).text
    assert "| rows to xlsx | 2,000 |" in grown
    assert "| 300 | 6 |" in grown
    seen = stages.measured(there, 3_000).text
    assert "| loading Python code |" in seen
    assert "| ledger |" in seen


def test_who_is_interrupted_leaves_no_program_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    def interrupted(process: int, _: int) -> None:
        seen.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(measure.os, "wait4", interrupted)
    closed = "import os, time; os.close(1); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt):
        measure.run(sys.executable, "-c", closed)
    with pytest.raises(ProcessLookupError):
        os.kill(seen[0], 0)


def test_ctrl_c_ends_the_bench_and_keeps_what_is_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: bench.Bench) -> Part:
        raise KeyboardInterrupt

    parts = {"good": lambda _: Part(text="It is quick."), "long": interrupted}
    monkeypatch.setattr(bench, "PARTS", parts)
    assert bench.main([]) == 130
    said = capsys.readouterr()
    assert said.out == "It is quick.\n"
    assert said.err.endswith("Ended by Ctrl-C; what was written stays.\n")


def test_each_part_has_its_place_on_the_page() -> None:
    page = (measure.ROOT / "docs/performance.md").read_text()
    for name in [*bench.PARTS, "goals"]:
        assert f"<!-- {bench.SECTION.format(name)}: written by make -->" in page
        assert f"<!-- end of {bench.SECTION.format(name)} -->" in page


@pytest.mark.slow
def test_what_stands_beside_files_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--only", "changing", "upcoming", "due", "history", "--rows", "2000"]
    assert bench.main([*arguments, "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert "| all of 20 files, by the time of one changed | at least 20 |" in said
    assert "| the next run of 20 |" in said
    assert "of 2,000: p99 to that of a bare look-up" in said


@pytest.mark.slow
def test_the_bench_checks_its_files_and_writes_its_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = a_page(tmp_path, [*bench.PARTS, "goals"])
    arguments = ["--only", "csv", "sqlite", "small", "validate", "--rows", "1000"]
    assert bench.main([*arguments, "--rounds", "1", "--page", str(page)]) == 0
    assert "Python's csv 12,000, DuckDB 12,000" in capsys.readouterr().out
    written = page.read_text()
    assert written.startswith("before\n")
    assert "2 small exports" in written
    assert "10 files" in written
    assert "1,000 rows of 12 columns in SQLite" in written
    assert "- Arrow: pyarrow 12,000, DuckDB 12,000" in written


@pytest.mark.slow
def test_rows_out_of_postgres_are_compared_with_their_source(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("psycopg", reason="which only `make bench` installs")
    assert bench.main(["--only", "postgres", "--rows", "1000", "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    arrow = "- Arrow: pyarrow 12,000, DuckDB 12,000"
    assert arrow in said or "Not measured" in said  # where no PostgreSQL starts


@pytest.mark.slow
def test_workbooks_are_read_twice_and_rows_may_be_left_out(tmp_path: Path) -> None:
    made = files.Files(folder=tmp_path, rounds=1, kinds=["xlsx"])
    assert "calamine 12,000, openpyxl 12,000" in files.controls(made, 1000).text
    database, file = made.database(1000, controls=True), made.file("boe", "xlsx")
    found = checks.check_workbook(database, file, every=100)
    assert found == {"calamine": 12_000, "openpyxl": 120}
    *_, same = files.memory(made, [1000, 2000]).goals
    assert same.what == "xlsx of 2,000 rows: memory, by that of 1,000"
