"""`boe show`: where is my report? Who got it, who did not, and what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from boe_reconciler.cli.asking import doubles
from boe_reconciler.cli.delivered import lines
from boe_reconciler.cli.progress import say_end
from boe_reconciler.cli.shapes import run_json
from boe_reconciler.core.runs import (
    Delivery,
    DeliveryKey,
    DeliveryStatus,
    News,
    Resend,
    RunRecord,
    RunStatus,
)
from boe_reconciler.core.suppression import why_none
from tests.builders import a_bounce
from tests.engine.mails import (
    ANNA,
    BOB,
    REFUSED,
    SILENT,
    Post,
    a_folder,
    a_mail,
    mailing,
)
from tests.engine.world import START, World


@pytest.fixture
def world(tmp_path: Any) -> Any:
    made = World(tmp_path)
    yield made
    made.backends.close()


def told(record: RunRecord) -> str:
    return "\n".join(text for text, _ in lines(record, "Europe/Berlin"))


def test_each_who_missed_it_is_told_with_what_to_do(world: World) -> None:
    post = Post(world)
    post.answers(anna=[REFUSED], bob=[SILENT])
    record = world.run_now(mailing(a_mail([ANNA, BOB, "carl@example.com"]), a_folder()))
    text, run_id = told(record), record.run.run_id
    assert "team/mail: 1 refused, 1 unconfirmed, 1 accepted" in text
    assert f"{ANNA}: refused, Tue 2026-11-24 06:00" in text
    assert "550 no" in text
    assert f"Once that is mended: `boe resend {run_id} --recipient {ANNA}`" in text
    assert f"If it did not arrive: `boe resend {run_id} --recipient {BOB}`" in text
    assert "carl@example.com: accepted" in text
    assert "archive/folder: accepted" in text


def test_who_sends_again_what_is_unconfirmed_is_told_that_it_may_be_a_double(
    world: World,
) -> None:
    Post(world).answers(anna=[REFUSED], bob=[SILENT])
    record = world.run_now(mailing(a_mail([ANNA, BOB])))
    keys = [one.key for one in record.deliveries]
    assert doubles(record, Resend(), keys).startswith(f"{BOB} may get it twice: ")
    assert doubles(record, Resend(), keys[:1]) == ""
    assert doubles(record, Resend(states=[DeliveryStatus.UNCONFIRMED]), keys) == ""


def test_the_line_of_a_run_says_how_many_mails_left(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    Post(world)
    say_end(world.run_now(mailing(a_mail([ANNA, BOB]), a_folder())))
    line = capsys.readouterr().out
    assert ".csv, 2 mails\n" in line


def test_two_hundred_recipients_stay_readable(world: World) -> None:
    post = Post(world)
    people = [f"p{number}@example.com" for number in range(200)]
    post.answers(p7=[REFUSED])
    text = told(world.run_now(mailing(a_mail(people))))
    assert len(text.splitlines()) < 20
    assert "199 accepted" in text
    assert "p7@example.com: refused" in text
    assert "and 189 more" in text


def test_what_is_tried_again_tells_when(world: World) -> None:
    record = world.run_now(mailing(a_mail([ANNA])))
    [one] = record.deliveries
    later = replace(
        one, status=DeliveryStatus.DEFERRED, attempts=2, next_attempt_at=one.at
    )
    gone = replace(one, status=DeliveryStatus.SUPPRESSED, reason="removed")
    text = told(replace(record, deliveries=(later, gone)))
    assert "deferred after 2 tries" in text
    assert "Tried again on Tue 2026-11-24 06:00" in text
    assert "Name it in git again" in text


def test_what_bounced_later_stands_first_and_with_why(world: World) -> None:
    Post(world)
    record = world.run_now(mailing(a_mail([ANNA, BOB])))
    bob = record.deliveries[1].key
    news = [
        a_bounce(digest="1", kind=News.DELAYED, code="4.4.1", message="").event(
            bob, START
        ),
        a_bounce(digest="2").event(bob, START),
    ]
    text = told(replace(record, news=tuple(news)))
    assert "team/mail: 2 accepted, 1 delayed, 1 bounced" in text
    assert text.index(BOB) < text.index(ANNA)
    assert "it is delayed, and still tried: 4.4.1." in text
    assert "it bounced for good: 5.1.1 550 no such user." in text
    assert text.count(f"`boe suppressed {BOB}` says whether it gets mail again.") == 1


def test_an_address_on_the_suppression_list_gets_nothing(world: World) -> None:
    post = Post(world)
    world.ledger.suppress(BOB, by="ada", why="He asked for it", now=START)
    world.tools = replace(
        world.tools, listed=lambda address: why_none(world.ledger.suppressions(address))
    )
    record = world.run_now(mailing(a_mail([ANNA, BOB.upper()])))
    text = told(record)
    assert record.run.status is RunStatus.SUCCEEDED
    assert post.got == {ANNA: 1}
    assert f"{BOB.upper()}: suppressed" in text
    ends = '`boe unsuppress bob@example.com --why "…"` takes it off.'
    assert f"He asked for it. {ends}" in text


def test_of_thousands_nobody_is_held_against_all_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = world.run_now(mailing(a_mail([ANNA])))
    [one] = record.deliveries
    status = (DeliveryStatus.REFUSED, DeliveryStatus.ACCEPTED)
    keys = [replace(one.key, recipient=f"p{n}@example.com") for n in range(1_000)]
    rows = [replace(one, key=key, status=status[n % 2]) for n, key in enumerate(keys)]
    told_of = a_bounce()
    news = [replace(told_of.event(key, START), digest=f"{key}") for key in keys]
    whole = replace(record, deliveries=tuple(rows), news=tuple(news))
    compared = []
    for kind in (Delivery, DeliveryKey):
        monkeypatch.setattr(kind, "__eq__", lambda a, b: compared.append(a) or a is b)
    assert "500 refused" in told(whole)
    found = run_json(whole)["deliveries"]
    assert {len(each["news"]) for each in found} == {1}
    assert len(compared) < 10_000
