"""pdf: pages as another library reads them."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pypdf
import pytest

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import FormatOptions, Table, Written
from boe_reconciler.core.resources.report import Column
from boe_reconciler.formats import pdf


def write(*tables: Table, **changes: Any) -> tuple[bytes, Written]:
    defaults: dict[str, Any] = {
        "title": "Margin by region, Łódź",
        "subtitle": "2026-10",
        "timezone": ZoneInfo("Europe/Berlin"),
        "occurrence": datetime(2026, 11, 24, 5, 30, tzinfo=UTC),
    }
    target = io.BytesIO()
    done = pdf.create().write(tables, target, FormatOptions(**defaults | changes))
    return target.getvalue(), done


def a_table(rows: pa.Table, name: str = "Regions", **columns: Column) -> Table:
    batches = iter(rows.to_batches())
    return Table(name=name, schema=rows.schema, batches=batches, columns=columns)


def pages(content: bytes) -> list[str]:
    reader = pypdf.PdfReader(io.BytesIO(content))
    return [page.extract_text() for page in reader.pages]


def test_each_page_has_the_header_row_and_its_number() -> None:
    content, _ = write(a_table(pa.table({"Region": range(100)})))
    texts = pages(content)
    assert len(texts) == 3
    assert all("Region" in text for text in texts)
    for number, text in enumerate(texts, start=1):
        assert f"Page {number} of" in text
        assert "24 November 2026, 06:30 Europe/Berlin" in text
    assert "Margin by region, Łódź" in texts[0]
    assert "2026-10" in texts[0]
    assert "100 rows" in texts[-1]
    shown = [line for text in texts for line in text.splitlines() if line.isdigit()]
    assert shown.count("57") == 1


def test_the_document_tells_its_title_and_occurrence() -> None:
    about = pypdf.PdfReader(
        io.BytesIO(write(a_table(pa.table({"a": [1]})))[0])
    ).metadata
    assert about is not None
    assert about.title == "Margin by region, Łódź"
    assert about.creation_date == datetime(2026, 11, 24, 5, 30, tzinfo=UTC)


def paper(columns: int) -> tuple[int, int]:
    rows = pa.table({f"column {n}": ["x" * 12] for n in range(columns)})
    box = pypdf.PdfReader(io.BytesIO(write(a_table(rows))[0])).pages[0].mediabox
    return round(box.width), round(box.height)


def test_the_paper_grows_with_the_table() -> None:
    assert paper(3) == (595, 842)
    assert paper(9) == (842, 595)
    assert paper(15) == (1191, 842)


def test_a_table_that_is_too_wide_is_refused() -> None:
    with pytest.raises(Permanent, match="do not fit") as error:
        paper(120)
    assert "xlsx" in error.value.help


def test_more_rows_than_a_person_reads_are_refused() -> None:
    rows = pa.table({"n": range(pdf.MAX_ROWS)})
    with pytest.raises(Permanent, match="50,000 rows at most") as error:
        write(a_table(rows), a_table(rows.slice(0, 1)))
    assert "csv" in error.value.help


def test_long_text_wraps_and_very_long_text_is_cut_with_a_note() -> None:
    texts = ["word " * 40 + "end", "y" * 300, "z" * 5000, "a\n" * 30]
    content, done = write(a_table(pa.table({"text": texts, "n": range(4)})))
    (text,) = pages(content)
    assert "end" in text
    assert text.count("y") >= 300
    assert text.count("z") < 700
    assert done.notes == [("text_cut", "2 long texts are cut in the pdf")]
    assert text.count("\u2026") == 2


def test_other_scripts_are_shown_and_what_cannot_be_is_noted() -> None:
    names = ["Αθήνα", "Москва", "東京", "カナ", "서울", "≥ 5 → 6", "ไทย"]
    content, done = write(a_table(pa.table({"name": names})))
    text = "".join(pages(content))
    assert "Αθήνα" in text
    assert "Москва" in text
    assert "≥" in text
    assert not done.notes
    _, done = write(a_table(pa.table({"name": ["שלום 😀"]})))
    ((action, sentence),) = done.notes
    assert action == "characters_missing"
    assert "😀" in sentence


def test_each_table_begins_on_a_page_with_its_name() -> None:
    rows = pa.table({"a": [1]})
    content, done = write(a_table(rows, "First"), a_table(rows.slice(0, 0), "Second"))
    first, second = pages(content)
    assert "First" in first
    assert "Second" in second
    assert "No rows" in second
    assert done.rows == 1
    names: Any = pypdf.PdfReader(io.BytesIO(content)).outline
    assert [entry["/Title"] for entry in names] == ["First", "Second"]


def test_documents_drawn_at_once_do_not_disturb_each_other() -> None:
    rows = pa.table({"name": [f"Żółć {n} 東京 ≥" for n in range(60)]})
    alone, _ = write(a_table(rows))
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(write(a_table(rows))[0]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4


def test_widths_of_columns_are_kept() -> None:
    rows = pa.table({"text": ["some words that wrap"], "n": [1]})
    content, _ = write(a_table(rows, text=Column(width=6)))
    assert "some words that wrap" not in pages(content)[0]
