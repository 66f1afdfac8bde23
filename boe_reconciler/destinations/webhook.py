"""An HTTP address that is told of the run, signed as Standard Webhooks 1.0 says.

Accepted means: it answered 2xx. Where the answer is lost it is told again: the
webhook-id is the same for each attempt, and a receiver that knows it drops the second.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx

from boe_reconciler.core import hosts, retry
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.networks import is_public
from boe_reconciler.core.ports import Cancel, Means, SecretResolver, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome
from boe_reconciler.core.wording import printable
from boe_reconciler.destinations._artifacts import check_unchanged, opened
from boe_reconciler.destinations._outcomes import outcome_of

#: Seconds of silence, at most, unless the Connection's `timeout` is shorter.
PATIENCE = 30.0
CHUNK = 1 << 16
#: Of an answer's body, so many bytes are read and so many characters are told.
_READ, _TOLD = 4096, 300
#: Statuses below 500 that may pass.
_LATER = (408, 425, 429)
#: What httpx raises -> what it is here. All of it may pass.
_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (httpx.ConnectTimeout, "unreachable"),
    (httpx.ConnectError, "unreachable"),
    (httpx.TimeoutException, "timeout"),
    (httpx.TransportError, "connection_lost"),
)
Resolve = Callable[[str, int], list[str]]


def resolved(host: str, port: int) -> list[str]:
    """The addresses behind a name, the best first; OSError where there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(to[0]).partition("%")[0] for *_, to in found))


def create(means: Means) -> WebhookDestination:
    return WebhookDestination(means)


def check(connection: Any, secrets: SecretResolver) -> None:
    """Reach it, with its certificate, and tell it nothing: Temporary or Permanent."""
    receiver = _of(connection, secrets)
    try:
        line = socket.create_connection((receiver.host, receiver.port), PATIENCE)
        with line:
            if receiver.url.scheme == "https":
                _trusted().wrap_socket(line, server_hostname=receiver.host).close()
    except (OSError, UnicodeError) as error:
        detail = f"{receiver.told}: {printable(str(error))}"
        raise Temporary("unreachable", detail) from error


class WebhookDestination:
    def __init__(self, means: Means, resolve: Resolve = resolved) -> None:
        self._means = means
        self._resolve = resolve

    def deliver(
        self, shipments: Iterable[Shipment], cancel: Cancel
    ) -> Iterator[Outcome]:
        for shipment in shipments:
            cancel.check()
            try:
                yield self._tell(shipment, cancel)
            except (Temporary, Permanent) as error:
                cancel.check()
                yield outcome_of(error)

    def probe(self, shipment: Shipment) -> Outcome | None:
        """It is told again with the same id."""
        return None

    def _tell(self, shipment: Shipment, cancel: Cancel) -> Outcome:
        spec = shipment.spec
        if spec.connection is None:
            receiver = _receiver(spec.url)
        else:
            connection = self._means.connections[spec.connection]
            receiver = _of(connection, self._means.secrets)
            self._means.pace(spec.connection, cancel)
        addresses = self._addresses(receiver)
        now = self._means.clock.now()
        intent = shipment.intent or {"at": now.isoformat(timespec="seconds")}
        body = _body(shipment, intent["at"])
        if body.path is not None:
            _check_unchanged(shipment)
        headers = _signed(receiver, body, shipment.key.identity, now)
        shipment.begin(intent)
        line = _Line(receiver, cancel, self._means.clock.monotonic, shipment.sent)
        return _outcome(receiver, line.post(addresses, body, headers), now)

    def _addresses(self, receiver: _Receiver) -> list[IPv4Address | IPv6Address]:
        """Resolved once: these are checked, and these are connected to."""
        host = receiver.host
        if not hosts.is_allowed(host, self._means.hosts):
            detail = f"{host} may not be reached"
            raise Permanent("host_refused", detail, "see allow.hosts in policy.yaml")
        try:
            found = [ip_address(one) for one in self._resolve(host, receiver.port)]
        except (OSError, UnicodeError) as error:
            raise Temporary("unreachable", f"the name {host} is not known") from error
        if not found:
            raise Temporary("unreachable", f"the name {host} has no address")
        for one in found:
            if not self._means.private_addresses and not is_public(one):
                detail = f"{host} leads to {one}, which is no public address"
                todo = "allow.private_addresses in policy.yaml would allow it"
                raise Permanent("host_refused", detail, todo)
        return found


