"""A folder behind SFTP.

Accepted means: the server answered to every write and to the close, it tells the right
size, and the file has its final name. The intent keeps how far it came, so that a lost
answer is told from one that never was asked for:

- `write`: bytes are on their way, under a temporary name unless `atomic: false`. Sent
  again, after what is left of it is removed.
- `name`: all bytes are there and the last step is asked for. A look decides.
- `marker`: the file is delivered; only its done_marker may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from secrets import token_hex
from typing import Any, BinaryIO

from boe_reconciler.core import hosts, names
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Cancel, Means, Never, SecretResolver, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.destinations import _ssh
from boe_reconciler.destinations._artifacts import check_unchanged, opened
from boe_reconciler.destinations._outcomes import conflict, outcome_of

#: Seconds of silence of a server, at most, unless the Connection's `timeout` is shorter.
PATIENCE = 30.0
#: Seconds that cleaning up after a cancel may wait for an answer.
FAREWELL = 5.0


def create(means: Means) -> SftpDestination:
    return SftpDestination(means)


def check(connection: Any, secrets: SecretResolver) -> None:
    """Log in, and nothing else: Temporary or Permanent when that fails."""
    _ssh.connect(_login(connection, secrets, PATIENCE)).close()


def _login(connection: Any, secrets: SecretResolver, patience: float) -> _ssh.Login:
    def secret(reference: Any) -> str | None:
        return secrets.resolve(reference) if reference else None

    limit = connection.timeout.total_seconds() if connection.timeout else patience
    return _ssh.Login(
        host=connection.host,
        port=connection.port,
        user=connection.user,
        host_key=connection.host_key,
        password=secret(connection.password),
        private_key=secret(connection.private_key),
        patience=min(patience, limit),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """An intent, taken apart."""

    folder: str
    name: str
    #: In the same folder; empty where bytes go under the final name.
    temporary: str
    #: How far it came: write, name, marker.
    step: str = "write"
    #: What had the final name before: its size and time.
    before: str = ""

    @property
    def final(self) -> str:
        return f"{self.folder}/{self.name}"

    @property
    def written(self) -> str:
        """Where the bytes go."""
        return f"{self.folder}/{self.temporary}" if self.temporary else self.final


class SftpDestination:
    def __init__(self, means: Means) -> None:
        self._means = means

    def deliver(
        self, shipments: Iterable[Shipment], cancel: Cancel
    ) -> Iterator[Outcome]:
        line = _Line(self._means)
        try:
            for shipment in shipments:
                cancel.check()
                yield _Act(line, shipment, cancel).outcome()
        finally:
            line.close()

    def probe(self, shipment: Shipment) -> Outcome | None:
        """A look decides; what is left of an attempt that was cut short is removed."""
        if not shipment.intent:
            return None
        line = _Line(self._means)
        try:
            return _Act(line, shipment, Never()).settled()
        finally:
            line.close()


class _Line:
    """The session that all shipments use, made anew when it broke."""

    def __init__(self, means: Means) -> None:
        self.means = means
        self._session: _ssh.Session | None = None
        # Asked again and again, a server locks the user out.
        self._refused: Permanent | None = None

    def session(self, name: str, patience: float = PATIENCE) -> _ssh.Session:
        if self._refused is not None:
            raise self._refused
        if self._session is None or not self._session.alive:
            try:
                self._session = self._connect(self.means.connections[name], patience)
            except Permanent as error:
                self._refused = error
                raise
        return self._session

    def _connect(self, connection: Any, patience: float) -> _ssh.Session:
        if not hosts.is_allowed(connection.host, self.means.hosts):
            detail = f"{connection.host} may not be reached"
            raise Permanent("host_refused", detail, "see allow.hosts in policy.yaml")
        return _ssh.connect(_login(connection, self.means.secrets, patience))

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


class _Act:
    """One delivery."""

    def __init__(self, line: _Line, shipment: Shipment, cancel: Cancel) -> None:
        self._line = line
        self._shipment = shipment
        self._spec = shipment.spec
        self._cancel = cancel
        self._connection = line.means.connections[self._spec.connection]
        self._clock = line.means.clock
        #: What was begun last.
        self._place = _Place(**shipment.intent) if shipment.intent else None

    def outcome(self) -> Outcome:
        try:
            with opened(self._shipment.path) as source:
                self._line.means.pace(self._spec.connection, self._cancel)
                return self._delivered(source)
        except (Temporary, Permanent) as error:
            return self._after(error)
        except BaseException:
            self._sweep()
            raise

    def settled(self) -> Outcome | None:
        """What became of the intent; None: nothing of it is left."""
        try:
            return self._earlier(self._session())
        except (Temporary, Permanent) as error:
            return self._told(error)

    # --- Its steps ----------------------------------------------------------------

    def _delivered(self, source: BinaryIO) -> Outcome:
        session = self._session()
        with self._cancel.on_cancel(session.close):
            earlier = self._earlier(session)
            if earlier is not None:
                return earlier
            place = self._chosen(session)
            if place.step == "write":
                self._begin(place)
                self._write(session, source)
                self._name(session)
            return self._finish(session)

    def _earlier(self, session: _ssh.Session) -> Outcome | None:
        place = self._place
        if place is None:
            return None
        if place.step == "marker":
            return self._finish(session)
        if place.step == "name":
            known = self._named(session, place)
            if known is not None:
                return known
            self._step("write")  # stored first: without its temporary nobody could tell
        if place.temporary:
            session.remove(place.written)
        return None

    def _named(self, session: _ssh.Session, place: _Place) -> Outcome | None:
        """Whether the file got its name; None: it did not, for sure."""
        if place.temporary and session.stat(place.written) is not None:
            return None
        found = session.stat(place.final)
        if found is None:
            detail = f"{place.final} is not there: somebody may have taken it already"
            return _unconfirmed(detail)
        if found.st_size == self._shipment.bytes and _look(found) != place.before:
            return self._finish(session)
        if not place.temporary:
            return None
        return _unconfirmed(f"{place.final} is another file by now")

    def _chosen(self, session: _ssh.Session) -> _Place:
        """The names, after a look at what is there. Permanent `exists`."""
        place = self._wanted()
        found = session.stat(place.final)
        if found is None:
            return place
        if self._spec.if_exists == "overwrite":
            return replace(place, before=_look(found))
        if self._has_our_bytes(session, place, found.st_size):
            # Ours, from before the ledger was restored, say.
            self._begin(replace(place, step="marker"))
            return self._begun
        if not self._is_own_half(place, found.st_size):
            raise conflict(place.final)
        return place

    def _has_our_bytes(self, session: _ssh.Session, place: _Place, size: int) -> bool:
        shipment = self._shipment
        return size == shipment.bytes and session.digest(place.final) == shipment.sha256

    def _wanted(self) -> _Place:
        path = self._spec.base_path
        wrong = names.check_remote_path(path)
        if wrong:
            detail = f"the folder {path!r} is refused: {wrong}"
            raise Permanent("bad_folder", detail)
        folder = path.rstrip("/")
        if self._spec.create_subdirs:
            shipment = self._shipment
            day = names.dated_folder(shipment.occurrence, shipment.timezone)
            folder = f"{folder}/{day}"
        hidden = f".boe-{self._shipment.key.identity[:16]}-{token_hex(4)}"
        return _Place(
            folder=folder,
            name=names.sanitise(self._shipment.filename),
            temporary=hidden if self._spec.atomic else "",
        )

    def _is_own_half(self, place: _Place, size: int) -> bool:
        """Whether an earlier attempt began this file itself, under its final name."""
        earlier = self._place
        return (
            earlier is not None
            and not earlier.temporary
            and earlier.final == place.final
            and size <= self._shipment.bytes
        )

    def _write(self, session: _ssh.Session, source: BinaryIO) -> None:
        place = self._begun
        session.make_folders(place.folder)
        half = not place.temporary and self._shipment.intent
        digest = session.write(
            place.written,
            source,
            new=self._spec.if_exists == "error" and not half,
            between=self._between(),
            last=lambda: None if place.temporary else self._step("name"),
        )
        self._shipment.sent(self._shipment.bytes)
        check_unchanged(digest, self._shipment.sha256)
        self._check_size(session)

    def _check_size(self, session: _ssh.Session) -> None:
        try:
            found = session.stat(self._begun.written)
        except Permanent:
            if self._begun.temporary:
                raise
            return  # a drop-box that shows nothing
        if found is None and not self._begun.temporary:
            return  # taken already
        if found is None or found.st_size != self._shipment.bytes:
            size = "nothing" if found is None else f"{found.st_size} bytes"
            detail = f"the server has {size} of {self._shipment.bytes} bytes"
            raise Temporary("size_differs", detail)

    def _name(self, session: _ssh.Session) -> None:
        place = self._begun
        if not place.temporary:
            return
        self._step("name")
        overwrite = self._spec.if_exists == "overwrite"
        rename = session.replace if overwrite else session.rename
        try:
            rename(place.written, place.final)
        except _ssh.Status as error:
            self._refused(session, error)

    def _refused(self, session: _ssh.Session, error: _ssh.Status) -> None:
        """A rename that was answered badly: a look tells why, or that it happened."""
        place = self._begun
        if session.stat(place.written) is None:
            return
        self._step("write")  # it has no name, for sure
        if session.stat(place.final) is not None and self._spec.if_exists == "error":
            raise conflict(place.final) from error
        raise error.translated(self._connection.host) from error

    def _finish(self, session: _ssh.Session) -> Outcome:
        """The marker last: from here on the data is never sent again."""
        place, server = self._begun, self._connection
        if self._spec.done_marker:
            if place.step != "marker":
                self._step("marker")
            self._mark(session)
        return Outcome(
            status=DeliveryStatus.ACCEPTED,
            receipt=f"sha256:{self._shipment.sha256}",
            remote=names.sftp_url(server.host, server.port, place.final),
        )

    def _mark(self, session: _ssh.Session) -> None:
        place = self._begun
        marker = names.marker_name(self._spec.done_marker, place.name)
        sums = f"{self._shipment.sha256}  {place.name}\n".encode()
        session.write(
            f"{place.folder}/{marker}",
            BytesIO(sums if marker.endswith(".sha256") else b""),
            new=False,
            between=lambda _: self._cancel.check(),
            last=lambda: None,
        )

    # --- What goes with them --------------------------------------------------------

    def _session(self) -> _ssh.Session:
        return self._line.session(self._spec.connection)

    @property
    def _begun(self) -> _Place:
        assert self._place is not None  # noqa: S101 every step comes after `begin`
        return self._place

    def _begin(self, place: _Place) -> None:
        # First here: what may be stored already is not swept away.
        self._place = place
        self._shipment.begin(asdict(place))

    def _step(self, step: str) -> None:
        self._begin(replace(self._begun, step=step))

    def _between(self) -> Any:
        """Tells how far it is; looks for a cancel, and at the time that the Connection
        gives a delivery."""
        limit = self._connection.timeout
        end = self._clock.monotonic() + limit.total_seconds() if limit else None

        def look(taken: int) -> None:
            self._shipment.sent(taken)
            self._cancel.check()
            if end is not None and self._clock.monotonic() > end:
                raise Temporary("timeout", f"it took longer than {limit}")

        return look

    def _after(self, error: Temporary | Permanent) -> Outcome:
        """Of an attempt that failed; a lost answer is looked for at once."""
        if error.reason in ("timeout", "connection_lost"):
            self._line.close()
        try:
            self._cancel.check()
        except BaseException:
            self._sweep()
            raise
        if isinstance(error, Temporary) and self._place and self._place.step == "name":
            return self.settled() or outcome_of(error)
        self._sweep()
        return self._told(error)

    def _told(self, error: Temporary | Permanent) -> Outcome:
        """What failed for good while an answer was missing: nobody knows any more."""
        outcome = outcome_of(error)
        asked = self._place is not None and self._place.step == "name"
        if asked and outcome.status is DeliveryStatus.FAILED:
            return replace(outcome, status=DeliveryStatus.UNCONFIRMED)
        return outcome

    def _sweep(self) -> None:
        """Remove the temporary file, as far as it goes; the next attempt does, too."""
        place = self._place
        if place is None or place.step != "write" or not place.temporary:
            return
        with suppress(RunError):
            session = self._line.session(self._spec.connection, FAREWELL)
            session.remove(place.written)


def _look(found: Any) -> str:
    return f"{found.st_size} {found.st_mtime}"


def _unconfirmed(detail: str) -> Outcome:
    return Outcome(
        status=DeliveryStatus.UNCONFIRMED, reason="answer_lost", message=detail
    )
