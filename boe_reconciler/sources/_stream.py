"""What every source shares: a stream of rows that can be stopped, and where files lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Lock, Thread, Timer
from typing import TYPE_CHECKING, Any

from boe_reconciler.core import names, sql
from boe_reconciler.core.errors import LeaseLost, Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel
from boe_reconciler.core.resources.types import format_duration

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows in one record batch, at most.
BATCH_ROWS = 16_384
#: Seconds between two interrupts of one query.
_AGAIN = 0.2
Placeholder = Callable[[str, int], str]


class _Interrupter:
    """Interrupts again and again, in a thread of its own.

    An interrupt that comes a moment before the query is lost; and one that asks a far
    server may take long, which is not to hold up who wants the query to stop.
    """

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._thread = Thread(target=self._repeat, name="interrupt", daemon=True)
        self._over = Event()
        #: Held while interrupting: then the connection stays open.
        self._lock = Lock()

    def start(self) -> None:
        with suppress(RuntimeError):  # a time-out and a cancel: it is started once
            self._thread.start()

    def end(self) -> None:
        """From now on nothing is interrupted."""
        self._over.set()
        with self._lock:
            return

    def _repeat(self) -> None:
        while not self._over.is_set():
            with self._lock, suppress(Exception):  # it may have ended by itself
                if not self._over.is_set():
                    self._interrupt()
            self._over.wait(_AGAIN)


class Watch:
    """Interrupts a query on cancel, or once the Connection's `timeout` is over."""

    def __init__(self, cancel: Cancel, timeout: timedelta | None = None) -> None:
        self._cancel = cancel
        self._timeout = timeout
        self._expired = Event()

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Within the context, `interrupt` is called from another thread to stop it.

        Raises what `check` raises if it had to stop before.
        """
        interrupter = _Interrupter(interrupt)

        def expire() -> None:
            self._expired.set()
            interrupter.start()

        timer = Timer(self._timeout.total_seconds(), expire) if self._timeout else None
        with self._cancel.on_cancel(interrupter.start):
            if timer:
                timer.daemon = True
                timer.start()
            try:
                self.check()
                yield
            finally:
                if timer:
                    timer.cancel()
                interrupter.end()

    def check(self) -> None:
        """Raise what the cancel raises, or Temporary `timeout`."""
        self._cancel.check()
        if self._expired.is_set() and self._timeout:
            limit = format_duration(self._timeout)
            raise Temporary("timeout", f"the query took longer than {limit}")

    @contextmanager
    def translating(self, translate: Callable[[Exception], RunError]) -> Iterator[None]:
        """Turn a driver's errors into ours; one that we caused into its reason."""
        try:
            yield
        except (RunError, LeaseLost):
            raise
        except Exception as error:
            self.check()
            raise translate(error) from error


class Stream:
    """Rows (see core.ports) over a driver's batches; closing gives back what it holds."""

    count: int | None = None

    def __init__(
        self, schema: pa.Schema, batches: Iterable[pa.RecordBatch], held: ExitStack
    ) -> None:
        self.schema = schema
        self._batches = iter(batches)
        self._held = held

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._batches

    def close(self) -> None:
        self._held.close()


def watched(
    batches: Iterable[pa.RecordBatch],
    watch: Watch,
    translate: Callable[[Exception], RunError],
) -> Iterator[pa.RecordBatch]:
    """The batches, in slices of BATCH_ROWS, stopped and translated by the watch."""
    iterator = iter(batches)
    while True:
        watch.check()
        with watch.translating(translate):
            batch = next(iterator, None)
        if batch is None:
            return
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)


def select(
    query: str, parameters: Mapping[str, Any], dialect: str, placeholder: Placeholder
) -> tuple[str, list[Any]]:
    """The query with the backend's placeholders, and their values in order.

    Permanent `bad_query` for what is not one statement that only reads, or uses a
    parameter without a value: what `boe validate` says as well.
    """
    for found in sql.check(query, dialect=dialect, declared=parameters):
        if found.severity == "error":
            raise Permanent("bad_query", found.detail, found.help)
    bound = sql.bind(query, placeholder)
    return bound.text, [parameters[name] for name in bound.names]


def below(root: Path, text: str) -> Path:
    """A file below the data root, symbolic links resolved; else Permanent `bad_path`."""
    wrong = names.check_relative(text)
    path = (root / text).resolve() if not wrong else root
    if not wrong and not path.is_relative_to(root.resolve()):
        wrong = "a symbolic link leads out of the data root"
    if wrong:
        help_ = "data paths are relative to the data root and stay inside it"
        raise Permanent("bad_path", f"the path {text!r} cannot be used: {wrong}", help_)
    return path
