"""A mail that would be too big links to its file, which another destination has."""

from __future__ import annotations

from typing import Any

import pytest

from boe_reconciler.core.runs import DeliveryStatus, Outcome, RunRecord, RunStatus
from tests.engine.mails import ANNA, BOB, BUSY, REFUSED, Post, a_mail, mailing
from tests.engine.world import World

BUCKET = {"type": "s3", "connection": "mail", "bucket": "b"}
LINK = {"link": {"key": "team/s3", "spec": BUCKET}}
INSTEAD = {"link_to": "s3", "expires": "7d"}
TOO_LARGE = Outcome(status=DeliveryStatus.FAILED, reason="too_large", message="552")


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


def a_big_mail(most: str = "10B", **fields: Any) -> dict[str, Any]:
    attach = {"max": most, "over_max": INSTEAD}
    return a_mail([ANNA, BOB], attach=attach, given=LINK, **fields)


def planned_bucket() -> dict[str, Any]:
    return {"key": "team/s3", "distribution": "team", "spec": BUCKET}


def ends(record: RunRecord) -> list[tuple[str, str, str]]:
    return [
        (one.key.destination, one.key.recipient, one.status.value)
        for one in record.deliveries
    ]


DONE = [
    ("team/mail", ANNA, "accepted"),
    ("team/mail", BOB, "accepted"),
    ("team/s3", "-", "accepted"),
]


@pytest.mark.parametrize("planned", [False, True])
def test_the_file_is_delivered_once_and_the_mails_link_to_it(
    world: World, post: Post, planned: bool
) -> None:
    also = [planned_bucket()] if planned else []
    record = world.run_now(mailing(a_big_mail(), *also))
    assert sorted(ends(record)) == DONE
    assert post.got == {"-": 1, ANNA: 1, BOB: 1}
    links = {one.key.recipient: one.link for one in post.far_side.taken}
    url = "https://far.example/All_numbers_2026-11-24.csv?for=7 days, 0:00:00"
    assert links == {"-": None, ANNA: url, BOB: url}
    assert record.run.status is RunStatus.SUCCEEDED


def test_a_small_file_stays_in_the_mail(world: World, post: Post) -> None:
    record = world.run_now(mailing(a_big_mail("1MB")))
    assert sorted(ends(record)) == DONE[:2]
    assert {one.link for one in post.far_side.taken} == {None}


def test_a_server_that_finds_it_too_large_gets_a_mail_with_a_link(
    world: World, post: Post
) -> None:
    post.answers(anna=[TOO_LARGE], bob=[TOO_LARGE, TOO_LARGE])
    record = world.run_now(mailing(a_big_mail("1MB")))
    assert {who: how for _, who, how in ends(record)} == {
        **{ANNA: "accepted", BOB: "failed", "-": "accepted"}
    }
    assert post.got == {"-": 1, ANNA: 1}


def test_what_was_found_too_large_once_is_never_sent_again(
    world: World, post: Post
) -> None:
    post.answers(anna=[TOO_LARGE, BUSY], bob=[BUSY, TOO_LARGE, BUSY])
    post.far_side.answers["-"] = [BUSY]  # type: ignore[index]  # a dict of this test
    world.serve(mailing(a_big_mail("1MB")))
    run_id = world.ask("daily")
    for _ in range(6):
        world.work()
        world.clock.move(300)
    record = world.record(run_id)
    assert sorted(ends(record)) == DONE
    with_file = [
        one.key.recipient
        for one in post.far_side.taken
        if one.key.recipient != "-" and one.link is None
    ]
    assert sorted(with_file) == [ANNA, BOB, BOB]
    assert post.got == {"-": 1, ANNA: 1, BOB: 1}


def test_without_a_place_for_it_a_mail_that_is_too_large_fails(
    world: World, post: Post
) -> None:
    post.answers(anna=[TOO_LARGE])
    record = world.run_now(mailing(a_mail(ANNA)))
    assert record.run.reason == "too_large"


@pytest.mark.parametrize(
    ("answer", "reason"), [(BUSY, "delivery_retry"), (REFUSED, "link_failed")]
)
def test_a_mail_waits_for_the_file_that_it_links_to(
    world: World, post: Post, answer: Outcome, reason: str
) -> None:
    post.far_side.answers = {"-": [answer]}
    world.serve(mailing(a_big_mail()))
    run_id = world.ask("daily")
    world.work()
    assert post.got == {}
    assert world.record(run_id).run.reason == reason or reason == "link_failed"
    for _ in range(3):
        world.clock.move(60)
        world.work()
    record = world.record(run_id)
    if reason == "link_failed":
        assert {one.reason for one in record.deliveries} == {"link_failed", "refused"}
    else:
        assert sorted(ends(record)) == DONE
        assert post.got == {"-": 1, ANNA: 1, BOB: 1}


def test_the_address_of_a_file_stands_in_no_row_and_no_event(
    world: World, post: Post
) -> None:
    telling = Outcome(
        status=DeliveryStatus.REFUSED,
        reason="refused",
        message="550 https://far.example/All_numbers_2026-11-24.csv?for=7 days, 0:00:00",
    )
    post.answers(anna=[telling])
    record = world.run_now(mailing(a_big_mail()))
    told = [*record.deliveries, *world.ledger.events(record.run.run_id)]
    assert "550 (the link)" in str(told)
    assert "far.example" not in str(told)


def test_what_is_too_large_is_no_doubt_where_the_server_fails_right_after(
    world: World, post: Post
) -> None:
    lost = Outcome(status=DeliveryStatus.DEFERRED, reason="connection_failed")
    post.answers(anna=[TOO_LARGE], bob=[lost])
    server = {"type": "smtp", "host": "mail.example.com"}
    breaker = {"circuit_breaker": {"failures": 1, "open_for": "10m"}}
    resolved = {"connections": {"mail": {**server, **breaker}}}
    world.serve(mailing(a_big_mail("1MB"), resolved=resolved))
    run_id = world.ask("daily")
    for _ in range(4):
        world.work()
        world.clock.move(660)
    assert sorted(ends(world.record(run_id))) == DONE
