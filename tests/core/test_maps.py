"""Maps that know what became different, and lists that know their keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core.maps import Edition, but, differing
from boe_reconciler.core.spec import Connections, Keyed, Served, keyed
from tests.builders import a_schedule, an_activation

MAPS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2))
EDITS = st.tuples(st.lists(st.sampled_from("abcd")), MAPS)


@given(start=MAPS, edits=st.lists(EDITS, max_size=3))
def test_what_differs_is_known_without_a_look_at_the_rest(
    start: dict[str, int], edits: list[tuple[list[str], dict[str, int]]]
) -> None:
    every = [but({}, gone=(), new=start)]
    for gone, new in edits:
        every.append(but(every[-1], gone=gone, new=new))
    for before in every:
        for after in every:
            keys = {*before, *after}
            real = {key for key in keys if before.get(key) != after.get(key)}
            assert real <= differing(before, after)
            assert real == differing(dict(before), after)


def test_a_map_that_was_made_out_of_another_names_only_what_was_changed() -> None:
    before = but({}, gone=(), new={"a": 1, "b": 2})
    after = but(before, gone=["b", "absent"], new={"c": 3})
    assert after == {"a": 1, "c": 3}
    assert after.touched_since(before) == {"b", "c"}
    assert after.touched_since(after) == frozenset()
    assert before.touched_since(after) is None
    assert Edition({"a": 1}).touched_since({"a": 1}) is None


def test_a_list_by_keys_is_as_good_as_a_list() -> None:
    found = Keyed({"b": 2, "a": 1})
    assert [*found] == [1, 2] == [found[0], found[1]]
    assert (len(found), repr(found)) == (2, "[1, 2]")
    assert found == [1, 2]
    assert found == Keyed({"a": 1, "b": 2})
    assert found != Keyed({"a": 1})
    assert found != 7
    assert keyed(found, str) is found.by_key
    assert keyed([1, 2], str) == {"1": 1, "2": 2}


def test_connections_are_those_that_some_schedule_uses() -> None:
    one, other = a_schedule("one"), a_schedule("other")
    name = one.spec.connection_name
    both = Connections().of({}, {"one": one, "other": other})
    left = both.of({"one": one, "other": other}, {"one": one})
    assert [*left.specs] == [name] == [*an_activation(one).connections]
    assert left.of({"one": one}, {}) == Connections()


def test_without_a_policy_none_is_served() -> None:
    assert Served(attempted=None, serving=None).policy is None
