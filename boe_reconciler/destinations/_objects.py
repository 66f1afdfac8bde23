"""What all object stores share: keys, whose object lies there, and a lost answer.

A store's own file says how to look at an object, how to write one and how to link to
it. What a delivery promises is written here, once: look first, begin, write on the
condition that nothing is there, and then believe what a second look shows instead of
the answer. So a store may ignore the condition, and an answer may get lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from boe_reconciler.core import names
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.ports import Cancel, Means, Never, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.destinations._artifacts import check_unchanged, opened
from boe_reconciler.destinations._outcomes import conflict, outcome_of

#: Metadata of each object, in the spelling of S3; a store may have another one.
IDENTITY = "boe-delivery"
SHA256 = "boe-sha256"
RUN = "boe-run"
#: Bytes that are in memory at a time, and the largest object sent in one request.
PART = 8 << 20
#: Seconds without an answer, where the Connection has no `timeout`.
PATIENCE = 60.0


class Taken(Temporary):
    """The store refused the write, since the key has an object or is just getting one."""

    def __init__(self) -> None:
        super().__init__("busy", "another write under this key is going on")


def extra_missing(extra: str) -> Permanent:
    """The SDK is not there: it is an extra of the installation."""
    return Permanent(
        "extra_missing",
        f"what {extra} needs is not installed",
        f"pip install 'boe-reconciler[{extra}]'",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An object as the store shows it."""

    bytes: int
    #: Keys in lower case, with hyphens.
    metadata: Mapping[str, str]
    #: The sha256 in hex that the store itself vouches for.
    sha256: str | None = None
    #: Its version, generation or etag.
    receipt: str


def _unheard(more: Mapping[str, str]) -> None:
    """Nobody has to know before the act."""


