"""Mails show the first rows of their file, as html would, and the same at each try."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from boe_reconciler.core.preview import Preview
from boe_reconciler.core.runs import Resend, RunRecord
from tests.engine.mails import ANNA, BOB, BUSY, Post, a_folder, a_mail, mailing
from tests.engine.world import World

ROWS = "select range as n, 'row ' || range as name, 'x' as secret from range(25)"
LOOK = {"n": {"title": "Number", "format": "0.0"}, "secret": {"hidden": True}}


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


def shown(*planned: Any, **fields: Any) -> Any:
    report = {"columns": LOOK, **fields.pop("report", {})}
    mails = planned or (a_mail(ANNA, preview_rows=2),)
    return mailing(*mails, query=fields.pop("query", ROWS), report=report, **fields)


def previews(post: Post) -> dict[tuple[str, str], Preview | None]:
    return {
        (one.key.part, one.key.recipient): one.preview for one in post.far_side.taken
    }


def stored(world: World, record: RunRecord) -> list[str]:
    return [one.preview for one in record.artifacts if one.preview]


def test_the_first_rows_are_shown_as_the_columns_say(world: World, post: Post) -> None:
    record = world.run_now(shown(a_mail(ANNA, preview_rows=2), a_folder()))
    assert previews(post)[("-", ANNA)] == Preview(
        titles=["Number", "name"],
        right=[True, False],
        rows=[["0.0", "row 0"], ["1.0", "row 1"]],
        columns=2,
    )
    assert record.artifacts[0].rows == 25


def test_each_mail_shows_as_many_as_it_says(world: World, post: Post) -> None:
    few, many = a_mail(ANNA, preview_rows=3), a_mail(BOB, "other", preview_rows=30)
    none = a_mail("carl@example.com", "third")
    world.run_now(shown(few, many, none))
    found = [len(one.rows) if one else None for one in previews(post).values()]
    assert found == [3, 25, None]


def test_nothing_is_stored_where_no_mail_shows_rows(world: World, post: Post) -> None:
    record = world.run_now(shown(a_mail(ANNA)))
    assert stored(world, record) == []
    assert len(list(world.blobs)) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"query": f"{ROWS} limit 0"},
        {"query": f"{ROWS} limit 0", "if_empty": "notice"},
    ],
)
def test_without_rows_there_is_nothing_to_show(
    world: World, post: Post, given: dict[str, Any]
) -> None:
    world.run_now(shown(**given))
    assert previews(post) == {("-", ANNA): None}


def test_rows_of_a_file_with_a_password_are_in_no_mail(
    world: World, post: Post
) -> None:
    (world.root / "password").write_text("secret")
    sealed = {"format": "xlsx", "password": {"file": "password"}}
    record = world.run_now(shown(export=sealed))
    assert previews(post) == {("-", ANNA): None}
    assert stored(world, record) == []


def test_of_several_formats_and_pieces_the_first_is_shown(
    world: World, post: Post
) -> None:
    pieces = {"max_rows": 10, "on_too_many": "split"}
    record = world.run_now(shown(export={"format": ["csv", "xlsx"]}, report=pieces))
    assert len(record.artifacts) == 6
    assert [one.part for one in record.artifacts if one.preview] == ["csv 1 of 3"]
    preview = previews(post)[("-", ANNA)]
    assert preview
    assert [row[1] for row in preview.rows] == ["row 0", "row 1"]
    assert post.far_side.taken[0].context["rows"] == 25


def test_each_part_of_a_burst_shows_its_own_rows(world: World, post: Post) -> None:
    mail = a_mail("{{ part.who }}@example.com", preview_rows=5)
    rows = "select who, n from (values ('anna', 1), ('bob', 2), ('anna', 3)) t(who, n)"
    world.run_now(shown(mail, query=rows, burst={"values_from": "who"}))
    found = {
        who: [list(row) for row in one.rows] if one else None
        for (_, who), one in previews(post).items()
    }
    assert found == {
        ANNA: [["anna", "1.0"], ["anna", "3.0"]],
        BOB: [["bob", "2.0"]],
    }


def test_of_a_workbook_the_first_sheet_is_shown(world: World, post: Post) -> None:
    sheets = [
        {"name": "Sums", "query": "select 1 as n"},
        {"name": "Rest", "query": ROWS},
    ]
    report = {"query": None, "workbook": {"sheets": sheets}}
    world.run_now(shown(report=report, export={"format": "xlsx"}))
    found = previews(post)[("-", ANNA)]
    assert found
    assert (found.sheet, found.rows) == ("Sums", [["1.0"]])


def test_a_retry_and_a_resend_show_what_the_first_try_showed(
    world: World, post: Post
) -> None:
    post.answers(anna=[BUSY])
    world.serve(shown())
    run_id = world.ask("daily")
    world.work()
    world.serve(shown(a_mail(ANNA, preview_rows=9), query="select 1 as other"))
    world.clock.move(300)
    world.work()
    wish = Resend(everything=True)
    world.ledger.reopen(run_id, wish, now=world.clock.now())
    world.work()
    found = [one.preview for one in post.far_side.taken]
    assert len(found) == 3
    assert found[0] == found[1] == found[2] != None  # noqa: E711 all of them are there


def test_what_is_shown_is_kept_as_long_as_its_file(world: World, post: Post) -> None:
    record = world.run_now(shown())
    (preview,) = stored(world, record)
    file = record.artifacts[0].sha256
    now = world.clock.now()
    for keep, kept in ((timedelta(days=30), {preview, file}), (timedelta(0), set())):
        later = now + timedelta(days=1)
        used = world.ledger.blobs_in_use([preview, file], keep, now=later)
        assert set(used) == kept
