"""Children that are kept: each does one small thing after the other.

Python lets one thread of a process work at a time. A run tells the ledger and delivers in
the main process; a child reads its rows and makes its file meanwhile, on another
processor.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Condition, Thread, Timer, current_thread
from typing import Any

from boe_reconciler.core.errors import RunError, Temporary
from boe_reconciler.core.facts import Fact, Ticked
from boe_reconciler.core.ports import Cancel, Never
from boe_reconciler.transforms import _tasks
from boe_reconciler.transforms._tasks import Files, Wish
from boe_reconciler.transforms.children import Child, Children

log = logging.getLogger(__name__)

#: So many files have to meet another under way before there is a child for them.
_ENOUGH = 16
#: Where so many are wanted at once, loading children first takes less time than it saves.
_CROWD = 100
#: Queries that are remembered, at most.
_MOST_KNOWN = 10_000
#: Seconds to wait for a child where all are at work, for a small file takes less: the thread
#: would take a processor from them, and Python's lock from its likes.
_PATIENCE = 0.1
#: And while those are started that a crowd will want: threads that load the same at the
#: same time would only keep it from that.
_LOADING = 2.0
#: Seconds without a file after which no child is kept.
_LINGER = 60.0


class Lost(Exception):
    """A child could not, and nothing of it was used: the thread does."""


#: Device and inode of a folder; None: it is not there.
_Place = tuple[int, int] | None


class KeptChild:
    """One that does one thing after the other."""

    def __init__(self, child: Child, place: _Place) -> None:
        """`place` of what it may read: another folder of that name is closed to it."""
        self.child = child
        self.place = place
        self._replies = child.line.makefile("rb")
        #: It has begun, nothing is under way in it, and nobody stopped it.
        self.ready = False
        self._stopped = False

    def stop(self) -> None:
        """As `Child.stop`; it is not used again, even if it just came to its end."""
        self._stopped, self.ready = True, False
        self.child.stop()

    def close(self) -> None:
        self._replies.close()
        self.child.close()

    def ask(self, wish: Wish, cancel: Cancel) -> None:
        """What `cancel` raises, else Lost where it has ended."""
        if not self.ready:
            raise Lost("it has something else to do, or has ended")
        self.ready = False
        with _lost(cancel), self.child.blamed(cancel):
            _tasks.ask(self.child.rows, wish)

    def reply(self, cancel: Cancel) -> tuple[Mapping[str, Any], bytes]:
        """What it answers, and what it made; it raises what the work raised.

        Lost where it was ended, or could not for reasons of its own.
        """
        found = _tasks.receive_reply(self._replies)
        if found is None:
            with _lost(cancel):
                self.child.answer(cancel)
            raise Lost("it ended")
        answer, _ = found
        if answer.get("reason") in _tasks.ENDS:
            raise Lost(answer["reason"])
        self.ready = not answer.get("more") and not self._stopped
        self.child.check(answer)
        return found


@contextmanager
def _lost(cancel: Cancel) -> Iterator[None]:
    """How it ended may be its own affair; a crash is not one to be tried again here."""
    try:
        yield
    except RunError as error:
        cancel.check()
        if isinstance(error, Temporary) or error.reason in _tasks.ENDS:
            raise Lost(error.message) from error
        raise


class KeptChildren:
    """Children for small things; safe to use from several threads."""

    def __init__(self, children: Children, data_root: Path, most: int) -> None:
        """`children` are theirs alone; `most` of them are kept at a time.

        What they read for files lies below `data_root`.
        """
        self._children = children
        self._data_root = data_root
        self._most = most
        #: Held for a moment at a time: children start and end outside of it. Told of each that
        #: comes back.
        self._lock = Condition()
        self._idle: list[KeptChild] = []
        #: Those that there are or that are being started.
        self._count = 0
        #: Files under way, also those that no child writes.
        self._writing = 0
        #: Files that met another under way, and no child; with so many one is started.
        self._met = 0
        self._enough = _ENOUGH
        #: Starts a child, or ends the process that forks them: nobody waits for it.
        self._busy: Thread | None = None
        #: What a child is not asked again: it gave many rows, or was too much for it.
        self._not_asked: set[tuple[str, str]] = set()
        #: Whether those that are being started are to be waited for.
        self._expected = False
        #: Whether a file was wanted since the timer began.
        self._used = False
        self._timer: Timer | None = None
        #: Whether somebody waited for a child, and none has come back since.
        self._in_vain = False
        self._closed = False

    def observe(self, fact: Fact) -> None:
        """Called on the engine's threads."""
        if isinstance(fact, Ticked):
            self.expect(fact.tick.inserted)

    def expect(self, files: int) -> None:
        """So many are about to be wanted at once: for a crowd children start before them."""
        with self._lock:
            crowd = files >= max(_CROWD, self._enough) and self._most > 1
            if crowd and not self._count:
                self._expected = self._begin(self._most)

    def may_ask(self, connection: str, query: str) -> bool:
        return (connection, query) not in self._not_asked

    def do_not_ask(self, connection: str, query: str) -> None:
        """It is for a thread: a child would only be in the way, for small files as well."""
        if len(self._not_asked) >= _MOST_KNOWN:
            self._not_asked.clear()
        self._not_asked.add((connection, query))

    @contextmanager
    def child(self, cancel: Cancel) -> Iterator[KeptChild | None]:
        """One for a file; None where none is free, soon either. What `cancel` raises."""
        child = self._take(cancel)
        try:
            yield child
        finally:
            with self._lock:
                self._writing -= 1
            if child is not None:
                self._keep(child)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._lock.notify_all()
            if self._timer is not None:
                self._timer.cancel()
            spare, busy = self._spare(), self._busy
        for one in spare:
            one.close()
        self._children.close()  # ends one that is being started, too
        if busy is not None:
            busy.join()
            self._children.close()

    def _take(self, cancel: Cancel) -> KeptChild | None:
        self._wait(cancel)
        gone: list[KeptChild] = []
        try:
            return self._taken(_place(self._data_root), gone)
        finally:
            for child in gone:
                child.close()

    def _wait(self, cancel: Cancel) -> None:
        """For one of the children, where all that there may be are at work."""
        may_have_one = partial(self._may_have_one, cancel)
        with cancel.on_cancel(self._wake), self._lock:
            if not self._in_vain:
                patience = _LOADING if self._expected else _PATIENCE
                self._in_vain = not self._lock.wait_for(may_have_one, patience)

    def _wake(self) -> None:
        with self._lock:
            self._lock.notify_all()

    def _may_have_one(self, cancel: Cancel) -> bool:
        """Or have one started; nobody waits for one that was not expected."""
        cancel.check()
        at_work = self._count == self._most and self._busy is None
        waits = (at_work or self._expected) and not self._idle
        return self._closed or not waits

    def _taken(self, place: _Place, gone: list[KeptChild]) -> KeptChild | None:
        """`gone` gets those that may not read what lies there now."""
        with self._lock:
            self._used = True
            self._writing += 1
            while self._idle:
                child = self._idle.pop()
                if child.place == place:
                    return child
                self._count -= 1
                gone.append(child)
            if self._writing > 1 and self._count < self._most:
                self._met += 1
                if self._met >= self._enough:
                    self._begin(self._count + 1)
        return None

    def _keep(self, child: KeptChild) -> None:
        with self._lock:
            kept = child.ready and not self._closed
            if kept:
                self._idle.append(child)
                self._lock.notify()
            else:
                self._count -= 1
                self._lock.notify_all()
            self._in_vain = False
        if not kept:
            child.close()

    # --- Starting -----------------------------------------------------------------

    def _begin(self, wanted: int) -> bool:
        """Have one started after the other until there are so many. False: not now."""
        if self._busy is not None or self._closed or self._count >= wanted:
            return False
        starter = Thread(target=self._start, args=[wanted], name="kept", daemon=True)
        self._met = 0
        with suppress(RuntimeError):  # there is no room for one more thread
            starter.start()
            self._busy = starter
            self._count += 1
        return self._busy is starter

    def _start(self, wanted: int) -> None:
        child, trouble = None, ""
        try:
            place, order = _place(self._data_root), Files(data_root=self._data_root)
            child = KeptChild(self._children.start(order, "a small file"), place)
            child.reply(Never())
        except (RunError, OSError, Lost) as error:
            trouble = str(error)
        if child is not None:
            self._keep(child)  # while it is known who starts: `close` waits for that
        with self._lock:
            self._busy = None
            self._watch()
            if child is None:
                self._count -= 1
            if trouble:
                self._enough *= 10
            more = not trouble and self._begin(wanted)
            self._expected = self._expected and more
            self._lock.notify_all()
        if trouble and not self._closed:
            log.warning("no_child_for_files", extra={"detail": trouble})

    # --- When nobody wants a file -------------------------------------------------

    def _watch(self) -> None:
        if self._timer is None and not self._closed:
            self._used = False
            self._timer = Timer(_LINGER, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        """With the last child ends the process that forks them."""
        with self._lock:
            self._timer = None
            spare = [] if self._used else self._spare()
            last = not self._count and self._busy is None
            if last:
                self._busy = current_thread()
                self._met = 0
            else:
                self._watch()
        for one in spare:
            one.close()
        if last:
            self._children.close()
            with self._lock:
                self._busy = None

    def _spare(self) -> list[KeptChild]:
        """Those that write nothing: they are not kept any more."""
        spare, self._idle = self._idle, []
        self._count -= len(spare)
        return spare


def _place(folder: Path) -> _Place:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