# --- To whom ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Receiver:
    url: httpx.URL
    #: What messages are signed with; none: they are not.
    secrets: tuple[bytes, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Seconds that all of it may take.
    limit: float | None = None

    @property
    def host(self) -> str:
        return self.url.raw_host.decode()

    @property
    def port(self) -> int:
        return self.url.port or (443 if self.url.scheme == "https" else 80)

    @property
    def told(self) -> str:
        """All that may be told of the address: the rest of it may be a key."""
        return _origin(self.url)


def _of(connection: Any, secrets: SecretResolver) -> _Receiver:
    given = connection.secret or []
    references = given if isinstance(given, list) else [given]
    limit = connection.timeout.total_seconds() if connection.timeout else None
    return _receiver(
        connection.url,
        secrets=tuple(_key(secrets.resolve(one)) for one in references),
        headers=connection.headers,
        limit=limit,
    )


def _receiver(url: str, **given: Any) -> _Receiver:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise Permanent("bad_url", "the webhook's url is no web address") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Permanent("bad_url", "the webhook's url is no http or https address")
    return _Receiver(url=parsed, **given)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def _key(secret: str) -> bytes:
    """Behind `whsec_` it is base64, as Standard Webhooks writes it."""
    text = secret.removeprefix("whsec_")
    if text == secret:
        return secret.encode()
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        detail = "a secret that begins with whsec_ goes on in base64"
        raise Permanent("bad_secret", detail) from error


# --- What -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Body:
    """Read anew each time, in pieces."""

    media_type: str
    before: bytes
    path: Path | None = None
    #: Of the file, in bytes.
    size: int = 0
    after: bytes = b""

    @property
    def length(self) -> int:
        return len(self.before) + self.size + len(self.after)

    def __iter__(self) -> Iterator[bytes]:
        yield self.before
        if self.path is not None:
            with opened(self.path) as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        yield self.after


def _body(shipment: Shipment, at: str) -> _Body:
    said = shipment.payload or _event(shipment, at)
    event = json.dumps(said, ensure_ascii=False, default=_plain)
    if shipment.spec.send == "event" or shipment.marks.notice is not None:
        return _Body(
            media_type="application/json", before=event.encode(errors="replace")
        )
    boundary = f"boe-{shipment.key.identity}"
    name = printable(shipment.filename).replace('"', "%22")
    before = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="event"\r\n'
        f"Content-Type: application/json\r\n\r\n{event}\r\n"
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {shipment.media_type}\r\n\r\n"
    )
    return _Body(
        media_type=f"multipart/form-data; boundary={boundary}",
        before=before.encode(errors="replace"),
        path=shipment.path,
        size=shipment.bytes,
        after=f"\r\n--{boundary}--\r\n".encode(),
    )


def _event(shipment: Shipment, at: str) -> Mapping[str, Any]:
    context, key, marks = shipment.context, shipment.key, shipment.marks
    file = {
        "name": shipment.filename,
        "media_type": shipment.media_type,
        "bytes": shipment.bytes,
        "sha256": shipment.sha256,
    }
    return {
        "type": "boe.report.delivered",
        "timestamp": at,
        "data": {
            "run": key.run_id,
            "schedule": context.get("schedule"),
            "report": context.get("report"),
            "destination": key.destination,
            "part": None if key.part == "-" else key.part,
            "occurrence": {
                "utc": shipment.occurrence.astimezone(UTC),
                "local": shipment.occurrence.astimezone(shipment.timezone),
                "timezone": str(shipment.timezone),
            },
            "period": _period(context.get("period")),
            "parameters": context.get("parameters", {}),
            "rows": shipment.rows,
            "file": file if marks.notice is None else None,
            "notice": marks.notice,
            "links": {"file": shipment.link} if shipment.link else {},
            "corrected": marks.corrected,
            "rerun_of": marks.rerun_of,
            "redirected_by": marks.redirected_by,
            "notes": list(marks.notes),
        },
    }


def _period(period: Any) -> Mapping[str, Any] | None:
    if period is None:
        return None
    return {"name": str(period), "start": period.start, "end": period.end}


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _signed(
    receiver: _Receiver, body: _Body, identity: str, now: datetime
) -> httpx.Headers:
    """The Connection's headers and, over them, ours. Permanent `bad_request`."""
    stamp = str(int(now.timestamp()))
    try:
        headers = httpx.Headers(dict(receiver.headers))
    except UnicodeEncodeError as error:
        detail = f"a header holds {printable(error.object[error.start])!r}"
        raise Permanent("bad_request", detail, "write headers in ASCII") from error
    headers.update(
        {
            "host": receiver.url.netloc.decode(),
            "user-agent": "boe",
            "accept-encoding": "identity",
            "content-type": body.media_type,
            "content-length": str(body.length),
            "webhook-id": identity,
            "webhook-timestamp": stamp,
        }
    )
    if receiver.secrets:
        signatures = _signatures(receiver.secrets, f"{identity}.{stamp}.", body)
        headers["webhook-signature"] = " ".join(signatures)
    return headers


def _signatures(secrets: Iterable[bytes], head: str, body: _Body) -> list[str]:
    """One for each secret, over the body's very bytes."""
    sums = [hmac.new(key, head.encode(), hashlib.sha256) for key in secrets]
    for chunk in body:
        for each in sums:
            each.update(chunk)
    return [f"v1,{base64.b64encode(each.digest()).decode()}" for each in sums]


def _check_unchanged(shipment: Shipment) -> None:
    with opened(shipment.path) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    check_unchanged(found, shipment.sha256)


# --- The request ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    #: The beginning of its body.
    words: str


