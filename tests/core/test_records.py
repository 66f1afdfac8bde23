"""Our `dataclass` does what the standard one does."""

from __future__ import annotations

import copy
import dataclasses
import operator
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from functools import cached_property
from typing import Any

import pytest

from boe_reconciler.core import records
from boe_reconciler.core.problems import Position

Maker = Callable[..., Any]
FROZEN = {"frozen": True, "kw_only": True, "slots": True}
MAKERS = [dataclasses.dataclass, records.dataclass]


def made(maker: Maker, **flags: bool) -> Any:
    class Shelf:
        name: str
        width: int = 3
        books: list[str] = dataclasses.field(default_factory=list)

    return maker(**flags)(Shelf)


@pytest.fixture(params=MAKERS, ids=["standard", "ours"])
def maker(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_fields_have_their_defaults(maker: Maker) -> None:
    shelf = made(maker, **FROZEN)
    one, other = shelf(name="a"), shelf(name="b", width=4)
    assert (one.name, one.width, one.books) == ("a", 3, [])
    assert other.width == 4
    assert one.books is not other.books


@pytest.mark.parametrize(
    ("given", "named"),
    [((), {}), ((), {"name": "a", "depth": 1}), (("a",), {})],
    ids=["one is missing", "one is not known", "without its name"],
)
def test_wrong_fields_are_refused(maker: Maker, given: Any, named: Any) -> None:
    with pytest.raises(TypeError):
        made(maker, **FROZEN)(*given, **named)


def test_fields_may_be_given_by_their_order(maker: Maker) -> None:
    shelf = made(maker, frozen=True)
    assert shelf("a", 4).width == 4
    with pytest.raises(TypeError):
        shelf("a", 4, [], "more")
    with pytest.raises(TypeError):
        shelf("a", name="b")


def test_it_shows_its_fields(maker: Maker) -> None:
    shown = repr(made(maker, **FROZEN)(name="a"))
    assert shown.endswith("Shelf(name='a', width=3, books=[])")


def test_a_frozen_one_cannot_be_changed(maker: Maker) -> None:
    one = made(maker, **FROZEN)(name="a")
    with pytest.raises(FrozenInstanceError):
        one.name = "b"
    with pytest.raises(FrozenInstanceError):
        del one.name


def test_another_one_can_be_changed_and_has_no_hash(maker: Maker) -> None:
    one = made(maker, kw_only=True, slots=True)(name="a")
    one.name = "b"
    assert one.name == "b"
    with pytest.raises(TypeError):
        hash(one)


def test_equal_are_those_with_the_same_values(maker: Maker) -> None:
    shelf = made(maker, **FROZEN)
    assert shelf(name="a") == shelf(name="a")
    assert shelf(name="a") != shelf(name="b")
    assert shelf(name="a") != made(maker, **FROZEN)(name="a")


def test_the_hash_follows_the_values(maker: Maker) -> None:
    shelf = made(maker, **FROZEN)
    one, other = shelf(name="a", books=()), shelf(name="a", books=())
    assert len({one, other}) == 1


def test_a_field_may_be_left_out_of_what_is_compared_and_shown(maker: Maker) -> None:
    class Shelf:
        name: str
        memory: dict[str, int] = dataclasses.field(
            default_factory=dict, compare=False, repr=False
        )

    shelf = maker(**FROZEN)(Shelf)
    one, other = shelf(name="a"), shelf(name="a", memory={"x": 1})
    assert len({one, other}) == 1
    assert repr(other).endswith("Shelf(name='a')")
    assert replace(other, name="b").memory == {"x": 1}


def test_without_eq_each_is_only_itself(maker: Maker) -> None:
    shelf = made(maker, frozen=True, eq=False)
    one, other = shelf(name="a"), shelf(name="a")
    assert one != other
    assert len({one, other}) == 2


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge"])
def test_order_is_that_of_the_values(maker: Maker, name: str) -> None:
    shelf, compare = made(maker, frozen=True, order=True), getattr(operator, name)
    pairs = [("a", "b"), ("b", "a"), ("a", "a")]
    found = [compare(shelf(name=one), shelf(name=other)) for one, other in pairs]
    assert found == [compare(one, other) for one, other in pairs]
    with pytest.raises(TypeError):
        compare(shelf(name="a"), 1)


def test_a_copy_is_the_same_and_may_differ(maker: Maker) -> None:
    one = made(maker, **FROZEN)(name="a", books=["x"])
    assert copy.deepcopy(one) == one
    assert replace(one, width=9).width == 9


def test_a_copy_that_differs_is_made_as_in_the_standard_library() -> None:
    one = Position(3, 4)
    assert records.replace(one, column=5) == replace(one, column=5)
    assert one == Position(3, 4)
    with pytest.raises(TypeError, match="Position lacks some of"):
        records.replace(one, **{"row": 5})


def test_it_can_be_pickled() -> None:
    one = Position(3, 4)
    assert pickle.loads(pickle.dumps(one)) == one


def test_a_method_of_the_class_itself_stays(maker: Maker) -> None:
    class Own:
        name: str

        def __repr__(self) -> str:
            return self.name

    assert repr(maker(**FROZEN)(Own)(name="a")) == "a"


def test_the_standard_library_knows_the_fields(maker: Maker) -> None:
    """`replace`, `fields` and `asdict` work on classes and on what they make."""
    shelf = made(maker, **FROZEN)
    assert [one.name for one in dataclasses.fields(shelf)] == ["name", "width", "books"]
    assert dataclasses.asdict(shelf(name="a")) == {"name": "a", "width": 3, "books": []}
    assert dataclasses.fields(shelf)[1].default == 3


def test_a_default_can_be_asked_of_a_class_without_slots(maker: Maker) -> None:
    shelf = made(maker, frozen=True)
    assert shelf.width == 3
    assert not hasattr(shelf, "books")


def test_a_cached_property_is_made_once_and_has_a_slot() -> None:
    class Shelf:
        books: list[str]

        @cached_property
        def first(self) -> list[str]:
            return self.books[:1]

    maker: Maker = records.dataclass
    one = maker(**FROZEN)(Shelf)(books=["x", "y"])
    assert one.first == ["x"]
    assert one.first is one.first
    assert not hasattr(one, "__dict__")
    assert replace(one, books=[]).first == []
    with pytest.raises(AttributeError, match="Shelf has no attribute last"):
        _ = one.last


def test_a_record_has_no_parents() -> None:
    class Shelf(dict[str, str]):
        name: str

    with pytest.raises(TypeError, match="no parents"):
        records.dataclass(**FROZEN)(Shelf)


def kept(maker: Maker) -> Any:
    class Kept:
        rows: int
        sha256: str

    return maker(**FROZEN)(Kept)


def test_what_is_made_of_columns_is_what_is_made_one_by_one(maker: Maker) -> None:
    shelf = kept(maker)
    make = records.from_columns(shelf, ("sha256", "rows"))
    found = make([("a", "b"), (1, 2)])
    assert found == [shelf(rows=1, sha256="a"), shelf(rows=2, sha256="b")]
    assert [type(one) for one in found] == [shelf, shelf]
    with pytest.raises(FrozenInstanceError):
        found[0].rows = 3
    assert make([]) == []


def test_what_is_made_of_columns_has_all_its_fields(maker: Maker) -> None:
    """Or the field would be missing where it is read, much later."""
    with pytest.raises(TypeError, match="Kept has other fields"):
        records.from_columns(kept(maker), ["rows"])
