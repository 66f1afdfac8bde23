"""What a Schedule's deliveries use goes into its spec, whatever stands where."""

from __future__ import annotations

import hashlib

import pytest

from tests.revisions import GOOD, a_document, plan_of

TEXT = b"Good morning, {{ report }} is attached."
MAIL = """
- type: email
  connection: mail
  to: [{group: finance}, anna@example.com]
  subject: x
  text: {file: ../texts/morning.txt}
  attach: {max: 1MB, over_max: {link_to: WHERE, expires: 12h}}
"""
FILES = {
    **GOOD,
    "texts/morning.txt": TEXT,
    "connections/mail.yaml": a_document(
        "Connection",
        "mail",
        "{type: smtp, host: mx.example.com, from: a@example.com, fallback: [other]}",
    ),
    "connections/other.yaml": a_document(
        "Connection",
        "other",
        "{type: smtp, host: mx2.example.com, from: a@example.com}",
    ),
    "connections/lake.yaml": a_document("Connection", "lake", "{type: s3}"),
    "groups/finance.yaml": a_document("Group", "finance", "members: [bob@example.com]"),
    "distributions/lake.yaml": a_document(
        "Distribution",
        "lake",
        "destinations: [{type: s3, connection: lake, bucket: reports}]",
    ),
    "distributions/many.yaml": a_document(
        "Distribution",
        "many",
        """
        destinations:
          - {type: s3, connection: lake, bucket: one}
          - {type: s3, name: two, connection: lake, bucket: two}
        """,
    ),
}


def mail(where: str, beside: str = "") -> str:
    return MAIL.replace("WHERE", where).strip() + beside


def indented(text: str, by: int) -> str:
    return text.replace("\n", "\n" + " " * by)


def distributed(where: str, beside: str = "") -> str:
    return a_document(
        "Distribution",
        "mailed",
        "destinations:\n  " + indented(mail(where, beside), 2),
    )


def daily(deliver_to: str) -> str:
    head, _, _ = GOOD["schedules/daily.yaml"].partition("  deliver_to")
    return f"{head}  deliver_to:\n    {indented(deliver_to, 4)}\n"


def test_a_distributions_mail_brings_all_that_it_uses() -> None:
    beside = "\n- {type: s3, connection: lake, bucket: reports}"
    files = {
        **FILES,
        "distributions/mailed.yaml": distributed("s3", beside),
        "schedules/daily.yaml": daily("- {distribution: mailed, as: team}"),
    }
    plan = plan_of(files)
    assert plan.problems == []
    spec = plan.schedules["daily"].spec
    assert set(spec.connections) == {"mail", "other", "lake"}
    assert [*spec.groups] == ["finance"]
    sha256 = hashlib.sha256(TEXT).hexdigest()
    assert spec.files["texts/morning.txt"] == sha256
    assert plan.blobs[sha256] == TEXT
    git_id = hashlib.sha1(b"blob %d\0" % len(TEXT) + TEXT).hexdigest()
    assert spec.blob_ids == {"texts/morning.txt": git_id}
    first, second = spec.destinations
    assert first.spec.text.file == "texts/morning.txt"  # type: ignore[union-attr]
    assert first.link is not None
    assert (first.link.key, second.key) == ("team/s3", "team/s3")


def test_a_mail_in_place_links_through_a_distribution_of_its_own() -> None:
    files = {**FILES, "schedules/daily.yaml": daily(mail("lake"))}
    plan = plan_of(files)
    assert plan.problems == []
    spec = plan.schedules["daily"].spec
    (only,) = spec.destinations
    assert (only.key, only.distribution) == ("email", None)
    assert only.link is not None
    assert only.link.key == "lake/s3"
    assert set(spec.connections) == {"mail", "other", "lake"}


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({"schedules/daily.yaml": daily(mail("many"))}, {"BOE111"}),
        ({"schedules/daily.yaml": daily(mail("nowhere"))}, {"BOE100"}),
        ({"connections/mail.yaml": None}, {"BOE100"}),
        ({"connections/mail.yaml": a_document("Connection", "mail", "a: 1")}, None),
        ({"connections/other.yaml": None}, {"BOE100"}),
        ({"groups/finance.yaml": None}, {"BOE100"}),
        ({"groups/finance.yaml": a_document("Group", "finance", "a: 1")}, None),
        ({"distributions/lake.yaml": a_document("Distribution", "lake", "a: 1")}, None),
        ({"texts/morning.txt": None}, {"BOE103"}),
    ],
)
def test_what_cannot_be_had_is_told_once_and_the_schedule_is_not_served(
    changed: dict[str, str | None], codes: set[str] | None
) -> None:
    files = {**FILES, "schedules/daily.yaml": daily(mail("lake")), **changed}
    plan = plan_of({path: text for path, text in files.items() if text is not None})
    assert plan.problems
    assert codes is None or {one.code for one in plan.problems} == codes
    assert "daily" not in plan.schedules


def test_an_approval_brings_the_groups_that_it_names() -> None:
    approved = daily("- archive") + "  approval: {by: [finance, cfo@example.com]}\n"
    plan = plan_of({**FILES, "schedules/daily.yaml": approved})
    assert plan.problems == []
    assert [*plan.schedules["daily"].spec.groups] == ["finance"]
    broken = a_document("Group", "finance", "a: 1")
    again = {**FILES, "schedules/daily.yaml": approved, "groups/finance.yaml": broken}
    assert "daily" not in plan_of(again).schedules
