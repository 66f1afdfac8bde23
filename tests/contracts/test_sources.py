"""What every source promises, whatever database is behind it."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest

from boe_reconciler.backends import SOURCES
from boe_reconciler.core.errors import Cancelled, Permanent
from boe_reconciler.core.ports import Source
from boe_reconciler.core.resources.connection import CONNECTIONS, DATABASE_TYPES
from boe_reconciler.transforms.kept import KeptChildren
from boe_reconciler.transforms.small import KeptSource
from tests.crowds import kept_children, with_a_child
from tests.servers import postgresql
from tests.sources.conftest import ByHand

NUMBERS = (
    "with recursive c(n) as (select 1 union all select n + 1 from c where n < 40000)"
)
#: The word for text, where a database has its own.
FIELDS: dict[str, dict[str, Any]] = {
    "duckdb": {},
    "sqlite": {},
    "postgres": {"database": "postgres", "user": "postgres"},
    "sql": {"url": "sqlite://"},
}


class Cancel:
    def __init__(self) -> None:
        self.cancelled = False
        self.open = 0

    def check(self) -> None:
        if self.cancelled:
            raise Cancelled("cancelled", "somebody asked for it")

    def on_cancel(self, callback: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()


class NoSecrets:
    def resolve(self, secret: Any) -> str:
        raise AssertionError(secret)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgresql() as socket_folder:
        yield socket_folder


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptChildren]:
    root = tmp_path_factory.mktemp("kept")
    with kept_children(root / "scratch", root) as made:
        yield made


@pytest.fixture(params=[*SOURCES, "kept"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    """Each of the registry, and DuckDB in a child that is kept."""
    kind = "duckdb" if request.param == "kept" else request.param
    fields = {"type": kind, **FIELDS[kind]}
    if kind == "postgres":
        fields["host"] = request.getfixturevalue("server")
    spec = CONNECTIONS[kind].model_validate(fields)
    module = importlib.import_module(SOURCES[kind])
    made: Source = module.create(spec, secrets=NoSecrets(), data_root=tmp_path)
    if request.param == "kept":
        yield KeptSource(
            kept=with_a_child(request.getfixturevalue("kept"), 2),
            inner=made,
            module=SOURCES[kind],
            connection=spec,
            version=str(tmp_path),
            data_root=tmp_path,
            memory_limit="100MB",
        )
    else:
        yield made
    made.close()


def read(source: Source, query: str, **parameters: Any) -> list[dict[str, Any]]:
    rows = source.rows(query, parameters, Cancel())
    try:
        return pa.Table.from_batches(list(rows), schema=rows.schema).to_pylist()
    finally:
        rows.close()


def test_the_registry_has_every_database_type_of_the_language() -> None:
    assert set(SOURCES) == set(DATABASE_TYPES) == set(FIELDS)
    for kind, model in CONNECTIONS.items():
        assert get_args(model.model_fields["type"].annotation) == (kind,)


def test_it_answers(source: Source) -> None:
    source.check()
    assert read(source, "select 1 as one") == [{"one": 1}]


def test_the_schema_is_known_before_the_first_batch_and_all_batches_have_it(
    source: Source,
) -> None:
    rows = source.rows(NUMBERS + " select n, n * 1.5 as x from c", {}, Cancel())
    batches = list(rows)
    rows.close()
    assert rows.schema.names == ["n", "x"]
    assert all(batch.schema == rows.schema for batch in batches)
    assert sum(batch.num_rows for batch in batches) == 40_000
    assert max(batch.num_rows for batch in batches) <= 16_384


def test_order_is_kept_over_batches(source: Source) -> None:
    found = read(source, NUMBERS + " select n from c order by n desc")
    assert [row["n"] for row in found] == list(range(40_000, 0, -1))


def test_an_empty_answer_has_columns(source: Source) -> None:
    rows = source.rows("select 1 as one where 1 = 0", {}, Cancel())
    assert sum(batch.num_rows for batch in rows) == 0
    assert rows.schema.names == ["one"]
    rows.close()


@pytest.mark.parametrize(
    "value", ["plain", "it's; drop table x", ":n", "%s %(n)s $1 ?", "\\", "日本 😀", ""]
)
def test_text_is_bound_and_never_pasted(source: Source, value: str) -> None:
    assert read(source, "select cast(:v as text) as v, ':v' as w", v=value) == [
        {"v": value, "w": ":v"}
    ]


def test_large_integers_keep_their_digits(source: Source) -> None:
    (row,) = read(source, "select 9007199254740993 as n, :m as m", m=2**63 - 1)
    assert row == {"n": 9007199254740993, "m": 2**63 - 1}


def test_a_parameter_can_stand_in_several_places(source: Source) -> None:
    query = NUMBERS + " select count(*) as k from c where n >= :a and n < :a + :b"
    assert read(source, query, a=10, b=5) == [{"k": 5}]


def test_parameters_that_the_query_does_not_use_do_no_harm(source: Source) -> None:
    assert read(source, "select 1 as one", unused="x") == [{"one": 1}]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "bad_query"),
        ("select 1; select 2", "bad_query"),
        ("insert into t values (1)", "bad_query"),
        ("select :missing", "bad_query"),
        ("select * from no_such_table", "query_failed"),
        ("select this is not sql", "query_failed"),
    ],
)
def test_a_wrong_query_is_permanent_with_the_same_reason_everywhere(
    source: Source, query: str, reason: str
) -> None:
    with pytest.raises(Permanent) as error:
        read(source, query)
    assert error.value.reason == reason
    assert error.value.message


def test_a_cancel_between_batches_stops_the_stream(source: Source) -> None:
    cancel = Cancel()
    rows = source.rows(NUMBERS + " select n from c", {}, cancel)
    batches = iter(rows)
    next(batches)
    cancel.cancelled = True
    with pytest.raises(Cancelled):
        list(batches)
    rows.close()


def test_rows_may_be_closed_unread_and_twice(source: Source) -> None:
    rows = source.rows(NUMBERS + " select n from c", {}, Cancel())
    rows.close()
    rows.close()
    assert read(source, "select 1 as one") == [{"one": 1}]


# --- Stopping a query ---------------------------------------------------------------

FOREVER = "with recursive c(n) as (select 1 union all select n + 1 from c) "
STOPPED_WITHIN = 4.0  # one second, and three for a busy machine


@pytest.fixture
def soon() -> Iterator[ByHand]:
    """A cancel that is pulled from another thread after a moment."""
    cancel = ByHand()
    timer = threading.Timer(0.4, cancel.pull)
    timer.start()
    yield cancel
    timer.join()
    assert cancel.callbacks == []


@pytest.mark.parametrize("query", ["select max(n) as n from c", "select n from c"])
def test_a_cancel_interrupts_a_query_within_a_second(
    source: Source, soon: ByHand, query: str
) -> None:
    read(source, "select 1 as one")  # what is loaded once is not counted
    began = time.monotonic()
    with pytest.raises(Cancelled):
        consume(source, FOREVER + query, soon)
    assert time.monotonic() - began < 0.4 + STOPPED_WITHIN
    assert read(source, "select 1 as one") == [{"one": 1}]


def test_of_two_queries_at_once_only_the_cancelled_one_ends(
    source: Source, soon: ByHand
) -> None:
    found: list[list[dict[str, Any]]] = []
    query = NUMBERS + " select count(*) as k from c"
    other = threading.Thread(
        target=lambda: found.extend(read(source, query) for _ in range(3))
    )
    other.start()
    with pytest.raises(Cancelled):
        consume(source, FOREVER + "select max(n) as n from c", soon)
    other.join()
    assert found == [[{"k": 40_000}]] * 3


def test_a_query_that_was_cancelled_before_it_began_is_not_asked(
    source: Source,
) -> None:
    cancel = ByHand()
    cancel.pull()
    with pytest.raises(Cancelled):
        consume(source, FOREVER + "select max(n) as n from c", cancel)


def consume(source: Source, query: str, cancel: ByHand) -> None:
    rows = source.rows(query, {}, cancel)
    try:
        for _ in rows:
            pass
    finally:
        rows.close()
