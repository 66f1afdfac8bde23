"""Notices through the destinations that deliver reports: mails and webhooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from boe_reconciler.core.bulletins import HTML
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.notices import Owed
from boe_reconciler.core.ports import Destination, Never, Shipment
from boe_reconciler.core.resources.distribution import (
    EmailDestination,
    WebhookDestination,
)
from boe_reconciler.core.runs import DeliveryKey, DeliveryStatus, Outcome
from boe_reconciler.core.shapes import shaped

#: The destination of a type, with the Connection of this name where it needs one.
Reach = Callable[[str, str | None], tuple[Destination, Any]]


def mails(reach: Reach) -> Callable[[Owed], None]:
    """Sends one notice to the address that it is for."""

    def send(owed: Owed) -> None:
        body = owed.body
        spec = EmailDestination.model_validate(
            {
                "type": "email",
                "connection": body["connection"],
                "to": [body["who"]],
                "subject": "{{ notice.subject }}",
                "text": "{{ notice.text }}",
                "html": HTML,
                "attach": False,
            }
        )
        destination, _ = reach("email", spec.connection)
        _deliver(destination, _shipment(owed, spec), owed)

    return send


def hooks(reach: Reach) -> Callable[[Owed], None]:
    """Tells one address, in the shape that it takes."""

    def send(owed: Owed) -> None:
        body = owed.body
        place = {key: body[key] for key in ("connection", "url") if body[key]}
        spec = WebhookDestination.model_validate({"type": "webhook", **place})
        destination, connection = reach("webhook", spec.connection)
        host = urlsplit(spec.url or connection.url).hostname or ""
        _deliver(destination, _shipment(owed, spec, shaped(host, body)), owed)

    return send


def _shipment(
    owed: Owed, spec: Any, payload: Mapping[str, Any] | None = None
) -> Shipment:
    return Shipment(
        # Each try of one notice has the same identity, and so the same Message-ID.
        key=DeliveryKey(
            run_id=owed.key,
            part="-",
            destination="notice",
            recipient=owed.body["who"],
        ),
        spec=spec,
        path=Path(),
        filename="",
        media_type="application/json",
        bytes=0,
        sha256="",
        rows=0,
        occurrence=owed.since,
        timezone=ZoneInfo("UTC"),
        context={"notice": owed.body},
        payload=payload,
    )


def _deliver(destination: Destination, shipment: Shipment, owed: Owed) -> None:
    for outcome in destination.deliver([shipment], Never()):
        _judge(outcome, owed.tries)


def _judge(outcome: Outcome, tries: int) -> None:
    """Raise unless it was sent."""
    words = outcome.message or outcome.reason
    match outcome.status:
        case DeliveryStatus.ACCEPTED:
            return
        case DeliveryStatus.DEFERRED:
            wait = outcome.retry_after
            pause = None if wait is None else timedelta(seconds=wait)
            raise Temporary(outcome.reason, words, delay=pause)
        case DeliveryStatus.UNCONFIRMED if not tries:
            raise Temporary(outcome.reason, words)
        case DeliveryStatus.UNCONFIRMED:
            # Twice is better than never; each quarter of an hour is not.
            return
    raise Permanent(outcome.reason, words)
