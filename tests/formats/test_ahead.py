"""Rendering ahead, on threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from boe_reconciler.formats._ahead import THREADS, ahead


def test_results_come_in_the_order_of_the_items() -> None:
    late = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert late.wait(10)
        elif item == 1:
            late.set()
        return item * 2

    assert list(ahead(range(20), work)) == [item * 2 for item in range(20)]


def test_few_items_are_asked_for_ahead() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            asked.append(item)
            yield item

    results = ahead(items(), lambda item: item)
    for item in range(50):
        assert next(results) == item
        assert len(asked) <= item + 1 + THREADS


def test_on_one_thread_an_item_follows_the_other() -> None:
    at_work = threading.Lock()

    def work(item: int) -> int:
        assert at_work.acquire(blocking=False)
        time.sleep(0.001)
        at_work.release()
        return item

    assert list(ahead(range(20), work, threads=1)) == list(range(20))


def test_a_source_that_fails_ends_it_in_the_callers_thread() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ConnectionError(threading.current_thread().name)

    with pytest.raises(ConnectionError, match=threading.current_thread().name):
        list(ahead(items(), lambda item: item))


def test_work_that_fails_is_told_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(ahead([1, 0, 2, 3], lambda item: 1 // item))
    assert threading.active_count() == before
