"""The pages: /metrics, /healthz, /readyz."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from boe_reconciler.core.health import Health
from boe_reconciler.web.server import Page, Render

#: Asks how it is now.
Ask = Callable[[], Health]


def pages(
    registry: CollectorRegistry, *, alive: Ask, ready: Ask
) -> Mapping[str, Render]:
    return {
        "/metrics": lambda accept: _metrics(registry, accept),
        "/healthz": lambda _: _health("alive", alive()),
        "/readyz": lambda _: _health("ready", ready()),
    }


def _metrics(registry: CollectorRegistry, accept: str) -> Page:
    encode, media_type = choose_encoder(accept)
    return Page(status=HTTPStatus.OK, media_type=media_type, body=encode(registry))


def _health(word: str, health: Health) -> Page:
    """200 if all is well, else 503 and why."""
    told = {
        word: health.well,
        "reason": health.reason,
        "message": health.message,
        "step_age_seconds": health.step_age,
        "tick_age_seconds": health.tick_age,
    }
    status = HTTPStatus.OK if health.well else HTTPStatus.SERVICE_UNAVAILABLE
    body = (json.dumps(told) + "\n").encode()
    return Page(status=status, media_type="application/json", body=body)
