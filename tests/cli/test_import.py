"""`boe import`: the older BOE's JSON create requests as YAML."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.importing import Imported, Known, Request, convert
from tests.cli.conftest import Boe
from tests.folders import a_folder, document, write

SAMPLE = {
    "report_id": "existing-report-uuid",
    "name": "Daily Sales Report",
    "description": "Automated daily sales summary",
    "schedule_config": {"frequency": "daily", "timezone": "America/New_York"},
    "distribution_config": {
        "local": {
            "base_path": "/exports/scheduled",
            "create_subdirs": True,
            "filename_pattern": "{report_name}_{date}.{format}",
        }
    },
    "export_config": {"format": "excel", "include_headers": True, "compress": False},
    "is_active": True,
}


@pytest.fixture
def old(tmp_path: Path) -> Callable[..., str]:
    """old(request, …): a file of them."""

    def write_them(*requests: Any, name: str = "old.json") -> str:
        file = tmp_path / name
        file.write_text(json.dumps(requests[0] if len(requests) == 1 else requests))
        return name

    return write_them


def imported(*requests: Any, **known: Any) -> Imported:
    return convert(
        [Request(place="old.json", data=one) for one in requests],
        owner="ops@example.com",
        report_map={},
        known=Known(**known),
    )


def the_schedule(found: Imported) -> Any:
    (text,) = [t for path, t in found.files.items() if path.startswith("schedules/")]
    return yaml.safe_load(text)


def test_the_sample_becomes_yaml_that_validates_but_for_the_stub(
    tmp_path: Path, boe: Boe, old: Callable[..., str]
) -> None:
    said = boe(tmp_path, "import", old(SAMPLE), "--out", "repo", "--owner", "finance")
    assert said.code == 0, said.err
    assert "reports/existing-report-uuid.yaml: fill in the Connection" in said.out
    found = boe(tmp_path / "repo", "validate", "--format", "json").json
    files = {one["range"]["filename"] for one in found["diagnostics"]}
    errors = [one for one in found["diagnostics"] if one["severity"] == "error"]
    assert files == {"reports/existing-report-uuid.yaml"}
    assert [one["path"] for one in errors] == ["spec.connection"]

    spec = yaml.safe_load(
        (tmp_path / "repo/schedules/daily-sales-report.yaml").read_text()
    )
    assert spec["metadata"] == {
        "name": "daily-sales-report",
        "owner": "finance",
        "title": "Daily Sales Report",
        "description": "Automated daily sales summary",
    }
    assert spec["spec"] == {
        "report": "existing-report-uuid",
        "when": {"frequency": "daily", "timezone": "America/New_York"},
        "export": {"format": "xlsx"},
        "deliver_to": [
            {
                "type": "local",
                "base_path": "/exports/scheduled",
                "filename_pattern": "{report_name}_{date}.{format}",
            }
        ],
    }


def test_an_absolute_folder_comes_with_the_policy_line_it_needs(
    tmp_path: Path, boe: Boe, old: Callable[..., str]
) -> None:
    boe(tmp_path, "import", old(SAMPLE), "--out", "repo", "--owner", "finance")
    policy = yaml.safe_load((tmp_path / "repo/policy.yaml").read_text())
    assert "/exports/scheduled" in policy["spec"]["allow"]["local_roots"]


def test_a_policy_that_is_there_is_left_alone_and_its_line_is_told(
    tmp_path: Path, boe: Boe, old: Callable[..., str]
) -> None:
    a_folder(tmp_path / "repo", policy={})
    before = (tmp_path / "repo/policy.yaml").read_text()
    said = boe(tmp_path, "import", old(SAMPLE), "--out", "repo", "--owner", "finance")
    assert (tmp_path / "repo/policy.yaml").read_text() == before
    assert "policy.yaml: below spec" in said.out
    assert "- /exports/scheduled" in said.out


def test_with_a_report_map_everything_validates(
    tmp_path: Path, boe: Boe, old: Callable[..., str]
) -> None:
    repo = a_folder(tmp_path / "repo")
    report = {"connection": "none", "query": "select 1 as one"}
    write(repo / "reports/sales.yaml", document("Report", "sales", report))
    write(repo / "groups/finance.yaml", document("Group", "finance", {"members": []}))
    (tmp_path / "map.csv").write_text("existing-report-uuid,sales\n")
    requests = [SAMPLE, {**SAMPLE, "is_active": False}]
    said = boe(
        tmp_path,
        *("import", old(*requests), "--out", "repo"),
        *("--owner", "finance", "--report-map", "map.csv"),
    )
    assert said.code == 0, said.err
    assert boe(repo, "validate").code == 0
    paused = yaml.safe_load((repo / "schedules/daily-sales-report-2.yaml").read_text())
    assert paused["spec"]["paused"] is True
    assert paused["spec"]["report"] == "sales"


def test_a_mapped_report_that_is_not_there_is_told(
    tmp_path: Path, boe: Boe, old: Callable[..., str]
) -> None:
    (tmp_path / "map.csv").write_text("existing-report-uuid,sales\n")
    said = boe(
        tmp_path,
        *("import", old(SAMPLE), "--out", "repo"),
        *("--owner", "finance", "--report-map", "map.csv"),
    )
    assert "There is no Report 'sales' yet" in said.out


def test_nothing_is_overwritten(
    tmp_path: Path, boe: Boe, old: Callable[..., str]
) -> None:
    arguments = ("import", old(SAMPLE), "--out", "repo", "--owner", "finance")
    assert boe(tmp_path, *arguments).code == 0
    files = {p: p.read_bytes() for p in (tmp_path / "repo").rglob("*") if p.is_file()}
    assert boe(tmp_path, *arguments).code == 0
    assert {path: path.read_bytes() for path in files} == files
    new = {p.name for p in (tmp_path / "repo/schedules").iterdir()}
    assert new == {"daily-sales-report.yaml", "daily-sales-report-2.yaml"}


def test_a_file_in_the_way_stops_all_of_it(
    tmp_path: Path, boe: Boe, old: Callable[..., str]
) -> None:
    write(tmp_path / "repo/reports/existing-report-uuid.yaml", {})
    said = boe(tmp_path, "import", old(SAMPLE), "--out", "repo", "--owner", "finance")
    assert said.code == 1
    assert "exists already; nothing was written" in said.err
    assert not (tmp_path / "repo/schedules").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"name": "x",\n  oops}', "old.json:2:3: not JSON"),
        ("", "old.json:1:1: not JSON"),
        ("[1, 2]", "old.json: request 1 is no JSON object"),
        ("[" * 100_000, "old.json is not JSON in UTF-8"),
        ('{"report_id": ' + "9" * 5000 + "}", "old.json is not JSON in UTF-8"),
        (b"\xff\xfe", "old.json is not JSON in UTF-8"),
        (None, "old.json cannot be read: No such file or directory"),
    ],
    ids=["syntax", "empty", "no object", "too deep", "too long", "no text", "no file"],
)
def test_bad_json_says_where(
    tmp_path: Path, boe: Boe, text: str | bytes | None, told: str
) -> None:
    if text is not None:
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "old.json").write_bytes(content)
    said = boe(tmp_path, "import", "old.json", "--out", "repo", "--owner", "finance")
    assert said.code == 1
    assert told in said.err
    assert not (tmp_path / "repo").exists()


def test_values_of_a_wrong_type_are_told_all_at_once_and_nothing_is_written(
    tmp_path: Path, boe: Boe, old: Callable[..., str]
) -> None:
    wrong = {
        "report_id": {},
        "name": 3,
        "schedule_config": [],
        "export_config": {"format": 7, "compress": 1},
        "distribution_config": {"local": {"base_path": 4, "create_subdirs": "yes"}},
        "is_active": "no",
    }
    said = boe(tmp_path, "import", old(wrong), "--out", "repo", "--owner", "finance")
    assert said.code == 1
    for told in (
        "report_id is {}, which is not text",
        "name is 3, which is not text",
        "schedule_config is [], which is not an object",
        "export_config.format is 7, which is not text",
        "export_config.compress is 1, which is not true or false",
        "distribution_config.local.base_path is 4, which is not text",
        "distribution_config.local.create_subdirs is 'yes', which is not true or false",
        "is_active is 'no', which is not true or false",
    ):
        assert f"old.json: {told}." in said.err
    assert not (tmp_path / "repo").exists()


@pytest.mark.parametrize(
    ("config", "when"),
    [
        ({}, {"frequency": "daily"}),
        ({"cron_expression": "0 6 * * 1"}, {"cron": "0 6 * * 1"}),
        ({"frequency": "cron", "cron": "@daily"}, {"cron": "@daily"}),
        ({"frequency": "Daily", "time": "6:30"}, {"frequency": "daily", "at": "06:30"}),
        ({"frequency": "hourly", "minute": 5}, {"frequency": "hourly", "at": ":05"}),
        (
            {"frequency": "weekly", "day_of_week": "Friday", "time": "07:00"},
            {"frequency": "weekly", "at": "07:00", "on": "fri"},
        ),
        (
            {"frequency": "weekly", "day_of_week": 0},
            {"frequency": "weekly", "on": "mon"},
        ),
        (
            {"frequency": "monthly", "day_of_month": 31},
            {"frequency": "monthly", "on": 31},
        ),
    ],
)
def test_each_shape_of_a_timetable(config: Any, when: Any) -> None:
    found = imported({**SAMPLE, "schedule_config": config})
    assert found.errors == []
    assert the_schedule(found)["spec"]["when"] == {**when, "timezone": "UTC"}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"frequency": "fortnightly"}, "fortnightly"),
        ({"frequency": "daily", "time": "noon"}, 'no time such as "06:30"'),
        ({"frequency": "weekly", "day_of_week": 7}, "is 7, which is not 0 to 6"),
        ({"frequency": "monthly", "day_of_month": 32}, "32"),
        ({"frequency": "hourly", "minute": 75}, ":75"),
        ({"cron": "* * *"}, "spec.when.cron"),
        ({"timezone": "America/NewYork"}, "did you mean America/New_York?"),
    ],
)
def test_a_timetable_that_means_nothing_is_an_error(config: Any, told: str) -> None:
    found = imported({**SAMPLE, "schedule_config": config})
    assert len(found.errors) == 1
    assert found.errors[0].startswith("old.json: ")
    assert told in found.errors[0]


def test_whatever_has_no_place_here_becomes_a_note() -> None:
    found = imported(
        {
            **SAMPLE,
            "created_by": "carl",
            "schedule_config": {"frequency": "daily", "day_of_week": 3, "retries": 1},
            "export_config": {"format": "csv", "delimiter": ";"},
            "distribution_config": {
                "local": {"base_path": "out", "chmod": "0600"},
                "email": {"recipients": ["a@example.com"]},
            },
        }
    )
    assert found.errors == []
    for left in (
        "created_by: 'carl'",
        "schedule_config.day_of_week: 3",
        "schedule_config.retries: 1",
        "export_config.delimiter: ';'",
        "distribution_config.local.chmod: '0600'",
        "distribution_config.email: {'recipients': ['a@example.com']}",
    ):
        assert f"old.json: {left} has no place here and was left out." in found.notes


def test_a_weekday_by_number_is_told_because_people_count_differently() -> None:
    found = imported(
        {**SAMPLE, "schedule_config": {"frequency": "weekly", "day_of_week": 6}}
    )
    assert any("day_of_week 6 was taken as sun" in note for note in found.notes)


def test_two_reports_whose_ids_look_alike_stay_two() -> None:
    found = imported({**SAMPLE, "report_id": "A B"}, {**SAMPLE, "report_id": "a-b"})
    assert {path for path in found.files if path.startswith("reports/")} == {
        "reports/a-b.yaml",
        "reports/a-b-2.yaml",
    }


def test_the_eleventh_schedule_brings_its_limit() -> None:
    found = imported(*[{**SAMPLE, "name": f"s {n}"} for n in range(11)])
    policy = yaml.safe_load(found.files["policy.yaml"])
    limits = policy["spec"]["limits"]["schedules_per_owner"]
    assert limits == {"default": 10, "ops@example.com": 11}


def test_an_odd_name_stays_the_title() -> None:
    found = imported({**SAMPLE, "name": " 1e3: Umsätze\n#日次 "})
    metadata = the_schedule(found)["metadata"]
    assert metadata["title"] == "1e3: Umsätze #日次"
    assert metadata["name"] == "1e3-umsatze"
    assert found.errors == []


def test_an_odd_report_id_cannot_write_yaml_of_its_own() -> None:
    found = imported({**SAMPLE, "report_id": "x\nkind: Policy"})
    assert found.errors == []
    text = found.files["reports/x-kind-policy.yaml"]
    assert yaml.safe_load(text)["kind"] == "Report"


@pytest.mark.parametrize("owner", ["Finance Team", "", "a@b", "x: y"])
def test_an_owner_is_an_address_or_the_name_of_a_group(owner: str) -> None:
    found = convert(
        [Request(place="old.json", data=SAMPLE)],
        owner=owner,
        report_map={},
        known=Known(),
    )
    assert found.errors != []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(SAMPLE, JSON),
        "name": st.text() | JSON,
        "schedule_config": JSON
        | st.dictionaries(
            st.sampled_from(
                ["frequency", "time", "minute", "day_of_week", "cron", "timezone"]
            ),
            JSON | st.sampled_from(["daily", "weekly", "hourly", "6:30", "UTC"]),
        ),
    },
)


@given(request=SECTIONS)
def test_whatever_json_holds_gives_yaml_that_reads_or_errors(
    request: dict[str, Any],
) -> None:
    found = imported(request, {**SAMPLE, **request})
    assert found.errors or all(yaml.safe_load(text) for text in found.files.values())
    for line in (*found.errors, *found.notes):
        line.encode()


def test_everything_that_differs_from_a_default_is_kept() -> None:
    request = {
        "report_id": "r1",
        "name": "All of it",
        "schedule_config": {"frequency": "daily", "time": "07:15"},
        "distribution_config": {
            "local": {"base_path": "reports", "create_subdirs": False}
        },
        "export_config": {
            "format": "csv",
            "include_headers": False,
            "compress": "gzip",
            "filename_pattern": "{schedule_name}_{date}.{format}",
        },
        "is_active": False,
    }
    spec = the_schedule(imported(request))["spec"]
    assert spec["export"] == {
        "format": "csv",
        "include_headers": False,
        "compress": "gzip",
        "filename_pattern": "{schedule_name}_{date}.{format}",
    }
    assert spec["deliver_to"] == [
        {"type": "local", "base_path": "reports", "create_subdirs": False}
    ]
    assert spec["paused"] is True


def test_a_compression_of_the_older_boe_is_zip() -> None:
    request = {**SAMPLE, "export_config": {"format": "csv", "compress": True}}
    assert the_schedule(imported(request))["spec"]["export"]["compress"] == "zip"


def test_a_frequency_beside_a_cron_gives_way_and_is_told() -> None:
    config = {"frequency": "daily", "cron": "0 6 * * *", "timezone": "UTC"}
    found = imported({**SAMPLE, "schedule_config": config})
    assert the_schedule(found)["spec"]["when"]["cron"] == "0 6 * * *"
    assert any("gave way" in note for note in found.notes)


def test_a_missing_mapped_report_is_told_once() -> None:
    one = {**SAMPLE, "report_id": "r1"}
    found = convert(
        [Request(place=f"{n}.json", data={**one, "name": f"N{n}"}) for n in (1, 2)],
        owner="ops@example.com",
        report_map={"r1": "margins"},
        known=Known(),
    )
    assert sum("margins" in note for note in found.notes) == 1


def test_text_with_control_characters_is_refused() -> None:
    found = imported({**SAMPLE, "name": "Daily\x00Sales"})
    assert any("characters that no text has" in error for error in found.errors)
