"""What the tests of all sources share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Timer
from typing import Any

import pyarrow as pa
import pytest

from boe_reconciler.core.errors import Cancelled
from boe_reconciler.core.ports import Source


class ByHand:
    """A Cancel that a test pulls."""

    def __init__(self) -> None:
        self.pulled = False
        self.callbacks: list[Callable[[], None]] = []

    def check(self) -> None:
        if self.pulled:
            raise Cancelled("cancelled", "somebody asked for it")

    @contextmanager
    def on_cancel(self, callback: Callable[[], None]) -> Iterator[None]:
        self.callbacks.append(callback)
        try:
            yield
        finally:
            self.callbacks.remove(callback)

    def pull(self) -> None:
        self.pulled = True
        for callback in list(self.callbacks):
            callback()


@pytest.fixture
def cancel() -> ByHand:
    return ByHand()


@pytest.fixture
def cancelled_soon(cancel: ByHand) -> Iterator[ByHand]:
    timer = Timer(0.3, cancel.pull)
    timer.start()
    yield cancel
    timer.join()


Read = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def read(cancel: ByHand) -> Read:
    """All rows of a query as dictionaries."""

    def rows(
        source: Source, query: str, parameters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        found = source.rows(query, parameters or {}, cancel)
        try:
            table = pa.Table.from_batches(list(found), schema=found.schema)
        finally:
            found.close()
        assert cancel.callbacks == []
        return table.to_pylist()

    return rows