def _uncounted(taken: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One object to be written."""

    key: str
    #: None: it is empty.
    path: Path | None
    bytes: int
    sha256: str
    media_type: str
    #: Keys in lower case, with hyphens.
    metadata: Mapping[str, str]
    #: Whether an object that is there may be replaced.
    overwrite: bool
    #: To be called right before the act, with what a later look needs besides the key.
    begin: Callable[[Mapping[str, str]], None] = field(default=_unheard)
    #: Takes how many bytes the store has so far: see `Shipment.sent`.
    sent: Callable[[int], None] = field(default=_uncounted)

    def is_in(self, found: Found) -> bool:
        """Whether the object is this one; an older one of the same bytes will do, too."""
        ours = found.metadata.get(IDENTITY) == self.metadata[IDENTITY]
        same = (found.sha256 or found.metadata.get(SHA256)) == self.sha256
        return same and found.bytes == self.bytes and (ours or not self.overwrite)


class Store(Protocol):
    """One bucket or container. All verbs raise Temporary and Permanent alone."""

    #: Such as "s3://bucket", without a secret.
    url: str

    def find(self, key: str) -> Found | None: ...

    def write(self, item: Item, source: Source) -> None:
        """Call `item.begin`, then write. `Taken` if something is there and has to stay."""

    def abandon(self, intent: Mapping[str, str]) -> None:
        """Remove what an interrupted write left that is no object yet."""

    def link(self, key: str, expires: timedelta) -> str: ...

    def close(self) -> None: ...


class Source:
    """An artifact as a file to be read once.

    Each read asks whether to go on, and tells what was read before: stores read a part
    once they have taken the one before it. The last one proves that the bytes are what
    they were when the artifact was made.
    """

    def __init__(self, item: Item, go_on: Callable[[], None]) -> None:
        self._item = item
        self._go_on = go_on
        self._digest = hashlib.sha256()
        self._position = 0
        self._file = opened(item.path) if item.path else BytesIO()

    def read(self, size: int = -1) -> bytes:
        self._item.sent(self._position)
        self._go_on()
        chunk = self._file.read(size)
        self._digest.update(chunk)
        self._position += len(chunk)
        at_end = self._position >= self._item.bytes or (not chunk and size != 0)
        if at_end:
            check_unchanged(self._digest.hexdigest(), self._item.sha256)
        return chunk

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectDestination:
    """A destination (see core.ports) in front of one bucket or container."""

    means: Means
    #: From the destination's spec; raises RunErrors.
    open: Callable[[Any], Store]

    def deliver(
        self, shipments: Iterable[Shipment], cancel: Cancel
    ) -> Iterator[Outcome]:
        store: Store | None = None
        try:
            for shipment in shipments:
                cancel.check()
                try:
                    store = store or self.open(shipment.spec)
                    outcome = self._place(store, shipment, cancel)
                except (Temporary, Permanent) as error:
                    outcome = outcome_of(error)
                yield outcome
        finally:
            if store is not None:
                store.close()

    def probe(self, shipment: Shipment) -> Outcome | None:
        """An object that is there only needs its marker."""
        if not shipment.intent:
            return None
        try:
            with closing(self.open(shipment.spec)) as store:
                found = store.find(shipment.intent["key"])
                if found is not None and _item(shipment).is_in(found):
                    return self._place(store, shipment, Never())
                store.abandon(shipment.intent)
                return None
        except Permanent as error:
            # The store cannot be asked: the file may be there all the same.
            return Outcome(
                status=DeliveryStatus.UNCONFIRMED,
                reason=error.reason,
                message=error.told,
            )
        except Temporary as error:
            return outcome_of(error)

    def link(self, shipment: Shipment, expires: timedelta) -> str:
        with closing(self.open(shipment.spec)) as store:
            return store.link(_item(shipment).key, expires)

    def _place(self, store: Store, shipment: Shipment, cancel: Cancel) -> Outcome:
        """The file, then its marker."""
        item = _item(shipment)
        found = self._put(store, shipment, item, cancel)
        if shipment.spec.done_marker:
            self._put(store, shipment, _marker(shipment, item), cancel)
        return Outcome(
            status=DeliveryStatus.ACCEPTED,
            receipt=found.receipt,
            remote=f"{store.url}/{item.key}",
        )

    def _put(
        self, store: Store, shipment: Shipment, item: Item, cancel: Cancel
    ) -> Found:
        """The object, written unless it is there. Permanent `exists`, `not_kept`."""
        found = store.find(item.key)
        if found is not None and item.is_in(found):
            return found
        if found is not None and not item.overwrite:
            raise _taken(item, found)
        self.means.pace(shipment.spec.connection, cancel)
        failure = None
        try:
            with closing(Source(item, self._limit(shipment, cancel))) as source:
                store.write(item, source)
            item.sent(item.bytes)
        except Temporary as error:
            failure = error  # the act may have happened all the same
        found = store.find(item.key)
        if found is not None and item.is_in(found):
            return found
        if found is not None and not item.overwrite:
            raise _taken(item, found)
        detail = "the store said yes, and does not show the file as it was sent"
        raise failure or Permanent("not_kept", detail, "look at it there")

    def _limit(self, shipment: Shipment, cancel: Cancel) -> Callable[[], None]:
        """Raises once the delivery is cancelled or has taken too long."""
        timeout = self.means.connections[shipment.spec.connection].timeout
        clock = self.means.clock
        end = clock.monotonic() + timeout.total_seconds() if timeout else None

        def go_on() -> None:
            cancel.check()
            if end is not None and clock.monotonic() > end:
                detail = f"it took longer than the Connection's timeout ({timeout})"
                raise Temporary("timeout", detail)

        return go_on


def _item(shipment: Shipment) -> Item:
    """Permanent `bad_name`."""
    spec = shipment.spec
    wrong = names.check_relative(spec.prefix) if spec.prefix else ""
    if wrong:
        raise Permanent("bad_name", f"the prefix {spec.prefix!r} is refused: {wrong}")
    folder = names.key_folder(
        spec.prefix, spec.create_subdirs, shipment.occurrence, shipment.timezone
    )
    key = folder + names.sanitise(shipment.filename)
    metadata = {f"boe-{name}": text for name, text in shipment.provenance().items()}
    return Item(
        key=key,
        path=shipment.path,
        bytes=shipment.bytes,
        sha256=shipment.sha256,
        media_type=shipment.media_type,
        metadata=metadata | {IDENTITY: shipment.key.identity, SHA256: shipment.sha256},
        overwrite=spec.if_exists == "overwrite",
        begin=lambda more: shipment.begin({"key": key, **more}),
        sent=shipment.sent,
    )


def _marker(shipment: Shipment, item: Item) -> Item:
    folder, slash, name = item.key.rpartition("/")
    nothing = hashlib.sha256().hexdigest()
    return Item(
        key=folder + slash + names.marker_name(shipment.spec.done_marker, name),
        path=None,
        bytes=0,
        sha256=nothing,
        media_type="text/plain",
        metadata={**item.metadata, SHA256: nothing},
        overwrite=item.overwrite,
    )


def _taken(item: Item, found: Found) -> Permanent:
    return conflict(repr(item.key), run=found.metadata.get(RUN, ""))
