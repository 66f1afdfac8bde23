"""A row for each recipient: who gets it, who does not, and why."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.ports import Shipment
from boe_reconciler.core.runs import DeliveryStatus, Resend, RunRecord, RunStatus
from boe_reconciler.core.spec import RunSpec
from tests.engine.mails import (
    ANNA,
    BOB,
    BUSY,
    CARL,
    REFUSED,
    SILENT,
    Post,
    a_folder,
    a_mail,
    by_recipient,
    mailing,
    states,
)
from tests.engine.world import World

GROUP = {"members": [ANNA, {"email": BOB, "until": "2026-11-24"}]}


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


# --- Who is meant -------------------------------------------------------------------


def test_each_recipient_has_a_row_of_its_own_under_the_field_that_names_it(
    world: World, post: Post
) -> None:
    mail = a_mail([ANNA, "Bob <BOB@example.com>"], cc=["bob@Example.com"], bcc=CARL)
    record = world.run_now(mailing(mail))
    assert [(one.key.recipient, one.role) for one in record.deliveries] == [
        (ANNA, "to"),
        ("BOB@example.com", "to"),
        (CARL, "bcc"),
    ]
    assert record.run.status is RunStatus.SUCCEEDED
    assert post.got == {ANNA: 1, "BOB@example.com": 1, CARL: 1}
    assert len({one.key.identity for one in record.deliveries}) == 3


def test_inputs_and_templates_say_who_gets_it(world: World, post: Post) -> None:
    given = {
        "declared": {"to": {"type": "emails"}, "who": {"type": "string"}},
        "inputs": {"to": f"{ANNA}, {BOB}"},
    }
    mail = a_mail("{{ inputs.to }}", cc="{{ inputs.who }}", given=given)
    assert list(states(world.run_now(mailing(mail)))) == [ANNA, BOB]


def test_who_left_a_group_yesterday_gets_nothing(world: World, post: Post) -> None:
    spec = mailing(a_mail([{"group": "g"}]), resolved={"groups": {"g": GROUP}})
    assert list(states(world.run_now(spec))) == [ANNA, BOB]
    world.clock.move(86_400)
    assert list(states(world.run_now(spec))) == [ANNA]


def test_more_recipients_than_the_policy_allows_are_refused_before_anything_leaves(
    world: World, post: Post
) -> None:
    mails = [a_mail([ANNA, BOB]), a_mail(["ANNA@example.com", CARL], "second")]
    record = world.run_now(mailing(*mails, resolved={"max_recipients": 2}))
    assert (record.run.status, record.run.reason) == ("failed", "too_many_recipients")
    assert post.got == {}
    three = mailing(*mails, resolved={"max_recipients": 3})
    assert world.run_now(three).run.status is RunStatus.SUCCEEDED


def test_an_address_that_is_none_or_not_allowed_stops_nobody_else(
    world: World, post: Post
) -> None:
    mail = a_mail("{{ parameters.to }}")
    spec = mailing(
        mail,
        report={"parameters": {"to": {"type": "string"}}},
        parameters={"to": f"{ANNA} dora@elsewhere.example a@b"},
        resolved={"email_domains": ["EXAMPLE.com"]},
    )
    record = world.run_now(spec)
    found = {
        name: (one.status, one.reason) for name, one in by_recipient(record).items()
    }
    assert found == {
        ANNA: ("accepted", ""),
        "dora@elsewhere.example": ("suppressed", "not_allowed"),
        "a@b": ("failed", "bad_address"),
    }
    assert record.run.status is RunStatus.PARTIAL
    assert "dora@elsewhere.example of team/mail" in record.run.message


def test_a_mail_to_nobody_has_a_row_that_says_so(world: World, post: Post) -> None:
    record = world.run_now(mailing(a_mail([{"group": "gone"}]), a_folder()))
    mail, folder = record.deliveries
    assert (mail.status, mail.reason) == ("failed", "no_recipients")
    assert folder.status is DeliveryStatus.ACCEPTED


def test_a_template_that_cannot_name_anybody_fails_the_run(
    world: World, post: Post
) -> None:
    for mail, reason in (
        (a_mail("{{ part.to }}"), "recipients_invalid"),
        (a_mail("x", given={"inputs": {"to": "x"}}), "inputs_invalid"),
    ):
        assert world.run_now(mailing(mail)).run.reason == reason


def test_a_mail_has_all_formats_and_one_row_a_recipient(
    world: World, post: Post
) -> None:
    spec = mailing(a_mail([ANNA, BOB]), a_folder(), export={"format": ["csv", "json"]})
    record = world.run_now(spec)
    assert [(one.key.part, one.key.recipient) for one in record.deliveries] == [
        *(("-", ANNA), ("-", BOB)),
        *(("csv", "-"), ("json", "-")),
    ]
    assert record.run.status is RunStatus.SUCCEEDED
    first = post.far_side.taken[0]
    assert [first.filename, *(one.filename for one in first.beside)] == [
        *("All_numbers_2026-11-24.csv", "All_numbers_2026-11-24.json")
    ]
    assert world.ledger.broken_invariants(now=world.clock.now()) == []


# --- What a mail is told ------------------------------------------------------------


def test_a_mail_names_all_who_get_it_or_its_recipient_alone(
    world: World, post: Post
) -> None:
    world.run_now(mailing(a_mail([ANNA], cc=[BOB], bcc=[CARL])))
    assert [one.addressed for one in post.far_side.taken] == [
        {"to": [ANNA], "cc": [BOB]}
    ] * 3
    post.far_side.taken.clear()
    world.run_now(mailing(a_mail([ANNA], cc=[BOB], recipients_see="only_themselves")))
    assert [one.addressed for one in post.far_side.taken] == [
        *({"to": [ANNA]}, {"to": [BOB]})
    ]


def test_a_shipment_says_where_it_comes_from_in_ascii(world: World, post: Post) -> None:
    record = world.run_now(mailing(a_mail(ANNA)))
    [shipment] = post.far_side.taken
    found = dict(shipment.provenance())
    assert found["run"] == record.run.run_id
    assert found["occurrence"] == "2026-11-24T05:00:00Z"
    assert found["sha256"] == record.artifacts[0].sha256
    assert all(text.isascii() for text in found.values())
    assert shipment.context["rows"] == 1


def test_a_correction_tells_why_and_names_the_older_run(
    world: World, post: Post
) -> None:
    world.run_now(mailing(a_mail(ANNA)), corrected="old rates", rerun_of="daily.x")
    marks = post.far_side.taken[0].marks
    assert (marks.corrected, marks.rerun_of) == ("old rates", "daily.x")


def test_a_redirected_mail_tells_whom_it_was_meant_for(
    world: World, post: Post
) -> None:
    real = a_mail([ANNA, {"group": "g"}], bcc="hidden@example.com")["spec"]
    given = {"redirected_by": "staging", "redirected_from": real}
    spec = mailing(a_mail(CARL, given=given), resolved={"groups": {"g": GROUP}})
    assert states(world.run_now(spec)) == {CARL: "accepted"}
    marks = post.far_side.taken[0].marks
    assert (marks.redirected_by, list(marks.meant_for)) == ("staging", [ANNA, BOB])


def test_all_mails_can_go_to_one_address_and_nothing_else_goes(
    world: World, post: Post
) -> None:
    spec = mailing(a_mail([ANNA, BOB]), a_mail(BOB, "second"), a_folder())
    record = world.run_now(spec, to=CARL)
    assert [(one.key.destination, one.key.recipient) for one in record.deliveries] == [
        *(("team/mail", CARL), ("team/second", CARL))
    ]
    assert world.files() == []
    marks = post.far_side.taken[0].marks
    assert (marks.asked_for, list(marks.meant_for)) == (True, [ANNA, BOB])
    assert record.run.status is RunStatus.SUCCEEDED
    folders = world.run_now(mailing(a_folder()), to=CARL)
    assert folders.run.reason == "no_destination"


@pytest.mark.parametrize("field", ["if_empty", "if_unchanged"])
def test_a_notice_is_a_mail_without_a_file_and_nothing_else(
    world: World, post: Post, field: str
) -> None:
    rows = "select 1 as one where 1 = 0" if field == "if_empty" else "select 1 as one"
    spec = mailing(a_mail([ANNA]), a_folder(), query=rows, **{field: "notice"})
    record = world.run_now(spec)
    if field == "if_unchanged":
        assert post.far_side.taken.pop().marks.notice is None
        record = world.run_now(spec)
    mail, folder = record.deliveries
    why = field.removeprefix("if_")
    assert (mail.status, post.far_side.taken[0].marks.notice) == ("accepted", why)
    assert (folder.status, folder.reason) == ("suppressed", why)
    assert record.run.status is RunStatus.SUCCEEDED


# --- Who is meant no more -----------------------------------------------------------


def put_off(world: World, post: Post, spec: RunSpec) -> str:
    """A run whose mails all have to be tried again."""
    post.answers(anna=[BUSY], bob=[BUSY], carl=[BUSY])
    world.serve(spec)
    run_id = world.ask("daily")
    world.work()
    assert world.record(run_id).run.status is RunStatus.WAITING
    return run_id


def tried_again(world: World, run_id: str, *served: RunSpec) -> dict[str, Any]:
    world.serve(*served)
    world.clock.move(3600)
    world.work()
    return {
        one.key.recipient: (one.status.value, one.reason)
        for one in world.record(run_id).deliveries
    }


def test_whoever_is_removed_in_git_between_two_tries_gets_nothing(
    world: World, post: Post
) -> None:
    run_id = put_off(world, post, mailing(a_mail([ANNA, BOB])))
    assert tried_again(world, run_id, mailing(a_mail([ANNA]))) == {
        ANNA: ("accepted", ""),
        BOB: ("suppressed", "removed"),
    }
    record = world.record(run_id)
    assert by_recipient(record)[BOB].message == "Removed in folder@sha1:1."
    assert record.run.status is RunStatus.SUCCEEDED
    assert post.got == {ANNA: 1}


def test_a_leaver_gets_nothing_on_the_next_day(world: World, post: Post) -> None:
    spec = mailing(a_mail([{"group": "g"}]), resolved={"groups": {"g": GROUP}})
    run_id = put_off(world, post, spec)
    world.clock.move(20 * 3600)
    assert tried_again(world, run_id, spec)[BOB] == ("suppressed", "removed")


def test_a_domain_that_is_allowed_no_more_gets_nothing(
    world: World, post: Post
) -> None:
    run_id = put_off(world, post, mailing(a_mail([ANNA])))
    served = mailing(a_mail([ANNA]), resolved={"email_domains": ["other.example"]})
    assert tried_again(world, run_id, served) == {ANNA: ("suppressed", "not_allowed")}
    assert world.record(run_id).run.status is RunStatus.FAILED


def test_an_address_on_the_suppression_list_gets_nothing(
    world: World, post: Post
) -> None:
    listed = {BOB: "It bounced."}.get
    world.tools = replace(world.tools, listed=listed)
    record = world.run_now(mailing(a_mail([ANNA, BOB])))
    bob = by_recipient(record)[BOB]
    assert (bob.reason, bob.message) == ("suppression_list", "It bounced.")
    assert record.run.status is RunStatus.SUCCEEDED


def test_a_destination_that_is_gone_gets_nothing(world: World, post: Post) -> None:
    run_id = put_off(world, post, mailing(a_mail([ANNA])))
    served = mailing(a_mail([ANNA], "another"))
    assert tried_again(world, run_id, served) == {ANNA: ("suppressed", "removed")}
    run = world.record(run_id).run
    assert (run.status, run.reason) == (RunStatus.SKIPPED, "removed")


def test_what_an_environment_leaves_out_between_two_tries_gets_nothing(
    world: World, post: Post
) -> None:
    run_id = put_off(world, post, mailing(a_mail([ANNA])))
    left_out = mailing(a_mail([ANNA], given={"left_out_by": "staging"}))
    assert tried_again(world, run_id, left_out) == {ANNA: ("suppressed", "removed")}
    assert len(post.far_side.taken) == 1


def test_a_schedule_that_goes_while_its_run_delivers_delivers_no_more(
    world: World, post: Post
) -> None:
    other = mailing(a_folder()).model_copy(update={"schedule": "another"})
    world.serve(mailing(a_mail([ANNA, BOB])))
    run_id = world.ask("daily")
    post.far_side.on_taken = lambda _: world.serve(other)
    world.work()
    assert states(world.record(run_id)) == {ANNA: "accepted", BOB: "suppressed"}
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED


def test_a_schedule_that_was_renamed_goes_on_delivering(
    world: World, post: Post
) -> None:
    spec = mailing(a_mail([ANNA, BOB]))
    world.serve(spec)
    run_id = world.ask("daily")
    renamed = spec.model_copy(update={"schedule": "weekly"})
    post.far_side.on_taken = lambda _: world.serve(renamed, renamed_from="daily")
    world.work()
    assert states(world.record(run_id)) == dict.fromkeys((ANNA, BOB), "accepted")


def test_a_schedule_that_takes_the_old_name_of_a_renamed_one_is_not_asked(
    world: World, post: Post
) -> None:
    spec = mailing(a_mail([ANNA, BOB]))
    run_id = put_off(world, post, spec)
    renamed = spec.model_copy(update={"schedule": "weekly"})
    world.serve(renamed, renamed_from="daily")
    taker = mailing(a_mail([CARL]))
    assert set(tried_again(world, run_id, renamed, taker).values()) == {
        ("accepted", "")
    }


def a_bucket(bucket: str, prefix: str = "") -> dict[str, Any]:
    spec = {"type": "s3", "connection": "mail", "bucket": bucket, "prefix": prefix}
    return {"key": "team/s3", "distribution": "team", "spec": spec}


@pytest.mark.parametrize(
    ("served", "status"),
    [
        (a_bucket("other"), "suppressed"),
        (a_bucket("one", "moved"), "accepted"),
    ],
)
def test_a_bucket_that_was_removed_gets_nothing(
    world: World, post: Post, served: dict[str, Any], status: str
) -> None:
    post.far_side.answers = {"-": [BUSY]}
    world.serve(mailing(a_bucket("one")))
    run_id = world.ask("daily")
    world.work()
    assert tried_again(world, run_id, mailing(served))["-"][0] == status


# --- What becomes of it -------------------------------------------------------------


def test_each_has_its_own_end_and_only_the_others_are_sent_again(
    world: World, post: Post
) -> None:
    post.answers(anna=[BUSY], bob=[REFUSED])
    world.serve(mailing(a_mail([ANNA, BOB, CARL])))
    run_id = world.ask("daily")
    world.work()
    world.clock.move(60)
    world.work()
    record = world.record(run_id)
    assert states(record) == {ANNA: "accepted", BOB: "refused", CARL: "accepted"}
    assert record.run.status is RunStatus.PARTIAL
    world.ledger.reopen(run_id, now=world.clock.now())
    world.work()
    assert states(world.record(run_id)) == dict.fromkeys((ANNA, BOB, CARL), "accepted")
    assert post.got == {ANNA: 1, BOB: 1, CARL: 1}


def test_what_nobody_knows_waits_for_a_person(world: World, post: Post) -> None:
    post.answers(bob=[SILENT])
    record = world.run_now(mailing(a_mail([ANNA, BOB])))
    assert states(record)[BOB] == "unconfirmed"
    assert (record.run.status, record.run.reason) == (RunStatus.PARTIAL, "unconfirmed")
    world.clock.move(86_400)
    world.work()
    assert post.got[BOB] == 1


@pytest.mark.parametrize(
    ("after", "status", "arrived"),
    [
        ([], "accepted", 2),
        ([SILENT], "unconfirmed", 2),
        ([BUSY] * 99, "unconfirmed", 1),
    ],
)
def test_what_nobody_knows_is_sent_again_once_where_that_is_wished(
    world: World, post: Post, after: list[Any], status: str, arrived: int
) -> None:
    post.answers(anna=[SILENT, *after])
    world.serve(mailing(a_mail(ANNA, on_unconfirmed="resend")))
    run_id = world.ask("daily")
    for _ in range(40):
        world.work()
        world.clock.move(900)
    assert states(world.record(run_id)) == {ANNA: status}
    assert post.got == {ANNA: arrived}


def take_all_time_for(world: World, post: Post, *who: str) -> None:
    """Each try of these takes longer than the run may take."""

    def hang(shipment: Shipment) -> None:
        if shipment.key.recipient in who:
            world.clock.move(31 * 60)

    post.far_side.on_taken = hang


def ended(world: World, run_id: str) -> RunRecord:
    for _ in range(40):
        world.work()
        world.clock.move(900)
    record = world.record(run_id)
    assert record.run.status.final
    return record


def test_a_recipient_who_takes_all_the_time_leaves_some_to_the_others(
    world: World, post: Post
) -> None:
    take_all_time_for(world, post, ANNA, BOB)
    post.far_side.unreachable = {ANNA, BOB}
    give_up = {"delivery_retry": {"give_up_after": "1m"}}
    world.serve(mailing(a_mail([ANNA, BOB, CARL]), execution=give_up))
    record = ended(world, world.ask("daily"))
    assert states(record)[CARL] == "accepted"
    left = [by_recipient(record)[who] for who in (ANNA, BOB)]
    assert all(one.attempts and one.reason == "gave_up" for one in left)


def test_what_was_on_its_way_when_a_process_died_is_found_out_before_others_are_tried(
    world: World, post: Post
) -> None:
    class Death(BaseException):
        """Nothing after it is executed."""

    def die(shipment: Shipment) -> None:
        post.far_side._hand_over = hand_over  # type: ignore[method-assign]  # once
        raise Death

    hand_over = post.far_side._hand_over
    post.far_side._hand_over = die  # type: ignore[method-assign]
    world.serve(mailing(a_mail([ANNA, BOB])))
    run_id = world.ask("daily")
    world.work_until(Death)
    assert states(world.record(run_id)) == {ANNA: "sending", BOB: "pending"}
    world.ledger.expire(now=world.clock.now(), all_leases=True)
    seen = []
    post.far_side.on_taken = lambda _: seen.append(states(world.record(run_id))[ANNA])
    world.work()
    assert seen == ["unconfirmed"]


def test_a_stored_file_that_cannot_be_read_now_holds_up_nobody_else(
    world: World, post: Post
) -> None:
    real, broken = world.blobs.path, [True]

    def path(sha256: str) -> Path:
        if broken:
            broken.pop()
            raise OSError(errno.EIO, "Input/output error")
        return real(sha256)

    world.blobs.path = path  # type: ignore[method-assign]  # a disk with a bad sector
    world.serve(mailing(a_mail([ANNA, BOB])))
    run_id = world.ask("daily")
    world.work()
    assert states(world.record(run_id)) == {ANNA: "deferred", BOB: "accepted"}
    world.clock.move(60)
    world.work()
    assert states(world.record(run_id)) == {ANNA: "accepted", BOB: "accepted"}


def test_who_was_never_tried_is_told_why(world: World, post: Post) -> None:
    post.answers(anna=[BUSY])
    world.serve(mailing(a_mail([ANNA, BOB])))
    run_id = world.ask("daily")

    def cancel(shipment: Shipment) -> None:
        if shipment.key.recipient == BOB:
            raise ValueError("a mistake of ours")

    post.far_side.on_taken = cancel
    world.work()
    told = {one.key.recipient: one.message for one in world.record(run_id).deliveries}
    assert told[ANNA] == BUSY.message
    assert told[BOB] == "BOE itself failed: ValueError: a mistake of ours"


def test_stored_bytes_are_kept_until_they_are_accepted(
    world: World, post: Post
) -> None:
    stored = world.blobs.put(b"the finished mail")
    real = post.far_side.deliver

    def with_stored(begin: Any, _: Any) -> None:
        begin({"stored": stored})

    def deliver(shipments: Any, cancel: Any) -> Any:
        def with_bytes() -> Any:
            for one in shipments:
                yield replace(one, begin=partial(with_stored, one.begin))

        return real(with_bytes(), cancel)

    post.far_side.deliver = deliver  # type: ignore[method-assign]  # one that keeps its mails
    post.answers(anna=[BUSY])
    world.serve(mailing(a_mail(ANNA)))
    run_id = world.ask("daily")
    world.work()
    in_use = world.ledger.blobs_in_use
    now = world.clock.now()
    keep = timedelta()
    assert set(in_use([stored], keep, now=now)) == {stored}
    world.clock.move(60)
    world.work()
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED
    assert stored not in set(world.blobs)
    assert set(in_use([stored], keep, now=now)) == set()


@pytest.mark.parametrize(
    ("see", "named"), [("all", [ANNA, BOB]), ("only_themselves", [])]
)
def test_a_copy_for_somebody_who_asks_names_nobody_whom_the_mail_does_not(
    world: World, post: Post, see: str, named: list[str]
) -> None:
    mail = a_mail(ANNA, cc=BOB, bcc="hidden@example.com", recipients_see=see)
    world.run_now(mailing(mail), to=CARL)
    assert list(post.far_side.taken[0].marks.meant_for) == named


def test_a_copy_for_somebody_who_asks_leaves_the_run_as_it_is(
    world: World, post: Post
) -> None:
    post.answers(bob=[REFUSED])
    record = world.run_now(mailing(a_mail([ANNA, BOB]), a_folder()))
    run_id = record.run.run_id
    for copy in (0, 1):
        wanted = Resend(to=CARL)
        [key] = world.ledger.reopen(run_id, wanted, now=world.clock.now())
        assert (key.recipient, key.copy) == (CARL, copy)
        world.work()
    record = world.record(run_id)
    assert states(record)[BOB] == "refused"
    assert (record.run.status, record.run.reason) == (RunStatus.PARTIAL, "refused")
    assert post.got == {ANNA: 1, CARL: 2}
    assert post.far_side.taken[-1].marks.asked_for


# --- Connections --------------------------------------------------------------------


def with_limits(**limits: Any) -> dict[str, Any]:
    mail = {"type": "smtp", "host": "mail.example.com", **limits}
    return {"connections": {"mail": mail}}


def test_a_blackout_of_the_connection_puts_it_off_without_a_try(
    world: World, post: Post
) -> None:
    window = {"cron": "0 6 * * *", "duration": "1h", "timezone": "Europe/Berlin"}
    world.serve(mailing(a_mail(ANNA), resolved=with_limits(blackouts=[window])))
    run_id = world.ask("daily")
    world.work()
    record = world.record(run_id)
    assert (record.run.status, record.run.reason) == (RunStatus.WAITING, "blackout")
    assert record.run.not_before.hour == 6  # 07:00 in Berlin
    assert [one.attempts for one in record.deliveries] == [0]
    world.clock.move(3600)
    world.work()
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED


def test_a_connection_that_keeps_failing_is_left_alone(
    world: World, post: Post
) -> None:
    post.far_side.unreachable = {ANNA, BOB, CARL}
    breaker = {"failures": 2, "open_for": "10m"}
    world.serve(
        mailing(
            a_mail([ANNA, BOB, CARL]), resolved=with_limits(circuit_breaker=breaker)
        )
    )
    run_id = world.ask("daily")
    world.work()
    record = world.record(run_id)
    assert [one.attempts for one in record.deliveries] == [1, 1, 0]
    [state] = [
        one for one in world.ledger.limits(now=world.clock.now()) if one.failures
    ]
    assert (state.name, state.failures) == ("mail", 2)
    post.far_side.unreachable = set()
    world.clock.move(700)
    world.work()
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED
    assert all(not one.failures for one in world.ledger.limits(now=world.clock.now()))


def test_a_recipient_that_is_busy_is_no_failure_of_the_connection(
    world: World, post: Post
) -> None:
    """Also where its server says so before the mail is begun, as most do."""
    post.answers(anna=[BUSY])
    post.far_side.busy = {BOB}
    breaker = {"failures": 1, "open_for": "10m"}
    record = world.run_now(
        mailing(
            a_mail([BOB, ANNA, CARL]), resolved=with_limits(circuit_breaker=breaker)
        )
    )
    assert states(record) == {BOB: "deferred", ANNA: "deferred", CARL: "accepted"}
    assert all(not one.failures for one in world.ledger.limits(now=world.clock.now()))


def test_many_that_are_put_off_are_tried_again_at_one_instant(
    world: World, post: Post
) -> None:
    names = [f"p{number}" for number in range(30)]
    post.answers(**{name: [BUSY] for name in names})
    numbers = iter(range(1000))
    world.tools = replace(world.tools, random=lambda: next(numbers) / 1000)
    world.serve(mailing(a_mail([f"{name}@example.com" for name in names])))
    run_id = world.ask("daily")
    world.work()
    record = world.record(run_id)
    assert len({one.next_attempt_at for one in record.deliveries}) == 1
    world.clock.wall = record.run.not_before
    world.work()
    assert world.record(run_id).run.status is RunStatus.SUCCEEDED
