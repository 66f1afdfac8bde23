"""Who would get which file: addresses, folders, buckets and hosts of a next run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from boe_reconciler.core.burst import Part, parts
from boe_reconciler.core.changes.recipients import Recipient, recipients_of
from boe_reconciler.core.plan.world import Key
from boe_reconciler.core.resources.schedule import Burst
from boe_reconciler.core.spec import PlannedSchedule, ServedObject
from tests.builders import a_schedule, at

MONDAY = at("2026-11-23 06:30")
MAIL = {"type": "email", "connection": "mail", "subject": "s"}


def an_object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[Key, ServedObject]:
    found = ServedObject(
        kind=kind,
        name=name,
        file=f"{name}.yaml",
        index=0,
        data={"metadata": {"name": name}, "spec": spec},
        revision="r",
    )
    return {(kind, name): found}


def delivering(*targets: Mapping[str, Any], **fields: Any) -> PlannedSchedule:
    destinations = [
        {"key": f"d{number}", "distribution": None, "spec": target}
        for number, target in enumerate(targets)
    ]
    return a_schedule("daily", **{"destinations": destinations, **fields})


def found(
    schedule: PlannedSchedule, *objects: dict[Key, ServedObject]
) -> list[Recipient]:
    known = {key: one for each in objects for key, one in each.items()}
    return recipients_of(schedule, known, MONDAY)


FAR = {
    "local": (
        {"type": "local", "base_path": "exports"},
        {},
        "exports",
        "folder exports",
        ("2026/11/23/Daily_2026-11-23.csv",),
    ),
    "s3": (
        {
            "type": "s3",
            "connection": "far",
            "bucket": "b",
            "prefix": "in/",
            "create_subdirs": False,
        },
        {"endpoint_url": "https://key@s3.example.com"},
        "s3://b/in/ at https://s3.example.com",
        "bucket s3://b at https://s3.example.com",
        ("Daily_2026-11-23.csv",),
    ),
    "gcs": (
        {"type": "gcs", "connection": "far", "bucket": "b"},
        {},
        "gs://b/",
        "bucket gs://b",
        ("2026/11/23/Daily_2026-11-23.csv",),
    ),
    "azure": (
        {"type": "azure", "connection": "far", "container": "c", "prefix": "p"},
        {"account_url": "https://a.blob.core.windows.net"},
        "https://a.blob.core.windows.net/c/p",
        "container https://a.blob.core.windows.net/c",
        ("2026/11/23/Daily_2026-11-23.csv",),
    ),
    "sftp": (
        {"type": "sftp", "connection": "far", "base_path": "/in"},
        {"host": "sftp.example.com", "port": 2222},
        "sftp://sftp.example.com:2222/in",
        "host sftp://sftp.example.com:2222",
        ("2026/11/23/Daily_2026-11-23.csv",),
    ),
    "webhook": (
        {"type": "webhook", "connection": "far"},
        {"url": "https://hooks.example.com/T0/secret"},
        "https://hooks.example.com/…",
        "host https://hooks.example.com",
        (),
    ),
    "webhook-with-the-file": (
        {"type": "webhook", "url": "https://x.example/", "send": "file"},
        {},
        "https://x.example",
        "host https://x.example",
        ("Daily_2026-11-23.csv",),
    ),
}


@pytest.mark.parametrize("case", FAR.values(), ids=FAR)
def test_each_far_side_is_named_without_its_secrets(case: Any) -> None:
    target, connection, name, place, files = case
    [one] = found(delivering(target), an_object("Connection", "far", connection))
    assert (one.name, one.place, one.files) == (name, place, files)


def test_two_webhooks_of_one_host_are_two() -> None:
    targets = [
        {"type": "webhook", "url": f"https://hooks.example.com/{secret}"}
        for secret in ("one", "two")
    ]
    first, second = found(delivering(*targets))
    assert first.name == second.name
    assert first.key != second.key


def test_a_connection_without_what_it_needs_is_named_all_the_same() -> None:
    targets = [
        {"type": "azure", "connection": "far", "container": "c"},
        {"type": "webhook", "connection": "far"},
        {"type": "sftp", "connection": "far", "base_path": "in"},
    ]
    names = [one.name for one in found(delivering(*targets))]
    assert names == ["azure://c/", "***", "sftp://far/~/in"]


def test_members_of_a_group_are_told_one_by_one_until_they_leave() -> None:
    members = [
        "anna@example.com",
        {"email": "ben@example.com", "until": "2026-11-22"},
        {"email": "cleo@example.com", "until": "2026-11-23"},
        {"email": "dora@example.com", "until": "2027-01-01"},
        {"email": "Emil <emil@example.com>"},
    ]
    mail = {**MAIL, "to": [{"group": "g"}, "Anna <anna@example.com>"]}
    people = found(delivering(mail, groups={"g": {"members": members}}))
    assert [(one.name.partition("@")[0], one.group, one.until) for one in people] == [
        ("anna", "g", None),
        ("cleo", "g", date(2026, 11, 23)),
        ("dora", "g", date(2027, 1, 1)),
        ("emil", "g", None),
    ]
    assert {one.place for one in people} == {"domain example.com"}


def test_copies_count_as_well() -> None:
    mail = {**MAIL, "to": "a@x.example, b@x.example", "cc": ["c@x.example"]}
    mail["bcc"] = "D@X.Example"
    people = found(delivering(mail))
    assert [one.name for one in people] == [
        *("a@x.example", "b@x.example", "c@x.example", "D@X.Example")
    ]
    assert {one.place for one in people} == {"domain x.example"}


def test_nobody_is_in_a_group_that_is_not_there() -> None:
    assert found(delivering({**MAIL, "to": [{"group": "none"}]})) == []


# --- Templates --------------------------------------------------------------------


def through(label: str, given: Mapping[str, Any], to: str) -> PlannedSchedule:
    planned = {
        "key": f"{label}/email",
        "distribution": label,
        "spec": {**MAIL, "to": to},
        "inputs": given,
        "declared": DECLARED,
    }
    return a_schedule("daily", destinations=[planned])


DECLARED = {"to": {"type": "emails", "default": "anna@example.com"}}
GIVEN = {"to": "ben@example.com, cleo@example.com"}


@pytest.mark.parametrize(
    ("given", "people"),
    [
        ({}, ["anna@example.com"]),
        (GIVEN, ["ben@example.com", "cleo@example.com"]),
    ],
)
def test_inputs_are_filled_in(given: Mapping[str, Any], people: list[str]) -> None:
    schedule = through("statement", given, "{{ inputs.to }}")
    assert [one.name for one in found(schedule)] == people


def test_what_is_known_only_as_it_runs_is_told_as_it_is_written() -> None:
    schedule = delivering({**MAIL, "to": "{{ part.email }}"})
    assert [one.name for one in found(schedule)] == ["{{ part.email }}"]


def test_parameters_that_are_wrong_then_hide_nobody() -> None:
    report = {
        "connection": "flights",
        "query": "select 1 as one",
        "parameters": {"p": {"type": "int", "required": True}},
    }
    mail = {**MAIL, "to": "{{ schedule }}@example.com"}
    schedule = delivering(mail, report=report)
    assert [one.name for one in found(schedule)] == ["daily@example.com"]


# --- Files ------------------------------------------------------------------------


def test_each_format_and_each_pattern_gives_a_file() -> None:
    export = {"format": ["csv", "xlsx"], "compress": "zip"}
    plain = {"type": "local", "base_path": "a", "create_subdirs": False}
    own = {**plain, "base_path": "b", "filename_pattern": "{period}_{format}.{format}"}
    first, second = found(
        delivering(plain, own, export=export, period="previous_month")
    )
    assert first.files == ("Daily_2026-11-23.csv.zip", "Daily_2026-11-23.xlsx.zip")
    assert second.files == ("2026-10_csv.csv.zip", "2026-10_xlsx.xlsx.zip")


# --- Environments -----------------------------------------------------------------


def test_in_an_environment_its_connections_count_and_what_it_leaves_out_does_not() -> (
    None
):
    sftp = {"type": "sftp", "connection": "far", "base_path": "/in"}
    planned = [
        {"key": "kept", "distribution": None, "spec": sftp},
        {"key": "left", "distribution": None, "spec": sftp, "left_out_by": "staging"},
    ]
    schedule = a_schedule("daily", destinations=planned, environment="staging")
    overlay = {"connections": {"far": {"host": "staging.example.com"}}}
    [one] = found(
        schedule,
        an_object("Connection", "far", {"host": "sftp.example.com"}),
        an_object("Environment", "staging", overlay),
    )
    assert one.name == "sftp://staging.example.com/in"


BURST = {"recipients_file": "heads.csv", "split_on": "region"}


def a_burst(parts: list[Part], **burst: Any) -> PlannedSchedule:
    mail = {**MAIL, "to": "{{ part.to }}"}
    local = {"type": "local", "base_path": "x", "create_subdirs": False}
    wish = Burst(**{**BURST, **burst})
    return replace(delivering(mail, local, burst=wish), parts=parts)


def test_each_part_of_a_file_with_recipients_has_its_own_file() -> None:
    rows = [
        {"region": "north", "to": "a@example.com"},
        {"region": "south", "to": "a@example.com, b@example.com"},
    ]
    got = {one.name: one.files for one in found(a_burst(parts(rows, "region", None)))}
    north, south = (f"Daily_2026-11-23 ({key}).csv" for key in ("north", "south"))
    assert got == {
        "a@example.com": (north, south),
        "b@example.com": (south,),
        "x": (north, south),
    }


def test_what_parts_a_query_gives_is_known_only_as_it_runs() -> None:
    query = {"recipients_file": None, "recipients_query": "select 1"}
    got = {one.name: one.files for one in found(a_burst([], **query))}
    assert got["x"] == ("Daily_2026-11-23 ({part}).csv",)
    assert list(got) == ["{{ part.to }}", "x"]
