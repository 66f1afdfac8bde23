"""A burst: each part gets its own rows, and nobody gets another's."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boe_reconciler.core.burst import Part
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.holds import HoldKind
from boe_reconciler.core.runs import RunRecord, RunStatus
from boe_reconciler.core.spec import RunSpec
from boe_reconciler.engine import bursting
from tests.engine.mails import ANNA, BOB, BUSY, CARL, Post, a_mail, mailing, states
from tests.engine.world import World, a_spec

SUCCEEDED, FAILED, SKIPPED = RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.SKIPPED
SALES = """
select * from (values ('north', 1), ('south', 2), ('north', 3), (null, 4), ('west', 5))
as t(region, amount)
"""


def the_spec(
    query: str = SALES, more: dict[str, Any] | None = None, **burst: Any
) -> Any:
    wish = {"split_on": "region", **burst}
    return a_spec(query, burst=wish, **(more or {}))


def with_file(world: World, text: str, **burst: Any) -> Any:
    sha = world.blobs.put(text.encode())
    more = {"resolved": {"files": {"heads.csv": sha}}}
    return the_spec(more=more, recipients_file="heads.csv", **burst)


def rows(world: World, file: str) -> list[list[str]]:
    with (world.root / "exports" / file).open(newline="") as opened:
        return list(csv.reader(opened))[1:]


def delivered(world: World) -> dict[str, list[list[str]]]:
    """Key -> rows of its file."""
    return {
        name.rpartition("(")[2].removesuffix(").csv"): rows(world, name)
        for name in world.files()
    }


def values_of(record: RunRecord) -> list[dict[str, str]]:
    return [dict(one.values) for one in record.artifacts]


def test_each_value_of_a_column_gets_its_own_rows_in_their_order(world: World) -> None:
    record = world.run_now(the_spec(values_from="region", split_on=None))
    assert record.run.status is SUCCEEDED
    assert delivered(world) == {
        "north": [["north", "1"], ["north", "3"]],
        "south": [["south", "2"]],
        "west": [["west", "5"]],
    }
    assert values_of(record)[0] == {"region": "north"}
    assert {one.key.part for one in record.deliveries} == {"north", "south", "west"}


def test_rows_of_nobody_are_counted_and_told(world: World) -> None:
    record = world.run_now(with_file(world, "region,to\nnorth,a@x.com\neast,b@x.com\n"))
    assert delivered(world) == {"north": [["north", "1"], ["north", "3"]], "east": []}
    told = "3 rows belong to no part: their region is null or nobody's."
    assert record.run.message == told
    events = world.ledger.events(record.run.run_id)
    assert [one.message for one in events if one.action == "rows_left_out"] == [told]


def test_rows_with_one_key_are_one_part(world: World) -> None:
    text = "region,to,boss\nnorth,a@x.com,Z\nsouth,b@x.com,\nnorth,c@x.com,Z\n"
    record = world.run_now(with_file(world, text))
    assert values_of(record) == [
        {"region": "north", "to": "a@x.com, c@x.com", "boss": "Z"},
        {"region": "south", "to": "b@x.com", "boss": ""},
    ]


def test_parts_come_from_a_query(world: World) -> None:
    query = "select * from (values ('south', 7), ('north', null)) as t(region, n)"
    record = world.run_now(the_spec(recipients_query=query))
    assert values_of(record) == [
        {"region": "south", "n": "7"},
        {"region": "north", "n": ""},
    ]


PART = {"parameters": {"r": {"type": "string"}}}


def once_a_key(where: str, **more: Any) -> Any:
    query = f"select * from ({SALES}) where {where}"
    fields = {"report": PART, "parameters": {"r": "{{ part.region }}"}, **more}
    parts = "select unnest(['north', 'south']) as region"
    return the_spec(query, fields, mode="query", recipients_query=parts)


def test_the_query_is_asked_once_a_key(world: World) -> None:
    export = {"format": ["csv", "jsonl"]}
    record = world.run_now(once_a_key("region = :r", export=export))
    assert record.run.status is SUCCEEDED, record.run.message
    assert [(one.part, one.key, one.rows) for one in record.artifacts] == [
        ("csv north", "north", 2),
        ("jsonl north", "north", 2),
        ("csv south", "south", 1),
        ("jsonl south", "south", 1),
    ]


@pytest.mark.parametrize("filter_", ["region >= :r", "region = :r or region is null"])
def test_a_row_of_somebody_else_stops_it_before_anything_leaves(
    world: World, filter_: str
) -> None:
    """The first part may be as it should; its file does not leave either."""
    record = world.run_now(once_a_key(filter_))
    assert (record.run.status, record.run.reason) == (FAILED, "foreign_rows")
    assert (record.artifacts, record.deliveries, world.files()) == ((), (), [])


def test_a_row_that_was_dealt_wrongly_stops_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(self: bursting.Dealer, column: pa.Array) -> pa.Array:
        return pa.array([0] * len(column), pa.int32())

    monkeypatch.setattr(bursting.Dealer, "_numbers", shifted)
    record = world.run_now(the_spec(values_from="region"))
    assert (record.run.status, record.run.reason) == (FAILED, "foreign_rows")
    assert world.files() == []


@pytest.mark.parametrize(
    ("burst", "reason"),
    [
        ({"values_from": "region", "max_parts": 2}, "too_many_parts"),
        ({"values_from": "nothing"}, "burst_column"),
        ({"values_from": "region", "split_on": "nothing"}, "burst_column"),
        ({"recipients_query": "select null as region"}, "recipients_invalid"),
        ({"recipients_query": "select 1 as region where false"}, "no_parts"),
        ({"recipients_query": "select [1] as region"}, "burst_column"),
    ],
)
def test_what_cannot_be_a_burst_fails_with_its_reason(
    world: World, burst: dict[str, Any], reason: str
) -> None:
    record = world.run_now(the_spec(**burst))
    assert (record.run.status, record.run.reason) == (FAILED, reason)


def test_a_burst_of_nobody_may_be_skipped(world: World) -> None:
    spec = the_spec(recipients_query="select 1 as region where false", if_empty="skip")
    record = world.run_now(spec)
    assert (record.run.status, record.run.reason) == (SKIPPED, "empty")


def test_a_part_without_rows_may_be_left_out(world: World) -> None:
    text = "region\nnorth\neast\n"
    record = world.run_now(with_file(world, text, if_empty="skip"))
    assert (record.run.status, list(delivered(world))) == (SUCCEEDED, ["north"])


# --- Against the last time ------------------------------------------------------------


def parts(number: int) -> Any:
    query = f"select 'p' || i as region from range({number}) t(i)"
    return the_spec(query, values_from="region")


def test_a_jump_waits_for_a_release_before_anything_leaves(world: World) -> None:
    assert world.run_now(parts(4)).run.status is SUCCEEDED
    world.clock.move(60)
    assert world.run_now(parts(6)).run.status is SUCCEEDED
    world.clock.move(60)
    before = world.files()
    record = world.run_now(parts(30))
    assert (record.run.status, record.run.reason) == (RunStatus.WAITING, "recipients")
    assert world.files() == before
    (hold,) = world.ledger.holds_of(record.run.run_id)
    assert hold.kind is HoldKind.RECIPIENTS
    assert "6 parts last time, 30 now; new: p10, p11" in hold.message
    assert "and 14 more" in hold.message
    now = world.clock.now()
    world.ledger.release(hold.hold_id, by="ada@example.com", why="yes", now=now)
    world.work()
    assert world.record(record.run.run_id).run.status is SUCCEEDED


# --- Dealing --------------------------------------------------------------------------

KEYS = st.one_of(st.none(), st.text(max_size=3), st.sampled_from(["a", "b", "ä", " "]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(KEYS, max_size=20), max_size=6),
    st.lists(st.text(max_size=3), unique=True, max_size=6),
    st.sampled_from([0, bursting.IN_MEMORY]),
)
def test_parts_are_the_rows_of_their_keys_in_order(
    tmp_path: Path, batches: list[list[str | None]], more: list[str], limit: int
) -> None:
    keys = list(dict.fromkeys([*more, "a", "b"]))
    numbered = []
    at = 0
    for batch in batches:
        numbered.append([(key, at + i) for i, key in enumerate(batch)])
        at += len(batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bursting, "IN_MEMORY", limit)
        patch.setattr(bursting, "_FAN", 2)
        dealer, dealt = deal(tmp_path, numbered, keys)
    every = [row for batch in numbered for row in batch]
    assert dealt == {key: [r for r in every if r[0] == key] for key in keys}
    assert dealer.left_out == sum(row[0] not in keys for row in every)
    assert list(tmp_path.iterdir()) == []


def deal(
    folder: Path, batches: Sequence[Sequence[tuple[Any, int]]], keys: list[str]
) -> tuple[bursting.Dealer, dict[str, list[tuple[Any, int]]]]:
    schema = pa.schema([("key", pa.string()), ("n", pa.int64())])
    room = folder.joinpath
    dealer = bursting.Dealer(room=room, schema=schema, column=0, keys=keys)
    rows = [
        pa.record_batch([[r[0] for r in one], [r[1] for r in one]], schema=schema)
        for one in batches
    ]
    dealt = {}
    for number, read in dealer.deal(iter(rows)):
        part = Part(key=keys[number], label="", values={})
        dealt[keys[number]] = [
            (row["key"], row["n"])
            for batch in bursting.own(read(), 0, part)
            for row in batch.to_pylist()
        ]
    return dealer, dealt


def test_types_stay_what_they_are(tmp_path: Path) -> None:
    table = pa.table(
        {
            "key": pa.array([2, 1, 2], pa.int16()),
            "d": pa.array(
                [Decimal("1.10"), None, Decimal("-3.00")], pa.decimal256(40, 2)
            ),
            "t": pa.array([1, 2, 3], pa.timestamp("ns", "Asia/Tokyo")),
            "e": pa.array(["x", "y", "x"]).dictionary_encode(),
        }
    )
    dealer = bursting.Dealer(
        room=tmp_path.joinpath, schema=table.schema, column=0, keys=["1", "2"]
    )
    found = [
        pa.Table.from_batches(rows(), table.schema)
        for _, rows in dealer.deal(iter(table.to_batches()))
    ]
    assert found[0].equals(table.slice(1, 1))
    assert found[1].equals(table.take([0, 2]))
    assert found[1].schema == table.schema


def test_keys_that_no_type_can_be_compared_by_are_told() -> None:
    with pytest.raises(Permanent) as told:
        bursting._texts(pa.array([[1]]))
    assert told.value.reason == "burst_column"


# --- Mails ----------------------------------------------------------------------------

HEADS = (
    "region,to\nnorth,anna@example.com\nsouth,bob@example.com\nsouth,carl@example.com\n"
)


def mailed(world: World, text: str = HEADS, **more: Any) -> RunSpec:
    sha = world.blobs.put(text.encode())
    return mailing(
        a_mail("{{ part.to }}"),
        query=SALES,
        burst={"recipients_file": "heads.csv", "split_on": "region"},
        resolved={"files": {"heads.csv": sha}, **more},
    )


def test_each_gets_the_mail_of_his_part_and_sees_nobody_else(world: World) -> None:
    post = Post(world)
    record = world.run_now(mailed(world))
    assert record.run.status is SUCCEEDED
    got = {
        one.key.recipient: (one.key.part, one.filename, dict(one.addressed))
        for one in post.far_side.taken
    }
    name = "All_numbers_2026-11-24 ({}).csv"
    assert got == {
        ANNA: ("north", name.format("north"), {"to": [ANNA]}),
        BOB: ("south", name.format("south"), {"to": [BOB]}),
        CARL: ("south", name.format("south"), {"to": [CARL]}),
    }


def test_the_policy_counts_the_recipients_of_all_parts(world: World) -> None:
    Post(world)
    record = world.run_now(mailed(world, max_recipients=2))
    assert (record.run.status, record.run.reason) == (FAILED, "too_many_recipients")


def test_who_is_taken_out_of_the_file_gets_nothing_any_more(world: World) -> None:
    """Bob's mail is late, Carl leaves the file, and Anna's region leaves it as a whole."""
    post = Post(world)
    post.answers(anna=[BUSY], bob=[BUSY], carl=[BUSY])
    record = world.run_now(mailed(world))
    assert set(states(record).values()) == {"deferred"}
    world.serve(mailed(world, "region,to\nsouth,bob@example.com\n"))
    world.clock.move(3600)
    world.work()
    found = states(world.record(record.run.run_id))
    assert found == {ANNA: "suppressed", BOB: "accepted", CARL: "suppressed"}


# --- Many -----------------------------------------------------------------------------

CHILD = """
import resource, sys
from pathlib import Path
from boe_reconciler.ledgers import sqlite
from tests.engine.test_burst import many
from tests.engine.world import World

root = Path(sys.argv[1])
world = World(root, ledger=sqlite.create(root / "ledger.db"))
record = world.run_now(many(int(sys.argv[2])), dry_run=True)
assert record.run.status == "succeeded", record.run
print(len(record.artifacts), sum(one.rows for one in record.artifacts))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
ROWS = 300_000


def many(keys: int) -> RunSpec:
    """Rows in no order."""
    query = f"""
    select (i * 7919) % {keys} as region, i as amount, 'name of ' || i as name
    from range({ROWS}) t(i)
    """
    return the_spec(query, values_from="region")


@pytest.mark.slow
def test_ten_thousand_parts_take_hardly_more_memory_than_a_hundred(
    tmp_path: Path,
) -> None:
    peaks = {}
    for keys in (100, 10_000):
        root = tmp_path / str(keys)
        root.mkdir()
        said = subprocess.run(
            [sys.executable, "-c", CHILD, str(root), str(keys)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert said[:2] == [str(keys), str(ROWS)]
        peaks[keys] = int(said[2])
    assert peaks[10_000] < peaks[100] * 1.5, peaks