class _Line:
    """One request, which a cancel or the Connection's `timeout` ends."""

    def __init__(
        self,
        receiver: _Receiver,
        cancel: Cancel,
        now: Callable[[], float],
        sent: Callable[[int], None],
    ) -> None:
        self._receiver = receiver
        self._cancel = cancel
        self._now = now
        self._sent = sent
        self._end = now() + receiver.limit if receiver.limit else None
        self._stream: Any = None

    def post(
        self,
        addresses: Iterable[IPv4Address | IPv6Address],
        body: _Body,
        headers: httpx.Headers,
    ) -> _Answer:
        """The next address is tried where nobody answers at one."""
        with self._cancel.on_cancel(self._interrupt):
            for address in addresses:
                try:
                    return self._post(address, body, headers)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    last: Exception = error
                except (httpx.LocalProtocolError, ValueError) as error:
                    detail = f"no request can be made: {printable(str(error))}"
                    raise Permanent("bad_request", detail) from error
                except httpx.TransportError as error:
                    last = error
                    break
        raise self._translated(last) from last

    def _post(
        self, address: IPv4Address | IPv6Address, body: _Body, headers: httpx.Headers
    ) -> _Answer:
        receiver = self._receiver
        with (
            httpx.Client(
                verify=_trusted(),
                trust_env=False,
                follow_redirects=False,
                timeout=min(PATIENCE, receiver.limit or PATIENCE),
            ) as client,
            client.stream(
                "POST",
                receiver.url.copy_with(host=str(address)),
                headers=headers,
                content=self._pieces(body),
                extensions={"sni_hostname": receiver.host, "trace": self._trace},
            ) as answer,
        ):
            words = self._read(answer)
            return _Answer(
                status=answer.status_code, headers=answer.headers, words=words
            )

    def _pieces(self, body: _Body) -> Iterator[bytes]:
        position = -len(body.before)
        for chunk in body:
            self._look()
            yield chunk
            position += len(chunk)
            self._sent(min(max(position, 0), body.size))

    def _read(self, answer: httpx.Response) -> str:
        read = b""
        # What was answered counts, however its words end.
        with suppress(httpx.TransportError):
            for chunk in answer.iter_raw():
                read += chunk
                if len(read) >= _READ or (self._end and self._now() > self._end):
                    break
        return read[:_READ].decode(errors="replace")

    def _look(self) -> None:
        self._cancel.check()
        if self._end is not None and self._now() > self._end:
            detail = f"it took longer than the {self._receiver.limit:.0f} s it may"
            raise Temporary("timeout", detail)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpx, with the connection once there is one."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._stream = info["return_value"]

    def _interrupt(self) -> None:
        """From another thread: whoever waits for the far side gets an error."""
        if self._stream is not None:
            with suppress(OSError):
                self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def _translated(self, error: Exception) -> RunError:
        reason = next(reason for kind, reason in _ERRORS if isinstance(error, kind))
        words = printable(str(error)) or "no answer"
        return Temporary(reason, f"{self._receiver.told}: {words}")


@cache
def _trusted() -> Any:
    """The certificates of the machine; reading them takes 0.1 s."""
    return httpx.create_ssl_context()


# --- The answer -------------------------------------------------------------------


def _outcome(receiver: _Receiver, answer: _Answer, now: datetime) -> Outcome:
    status, told = answer.status, receiver.told
    said = _hidden(receiver, printable(answer.words))
    message = f"{told} answers {status}" + (f": {said}" if said else "")
    if 200 <= status < 300:
        return Outcome(
            status=DeliveryStatus.ACCEPTED, receipt=f"HTTP {status}", remote=told
        )
    if status in _LATER or status >= 500:
        wait = retry.asked(answer.headers, now)
        return Outcome(
            status=DeliveryStatus.DEFERRED,
            reason=f"http_{status}",
            message=message,
            retry_after=wait.total_seconds() if wait else None,
        )
    reason, message = _refusal(receiver, answer, message)
    return Outcome(status=DeliveryStatus.FAILED, reason=reason, message=message)


def _refusal(receiver: _Receiver, answer: _Answer, message: str) -> tuple[str, str]:
    if answer.status == 410:
        todo = "it wants no more: take the destination out, or give its new address"
        return "gone", f"{message} ({todo})"
    if answer.status < 400:
        where = "nowhere"
        with suppress(httpx.InvalidURL, ValueError):
            location = answer.headers.get("location", "")
            where = _origin(receiver.url.join(location)) if location else where
        detail = f"{receiver.told} answers {answer.status} and points to {where}"
        todo = "a redirect is never followed: give the final address"
        return "redirected", f"{detail} ({todo})"
    return f"http_{answer.status}", message


def _hidden(receiver: _Receiver, words: str) -> str:
    """The far side's words without what it was asked for: that may be a key."""
    url = receiver.url
    parts = [url.userinfo.decode(), url.query.decode(), *url.path.split("/")]
    parts += [value for _, value in url.params.multi_items()]
    for part in sorted(
        {each for one in parts for each in (one, unquote(one))}, key=len, reverse=True
    ):
        if len(part) >= 4:
            words = words.replace(part, "***")
    return words[:_TOLD]
