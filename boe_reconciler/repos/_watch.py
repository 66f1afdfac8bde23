"""Folders watched by the operating system: says when to look, not what changed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver, ObservedWatch

#: Events that change nothing: each look through all folders would make many.
_READS = ("FileOpenedEvent", "FileClosedNoWriteEvent")


class Watcher:
    """Sets a flag when something `interesting` (by its path) happens.

    Where the system cannot watch (its limit is reached, a network file system), it
    stays silent: whoever asks has to look from time to time as well.
    """

    def __init__(self, interesting: Callable[[str], bool]) -> None:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer

        self._events = [
            one for one in _kinds(FileSystemEvent) if one.__name__ not in _READS
        ]
        self._handler = FileSystemEventHandler()
        self._handler.on_any_event = self._on_event  # type: ignore[method-assign]  # a class of its own would need watchdog at import time
        self._interesting = interesting
        self._happened = threading.Event()
        self._watches: dict[tuple[Path, int], ObservedWatch] = {}
        self._observer: BaseObserver = Observer()
        self._observer.daemon = True
        self._observer.start()

    def watch(self, folders: Mapping[Path, bool]) -> None:
        """Watch these folders, each with whether that means all that is below it, too."""
        wanted = {_identity(folder): deep for folder, deep in folders.items()}
        for known in [known for known in self._watches if known not in wanted]:
            with suppress(OSError, KeyError):
                self._observer.unschedule(self._watches.pop(known))
        for (folder, inode), recursive in wanted.items():
            if inode and (folder, inode) not in self._watches:
                with suppress(OSError):
                    watch = self._observer.schedule(
                        self._handler,
                        str(folder),
                        recursive=recursive,
                        event_filter=self._events,
                    )
                    self._watches[folder, inode] = watch

    def wait(self, timeout: float, settle: float) -> bool:
        """True when something happened and it has been quiet for `settle` seconds."""
        if not self._happened.wait(timeout):
            return False
        for _ in range(20):
            self._happened.clear()
            if not self._happened.wait(settle):
                break
        self._happened.clear()
        return True

    def close(self) -> None:
        self._observer.stop()
        self._observer.join()

    def _on_event(self, event: FileSystemEvent) -> None:
        if event.is_directory and event.event_type == "modified":
            return  # What is in it tells by itself.
        paths = (event.src_path, event.dest_path)
        if any(path and self._interesting(os.fsdecode(path)) for path in paths):
            self._happened.set()


def _kinds(
    parent: type[FileSystemEvent],
) -> Iterator[type[FileSystemEvent]]:
    for kind in parent.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _identity(folder: Path) -> tuple[Path, int]:
    """A folder by its path and inode: one that was swapped is watched anew; 0: none."""
    try:
        return folder, folder.stat().st_ino
    except OSError:
        return folder, 0
