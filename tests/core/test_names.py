"""File names and paths: no text makes a name or a path that leaves its place."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from boe_reconciler.core import names

VALUES = names.NameValues(
    report="Margin by  region",
    schedule="margin-monthly",
    occurrence=datetime(2026, 11, 23, 23, 30, 5, tzinfo=UTC),
    timezone=ZoneInfo("Europe/Berlin"),
    run_id="margin-monthly.20261123T233005Z",
    extension="xlsx",
    period="2026-10",
    part="EMEA",
)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{part}_{report_name}.{format}", "EMEA_Margin_by_region.xlsx"),
        ("{schedule_name}-{period}-{part}.x", "margin-monthly-2026-10-EMEA.x"),
    ],
)
def test_a_pattern_may_name_the_part(pattern: str, expected: str) -> None:
    assert names.file_name(pattern, VALUES) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("2 of 3", "a_2026 (2 of 3).csv.gz"),
        ("../x", "a_2026 (_x).csv.gz"),
        ("ü" * 200, f"a_2026 ({'ü' * 50}).csv.gz"),
    ],
)
def test_a_part_that_the_pattern_does_not_name_stands_before_the_extension(
    part: str, expected: str
) -> None:
    values = replace(VALUES, part=part)
    assert names.file_name("a_{year}.csv.gz", values) == expected


def test_the_pieces_of_a_file_sort_in_their_order() -> None:
    pieces = [names.piece(number, 12) for number in range(1, 13)]
    assert pieces[:2] == ["01 of 12", "02 of 12"]
    assert sorted(pieces) == pieces


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{report_name}_{date}.{format}", "Margin_by_region_2026-11-24.xlsx"),
        ("{timestamp}", "20261124_003005"),
        ("{time}", "003005"),
        ("{year}{month}{day}", "20261124"),
        ("{date:%Y%m}.csv", "202611.csv"),
        ("{date:%d.%m.%Y}.csv", "24.11.2026.csv"),
        ("{run_id}", "margin-monthly.20261123T233005Z"),
    ],
)
def test_tokens_stand_for_the_occurrence_in_its_zone(
    pattern: str, expected: str
) -> None:
    assert names.check_pattern(pattern) == []
    assert names.file_name(pattern, replace(VALUES, part="")) == expected


@pytest.mark.parametrize(
    ("pattern", "code", "offset", "words"),
    [
        ("x_{dat}.csv", "BOE160", 2, "{date}"),
        ("{Report_Name}.csv", "BOE160", 0, "{report_name}"),
        ("{file}.csv", "BOE160", 0, "done_marker"),
        ("{quux}.csv", "BOE160", 0, "{schedule_name}"),
        ("a{{ period }}.csv", "BOE161", 1, "{date}"),
        ("a{{ period", "BOE161", 1, "{date}"),
        ("{date.csv", "BOE163", 0, "{date}"),
        ("date}.csv", "BOE163", 4, "{date}"),
        ("a/{date}.csv", "BOE164", 1, "base_path"),
        ("a\\{date}.csv", "BOE164", 1, "base_path"),
        ("{date:%-d}.csv", "BOE165", 0, "%Y"),
        ("{date:}.csv", "BOE165", 0, "%Y"),
        ("{period:%Y}.csv", "BOE165", 0, "%Y"),
        ("same.csv", "BOE167", 0, "{date}"),
    ],
)
def test_a_wrong_pattern_is_told_at_its_place(
    pattern: str, code: str, offset: int, words: str
) -> None:
    (finding,) = names.check_pattern(pattern)
    assert (finding.code, finding.offset) == (code, offset)
    assert words in finding.help


def test_every_wrong_token_is_told_at_once() -> None:
    found = names.check_pattern("{a}{b}{{c}}/")
    assert [each.code for each in found] == ["BOE160", "BOE160", "BOE161", "BOE164"]


def test_a_marker_may_name_its_file() -> None:
    assert names.check_pattern("{file}.done", marker=True) == []
    assert names.marker_name("{file}.done", "a b.csv") == "a b.csv.done"
    assert names.fill("{file}.{date}", VALUES) == "{file}.2026-11-24"


def test_a_token_of_file_names_in_a_template_is_told_with_what_to_write() -> None:
    (finding,) = names.check_template("Margin {date} {{ period }} {not_one}")
    assert (finding.code, finding.offset) == ("BOE162", 7)
    assert "{{ occurrence.date() }}" in finding.help
    assert names.check_template("{{ {'date': 1} }} {% set x = {date} %} {}") == []


@pytest.mark.parametrize(
    ("name", "compress", "expected"),
    [
        ("a.csv", False, "a.csv"),
        ("a.csv", "gzip", "a.csv.gz"),
        ("a.csv", "zip", "a.zip"),
        ("a", "zip", "a.zip"),
        ("x" * 255, "gzip", "x" * 252 + ".gz"),
    ],
)
def test_compression_shows_in_the_name(
    name: str, compress: str | bool, expected: str
) -> None:
    assert names.compressed(name, compress) == expected


def test_zips_of_several_formats_have_names_of_their_own() -> None:
    zipped = [
        names.compressed(f"a.{kind}", "zip", several=True) for kind in ("csv", "json")
    ]
    assert zipped == ["a.csv.zip", "a.json.zip"]


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("a.csv", 1, "a.csv"),
        ("a.csv", 2, "a (2).csv"),
        ("a.csv.gz", 12, "a (12).csv.gz"),
        ("a", 3, "a (3)"),
        ("x" * 251 + ".csv", 2, "x" * 247 + " (2).csv"),
    ],
)
def test_a_number_stands_before_the_extension(
    name: str, number: int, expected: str
) -> None:
    assert names.numbered(name, number) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b\\c", "a_b_c"),
        ("\uff0fetc\uff0fpasswd", "_etc_passwd"),
        ("a\u2044b\u2215c\uff3cd", "a_b_c_d"),
        ("..", "file"),
        ("../x", "_x"),
        (".hidden", "hidden"),
        ("a. . ", "a"),
        ("nul", "_nul"),
        ("CON .txt", "_CON .txt"),
        ("com¹.csv", "_com¹.csv"),
        ("console.csv", "console.csv"),
        ("a\u202egpj.exe", "agpj.exe"),
        ("a\u200bb\x00c\r\n", "abc"),
        ("a\tb", "a b"),
        ('a<b>c:d"e|f?g*h', "a_b_c_d_e_f_g_h"),
        ("~root", "_~root"),
        ("", "file"),
        ("Übersicht 今日.xlsx", "Übersicht 今日.xlsx"),
        ("U\u0308bersicht", "Übersicht"),
        ("日" * 200 + ".csv.gz", "日" * 82 + ".csv.gz"),
        ("日" * 200 + ".v1.csv", "日" * 83 + ".csv"),
    ],
)
def test_a_name_is_made_safe(name: str, expected: str) -> None:
    assert names.sanitise(name) == expected


@given(st.from_regex(names._PLAIN, fullmatch=True) | st.sampled_from(["con.a", "a"]))
@example("nul")
@example("Com1.csv")
@example("a" * 255)
def test_a_plain_name_is_seen_at_once_and_stays_what_it_is(name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "_PLAIN", r"(?!)")
        expected = names.sanitise(name)
    assert names.sanitise(name) == expected


NASTY = st.text(
    st.sampled_from("./\\ ~:*?\0\n\u202e\u200b\uff0f\uff0e‥…aBcon1nul¹é日\u0308😀$-_")
    | st.characters(),
    max_size=400,
)


@given(NASTY)
@example("\ud800")
@example("a" * 251 + ".日本語")
@example(". a" * 100)
def test_no_text_makes_an_unsafe_name(text: str) -> None:
    name = names.sanitise(text)
    assert name
    assert len(name.encode()) <= 255
    assert name[0] not in ". ~"
    assert name[-1] not in ". "
    assert not set(name) & set('/\\:*?"<>|\uff0f\uff3c\u2215\u2044')
    assert all(unicodedata.category(each)[0] != "C" for each in name)
    assert name.split(".")[0].strip().lower() not in ("con", "nul", "com1", "com¹")
    assert names.sanitise(name) == name


@given(NASTY)
def test_no_value_makes_an_unsafe_name(text: str) -> None:
    values = names.NameValues(
        report=text,
        schedule="s",
        occurrence=VALUES.occurrence,
        timezone=VALUES.timezone,
        run_id="r",
        extension="csv",
        part=text,
    )
    name = names.file_name("{report_name}/{part}.{format}", values)
    assert "/" not in name
    assert len(name.encode()) <= 255


@given(st.text(max_size=60))
def test_no_pattern_breaks_the_check(text: str) -> None:
    names.check_pattern(text)
    names.check_template(text)


@pytest.mark.parametrize(
    "path", ["", "  ", "..", "a/../b", "a/..", "~", "~x/y", "/etc", "C:/x", "a\\b"]
)
def test_no_path_leaves_its_root(path: str) -> None:
    assert names.check_relative(path)


@pytest.mark.parametrize("path", ["a\0b", "a\nb", "a\u202eb", "x" * 256])
def test_no_path_holds_what_a_file_system_trips_over(path: str) -> None:
    assert names.check_relative(path)


@pytest.mark.parametrize("path", ["a", "a/b", ".", "a..b/c", "..a", "a/~b", "日"])
def test_a_plain_path_is_fine(path: str) -> None:
    assert names.check_relative(path) == ""


@pytest.mark.parametrize(
    ("path", "roots", "fine"),
    [
        ("exports/x", None, True),
        ("/srv/x", None, False),
        ("exports/x", ["exports"], True),
        ("exports", ["exports"], True),
        ("exports2", ["exports"], False),
        ("exports/../x", ["exports", "."], False),
        ("/srv/exports/x", ["/srv/exports"], True),
        ("//srv/exports/x", ["/srv/exports"], True),
        ("/srv/exports/../x", ["/srv/exports"], False),
        ("/srv/exports2", ["/srv/exports"], False),
        ("exports", ["/srv/exports"], False),
        ("exports", [], False),
        ("/", ["/srv"], False),
    ],
)
def test_a_base_path_lies_in_one_of_the_roots(
    path: str, roots: list[str] | None, fine: bool
) -> None:
    assert (names.check_base_path(path, roots) == "") is fine


def test_an_objects_folder_has_one_slash_between_its_parts() -> None:
    def folder(prefix: str, *, dated: bool) -> str:
        return names.key_folder(prefix, dated, VALUES.occurrence, ZoneInfo("UTC"))

    assert folder("", dated=False) == ""
    assert folder("a//b", dated=False) == folder("a/b/", dated=False) == "a/b/"
    assert folder("a", dated=True) == f"a/{VALUES.occurrence:%Y/%m/%d}/"


def test_dated_folders_follow_the_local_day() -> None:
    day = names.dated_folder(VALUES.occurrence, ZoneInfo("America/New_York"))
    assert day == "2026/11/23"


@pytest.mark.parametrize(
    ("port", "path", "url"),
    [
        (22, "/in/a.csv", "sftp://bank.example.com/in/a.csv"),
        (2222, "/in/a.csv", "sftp://bank.example.com:2222/in/a.csv"),
        (22, "in/a.csv", "sftp://bank.example.com/~/in/a.csv"),
    ],
)
def test_a_file_on_a_server_is_told_with_its_port(
    port: int, path: str, url: str
) -> None:
    assert names.sftp_url("bank.example.com", port, path) == url
