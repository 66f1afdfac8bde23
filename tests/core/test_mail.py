"""What a mail says, and what may never stand in a header."""

from __future__ import annotations

from base64 import encodebytes
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.calendar.periods import period_of
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.mail import Letter, encoded_size, header_flaw, letter, ways_out
from boe_reconciler.core.marks import Marks
from boe_reconciler.core.ports import Shipment
from boe_reconciler.core.preview import CELL, Preview, cell, stored_preview
from tests.shipments import a_shipment

OWN = "<html><BODY class='x'>Dear {{ report }}</BODY></html>"


def a_mail(home: Path, **given: Any) -> Shipment:
    fields = {
        "type": "email",
        "connection": "mail",
        "to": ["a@example.com"],
        "subject": "{{ report }} ({{ rows }})",
    }
    fields |= given.pop("fields", {})
    shipment = a_shipment(home, fields, recipient="a@example.com")
    context = {"report": "Margin", "owner": "finance", "schedule": "margin-monthly"}
    return replace(shipment, **({"context": context} | given))


def a_preview() -> Preview:
    return Preview(
        titles=["carrier", "flights"],
        right=[False, True],
        rows=[["UA", "58,665"]],
        columns=2,
    )


def written(shipment: Shipment, **templates: str | None) -> Letter:
    return letter(shipment, **({"text": None, "html": None} | templates))


