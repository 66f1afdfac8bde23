"""Who is meant, who is refused, and what a far side is: the pure part."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.outcome import unwanted, verdict
from boe_reconciler.core.recipients import (
    People,
    inputs_of,
    recipients,
    refusal,
    same_place,
    too_many,
)
from boe_reconciler.core.runs import (
    ASKED,
    UNACCEPTED,
    Artifact,
    DeliveryStatus,
    Resend,
    RunStatus,
    files_by_part,
)
from boe_reconciler.core.spec import PlannedDestination
from tests.core.test_outcome import a_delivery
from tests.engine.mails import ANNA, BOB, a_folder, a_mail, mailing

DAY = date(2026, 11, 24)
FINAL = [one for one in DeliveryStatus if one.final]
REASONS = ["", "removed", "empty", "suppression_list", "no_space", "not_allowed"]


def a_planned(value: dict[str, Any]) -> PlannedDestination:
    return PlannedDestination.model_validate(value)


def meant(value: dict[str, Any], **context: Any) -> list[str]:
    people = People(groups={}, context=context, day=DAY)
    return [one.address for one in recipients(a_planned(value), people)]


# --- Who ----------------------------------------------------------------------------


def test_what_is_no_mail_has_nobody() -> None:
    assert meant(a_folder()) == ["-"]


@pytest.mark.parametrize("given", ["{{ rows }}", "{{ part.to }}"])
def test_a_template_that_cannot_be_filled_in_is_an_error(given: str) -> None:
    with pytest.raises(Permanent, match=r"rows|part"):
        meant(a_mail(given))


@pytest.mark.parametrize(
    ("to", "found"),
    [("nobody", ["nobody"]), ("{{ who }}", []), (f"{ANNA}; {BOB}", [ANNA, BOB])],
)
def test_what_is_no_address_stays_as_it_is(to: str, found: list[str]) -> None:
    assert meant(a_mail(to), who=None) == found


def test_an_input_that_is_not_declared_is_an_error() -> None:
    planned = a_planned(a_mail(ANNA, given={"inputs": {"to": "x"}}))
    with pytest.raises(Permanent, match=r"inputs\.to"):
        inputs_of(planned, {})
    assert inputs_of(planned, {}, lenient=True) == {}


def test_an_input_that_is_missing_is_an_error() -> None:
    declared = {"to": {"type": "emails", "required": True}}
    planned = a_planned(a_mail(ANNA, given={"declared": declared}))
    with pytest.raises(Permanent, match="required"):
        inputs_of(planned, {})
    assert inputs_of(planned, {}, lenient=True) == {"to": None}


def test_one_mailbox_counts_once_against_the_limit() -> None:
    assert too_many([ANNA, ANNA.upper(), "-"], 1) == ""
    assert "2 recipients" in too_many([ANNA, BOB], 1)
    assert too_many([ANNA, BOB], None) == ""


@pytest.mark.parametrize(
    ("address", "domains", "reason"),
    [
        (ANNA, None, None),
        (ANNA, ["EXAMPLE.com"], None),
        (ANNA, [], "not_allowed"),
        ("anna", None, "bad_address"),
    ],
)
def test_an_address_is_refused_for_a_reason(
    address: str, domains: list[str] | None, reason: str | None
) -> None:
    found = refusal(address, domains)
    assert (found and found[0]) == reason


def test_a_far_side_is_found_again_also_where_only_mails_link_to_it() -> None:
    bucket = {"type": "s3", "connection": "mail", "bucket": "b"}
    link = {"link": {"key": "team/s3", "spec": bucket}}
    spec = mailing(a_mail(ANNA, given=link))
    there = {"key": "team/s3", "distribution": "team", "spec": bucket}
    assert same_place(a_planned(there), spec) is not None
    other = {**there, "spec": {**bucket, "bucket": "c"}}
    assert same_place(a_planned(other), spec) is None
    assert same_place(a_planned(a_mail(BOB)), spec) is not None


def test_the_files_of_a_mail_are_all_of_its_key() -> None:
    def a_file(part: str, key: str = "-") -> Artifact:
        names = {"name": part, "media_type": "text/csv", "sha256": "a" * 64}
        return Artifact(part=part, key=key, bytes=1, rows=1, **names)

    plain = [a_file("csv"), a_file("json")]
    assert files_by_part(plain)["-"] == plain
    assert files_by_part(plain)["csv"] == plain[:1]
    burst = [a_file("north csv", "north"), a_file("south csv", "south")]
    assert files_by_part(burst)["south"] == burst[1:]
    assert "-" not in files_by_part(burst)


def test_a_resend_says_whether_it_is_narrowed() -> None:
    assert not UNACCEPTED.narrowed
    assert not Resend(everything=True).narrowed
    assert Resend(recipient=ANNA).narrowed


# --- What it became -----------------------------------------------------------------


@given(
    st.lists(st.tuples(st.sampled_from(FINAL), st.sampled_from(REASONS)), max_size=8)
)
def test_a_verdict_says_no_more_than_is_true(
    ends: list[tuple[DeliveryStatus, str]],
) -> None:
    rows = [a_delivery(number, *end) for number, end in enumerate(ends)]
    found = verdict(rows)
    wanted = [one for one in rows if not unwanted(one)]
    got = [one for one in wanted if one.status is DeliveryStatus.ACCEPTED]
    expected = {
        RunStatus.SUCCEEDED: len(got) == len(wanted) and (bool(wanted) or not rows),
        RunStatus.PARTIAL: 0 < len(got) < len(wanted),
        RunStatus.FAILED: not got and bool(wanted),
        RunStatus.SKIPPED: bool(rows) and not wanted,
    }
    assert [status for status, true in expected.items() if true] == [found.status]


@pytest.mark.parametrize(
    ("own", "asked"), list(product(["accepted", "refused"], repeat=2))
)
def test_a_copy_that_was_asked_for_changes_no_verdict(own: str, asked: str) -> None:
    first = a_delivery(1, DeliveryStatus(own), "x")
    copy = replace(a_delivery(2, DeliveryStatus(asked), "x"), role=ASKED)
    assert verdict([first, copy]).status == verdict([first]).status
    assert (
        verdict([copy]).status == verdict([a_delivery(2, DeliveryStatus(asked))]).status
    )


def test_a_message_counts_those_who_missed_it_too() -> None:
    rows = [a_delivery(n, DeliveryStatus.REFUSED, "no") for n in range(3)]
    key = replace(rows[0].key, recipient=ANNA)
    found = verdict([replace(rows[0], key=key), *rows[1:]])
    assert found.message == f"{ANNA} of to-0: no (and 2 more)"


@pytest.mark.parametrize(
    ("title", "heading"),
    [("Margin of the north", "Margin of the north"), ("Daily", "All numbers")],
)
def test_a_reader_knows_it_by_the_title_that_its_schedule_was_given(
    title: str, heading: str
) -> None:
    spec = mailing(a_mail(ANNA), resolved={"title": title})
    assert (spec.schedule, spec.heading) == ("daily", heading)