@given(st.binary(max_size=500))
def test_the_encoded_size_is_that_of_base64_in_lines(content: bytes) -> None:
    lines = encodebytes(content).replace(b"\n", b"\r\n")
    whole = -(-len(content) // 57) * 78
    assert encoded_size(len(content)) == whole
    assert whole - 78 < len(lines) <= whole or not content


def test_nothing_written_looks_good_by_itself(tmp_path: Path) -> None:
    mail = a_mail(tmp_path, fields={"unsubscribe": {"url": "https://example.com/stop"}})
    zone = ZoneInfo("Europe/Berlin")
    period = period_of("previous_month", mail.occurrence, zone)
    found = written(
        replace(mail, rows=58665, context={**mail.context, "period": period})
    )
    assert found.subject == "Margin (58665)"
    assert found.text == (
        "Margin 2026-10\n\n"
        "Period:    2026-10 (2026-10-01 to 2026-10-31)\n"
        "As of:     Tue 2026-11-24 06:30 CET (05:30 UTC)\n"
        "Rows:      58,665\n"
        "Attached:  carriers.csv (25 bytes)\n\n"
        "-- \n"
        "Sent by BOE for finance (schedule margin-monthly).\n"
        "Get no more of these mails: https://example.com/stop\n"
    )
    for said in (
        "Margin 2026-10",
        "58,665",
        "carriers.csv",
        "https://example.com/stop",
    ):
        assert found.html
        assert said in found.html


def test_a_period_of_one_day_is_said_once(tmp_path: Path) -> None:
    mail = a_mail(tmp_path)
    period = period_of("previous_day", mail.occurrence, ZoneInfo("UTC"))
    context = {**mail.context, "period": period}
    text = written(replace(mail, context=context)).text
    assert "Period:    2026-11-23\n" in text


def test_values_are_escaped_in_html(tmp_path: Path) -> None:
    mail = a_mail(tmp_path, context={"report": "<script>1 & 2</script>"})
    for html in (None, OWN):
        found = written(mail, html=html)
        assert found.html
        assert "<script>" not in found.html
        assert "&lt;script&gt;1 &amp; 2" in found.html


def test_who_writes_a_plain_text_alone_sends_a_plain_mail(tmp_path: Path) -> None:
    found = written(a_mail(tmp_path), text="Dear all,\nhere it is.")
    assert found.html is None
    assert found.text.startswith("Dear all,\nhere it is.\n\n-- \n")


def test_a_link_and_the_first_rows_are_in_every_body(tmp_path: Path) -> None:
    over = {"link_to": "archive", "expires": "7d"}
    mail = replace(
        a_mail(tmp_path, fields={"attach": {"max": "1MB", "over_max": over}}),
        link="https://s3.example.com/x?a=1&b=2",
        preview=a_preview(),
        rows=2,
    )
    found = written(mail, text="Dear all", html=OWN)
    assert "https://s3.example.com/x?a=1&b=2" in found.text
    assert "carrier  flights\n-------  -------\nUA        58,665\n" in found.text
    assert "The first 1 of 2 rows." in found.text
    assert found.html
    end = found.html.index("</BODY>")
    assert 0 < found.html.index("https://s3.example.com/x?a=1&amp;b=2") < end
    assert 0 < found.html.index(">58,665<") < end
    assert "The link works for 7 days." in found.html


def test_no_preview_says_that_there_is_more_where_it_shows_all(tmp_path: Path) -> None:
    found = written(replace(a_mail(tmp_path), preview=a_preview(), rows=1))
    assert "The first" not in found.text + str(found.html)


def test_rows_are_those_of_all_files_together(tmp_path: Path) -> None:
    mail = a_mail(tmp_path, preview=a_preview(), rows=1)
    found = written(replace(mail, context={**mail.context, "rows": 2500}))
    for text in (found.text, str(found.html)):
        assert "The first 1 of 2,500 rows." in text
    assert found.subject == "Margin (2500)"
    assert "Rows:      2,500\n" in found.text


def test_a_preview_of_a_workbook_names_its_sheet(tmp_path: Path) -> None:
    preview = replace(a_preview(), sheet="Sums & more")
    found = written(replace(a_mail(tmp_path), preview=preview, rows=1))
    assert 'The first rows of the sheet "Sums & more".' in found.text
    assert "the sheet &#34;Sums &amp; more&#34;." in str(found.html)


def test_a_wide_preview_fits_into_lines_of_a_text_and_scrolls_in_html(
    tmp_path: Path,
) -> None:
    row = [f"{number}-" + "今" * 20 for number in range(12)]
    wide = Preview(titles=row, right=[False] * 12, rows=[row], columns=60)
    found = written(replace(a_mail(tmp_path), preview=wide, rows=1))
    assert "1-今" in found.text
    assert "2-今" not in found.text
    assert "2 of 60 columns." in found.text
    assert "12 of 60 columns." in str(found.html)
    assert 'overflow-x:auto;margin:0 0 16px">\n<table' in str(found.html)


def test_one_column_is_shown_however_wide_it_is(tmp_path: Path) -> None:
    wide = Preview(titles=["今" * 200], right=[True], rows=[["1"]], columns=2)
    found = written(replace(a_mail(tmp_path), preview=wide, rows=1))
    assert "今…\n" in found.text
    assert "\n" + " " * 62 + "1\n" in found.text


def test_values_of_a_preview_are_escaped(tmp_path: Path) -> None:
    bad = Preview(titles=["<b>"], right=[False], rows=[["<i>&"]], columns=1)
    html = str(written(replace(a_mail(tmp_path), preview=bad), html=OWN).html)
    assert "&lt;b&gt;" in html
    assert "&lt;i&gt;&amp;" in html


def test_a_preview_is_read_as_it_was_stored() -> None:
    preview = a_preview()
    assert stored_preview(preview.content) == preview
    assert preview.first(1) == preview
    assert preview.first(0) is None
    assert replace(preview, rows=[["a", "1"], ["b", "2"]]).first(1) == replace(
        preview, rows=[["a", "1"]]
    )


def test_cells_are_lines_of_bounded_length() -> None:
    assert cell(None) == ""
    assert cell("a\n b") == "a b"
    assert cell("x" * CELL) == "x" * CELL
    assert cell("x" * (CELL + 1)) == "x" * (CELL - 1) + "…"


def test_a_title_of_its_own_wins_over_the_reports(tmp_path: Path) -> None:
    found = written(a_mail(tmp_path, title="Margin of the north"))
    for text in (found.text, str(found.html)):
        assert "Margin of the north" in text
    assert found.text.startswith("Margin of the north\n\nReport:    Margin\n")


def test_a_report_without_something_says_so_first(tmp_path: Path) -> None:
    note = "Made without waiting any longer for a.csv: not there by 08:00"
    mail = a_mail(tmp_path, marks=Marks(notes=[note]))
    for found in (written(mail), written(mail, text="Dear all", html=OWN)):
        assert found.text.startswith(f"{note}.\n\n")
        html = str(found.html)
        assert html.index(f"{note}.") < html.index(
            "Margin", html.lower().index("<body")
        )


def test_a_way_out_names_its_recipient(tmp_path: Path) -> None:
    stop = {"url": "https://example.com/stop?a={{ recipient }}&of={{ schedule }}"}
    mail = a_mail(tmp_path, fields={"unsubscribe": stop})
    anna = replace(mail, key=replace(mail.key, recipient="anna+x@example.com"))
    url = "https://example.com/stop?a=anna%2Bx%40example.com&of=margin-monthly"
    found = written(anna)
    assert f"Get no more of these mails: {url}\n" in found.text
    assert url.replace("&", "&amp;") in str(found.html)
    own = str(written(anna, html=OWN).html)
    assert (
        own.index("Dear") < own.index(url.replace("&", "&amp;")) < own.index("</BODY")
    )
    letter_box = {"mailto": "stop@example.com?subject=no%20{{ recipient }}"}
    mail = a_mail(tmp_path, fields={"unsubscribe": {**stop, **letter_box}})
    assert ways_out(mail)[1] == "mailto:stop@example.com?subject=no%20a%40example.com"
    assert ways_out(a_mail(tmp_path)) == []


def test_a_way_out_that_cannot_be_filled_in_sends_nothing(tmp_path: Path) -> None:
    stop = {"url": "https://example.com/{{ parameters.x }}"}
    with pytest.raises(Permanent, match="the mail's unsubscribe"):
        ways_out(a_mail(tmp_path, fields={"unsubscribe": stop}))


def test_html_without_a_body_gets_what_is_said_around_it(tmp_path: Path) -> None:
    mail = replace(
        a_mail(tmp_path), link="https://x.example", marks=Marks(notice="empty")
    )
    found = written(mail, html="<p>Hello</p>")
    assert found.html
    assert found.html.index("no rows this time") < found.html.index("Hello")
    assert found.html.index("Hello") < found.html.index("https://x.example")


MARKED = {
    "Corrected: ": (
        Marks(corrected="a region was missing", rerun_of="margin.1"),
        "This corrects the report of the run margin.1: A region was missing.",
    ),
    "[staging] ": (
        Marks(redirected_by="staging", meant_for=("x@example.com", "y@example.com")),
        "It would have gone to x@example.com, y@example.com.",
    ),
    "[only to you] ": (
        Marks(asked_for=True, meant_for=[f"p{n}@example.com" for n in range(22)]),
        "p19@example.com and 2 others.",
    ),
    "No rows: ": (Marks(notice="empty"), "The report has no rows this time"),
    "Unchanged: ": (Marks(notice="unchanged"), "The rows are those of last time"),
}


@pytest.mark.parametrize("prefix", MARKED)
def test_what_sets_a_mail_apart_is_in_its_subject_and_above_all_else(
    tmp_path: Path, prefix: str
) -> None:
    marks, sentence = MARKED[prefix]
    found = written(replace(a_mail(tmp_path), marks=marks), html=OWN)
    assert found.subject == f"{prefix}Margin (1)"
    assert sentence in found.text.partition("\n\n")[0]
    assert found.html
    assert sentence in found.html.partition("Dear")[0]


def test_a_correction_of_no_run_that_is_known_says_so_shortly(tmp_path: Path) -> None:
    found = written(replace(a_mail(tmp_path), marks=Marks(corrected="why")))
    assert found.text.startswith("This corrects it: Why.")


def test_who_has_it_sent_to_nobody_else_reads_of_nobody(tmp_path: Path) -> None:
    found = written(replace(a_mail(tmp_path), marks=Marks(asked_for=True)))
    assert found.text.startswith("Somebody had this sent to you alone.\n\n")


def test_news_and_links_have_no_file_with_them(tmp_path: Path) -> None:
    mail = a_mail(tmp_path)
    others = (
        replace(mail, marks=Marks(notice="empty")),
        replace(mail, link="https://x.example"),
        a_mail(tmp_path, fields={"attach": False}),
    )
    for other in others:
        assert "Attached" not in written(other).text


def test_a_part_is_named(tmp_path: Path) -> None:
    context = {"report": "Margin", "part": {"region": "EMEA"}}
    mail = a_mail(tmp_path, context=context)
    key = replace(mail.key, part="EMEA")
    found = written(replace(mail, key=key, bytes=2_500_000_000_000), text=None)
    assert "Part:      EMEA" in found.text
    assert "2,500 GB" in found.text
    assert found.text.endswith("Sent by BOE.\n")


def test_a_mailto_stops_it_too(tmp_path: Path) -> None:
    mail = a_mail(tmp_path, fields={"unsubscribe": {"mailto": "stop@example.com"}})
    assert "mailto:stop@example.com" in written(mail).text


@pytest.mark.parametrize(
    "bad", ["\r\nBcc: x@y.z", "\n", "\x00", "\x7f", "\u2028", "\u202e"]
)
def test_a_subject_cannot_bring_in_a_header(tmp_path: Path, bad: str) -> None:
    mail = a_mail(tmp_path, context={"report": f"Margin{bad}x"})
    with pytest.raises(Permanent) as caught:
        written(mail)
    assert caught.value.reason == "header_refused"
    assert "subject" in caught.value.message


def test_a_header_is_neither_empty_nor_endless() -> None:
    assert header_flaw("") == "is empty"
    assert header_flaw("x" * 1001) == "has more than 1,000 characters"
    assert header_flaw("Übersicht 今日") is None


@pytest.mark.parametrize("field", ["text", "html"])
def test_a_template_that_cannot_be_filled_in_is_told(
    tmp_path: Path, field: str
) -> None:
    with pytest.raises(Permanent) as caught:
        written(a_mail(tmp_path), **{field: "{{ nobody }}"})
    assert caught.value.reason == "template_failed"
    assert field in caught.value.message


def test_controls_do_not_reach_a_body(tmp_path: Path) -> None:
    mail = a_mail(tmp_path, context={"report": "a"}, fields={"subject": "x"})
    assert "a\tb\nc" in written(mail, text="a\tb\nc\x00\x1b").text
