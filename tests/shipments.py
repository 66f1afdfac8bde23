"""What a destination gets in tests: means to work with, and something to deliver."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from boe_reconciler.blobs import folder
from boe_reconciler.clock import SystemClock
from boe_reconciler.core.ports import Cancel, Means, Shipment
from boe_reconciler.core.resources.connection import CONNECTIONS
from boe_reconciler.core.resources.distribution import DESTINATIONS
from boe_reconciler.core.runs import DeliveryKey
from boe_reconciler.secrets import references

CONTENT = b"carrier,flights\nUA,58665\n"


def means(home: Path, **given: Any) -> Means:
    """In a folder of its own; `connections` are plain values, secrets are {env: NAME}
    of `environment`."""
    environment: Mapping[str, str] = given.pop("environment", {})
    connections = given.pop("connections", {})
    blobs = folder.create(home / "blobs")
    found: dict[str, Any] = {
        "connections": {
            name: CONNECTIONS[spec["type"]].model_validate(spec)
            for name, spec in connections.items()
        },
        "secrets": references.create(
            environment=environment,
            data_root=home,
            sops_key_file=None,
            read_blob=blobs.read,
        ),
        "blobs": blobs,
        "clock": SystemClock(),
        "local_root": home,
        "pace": unhurried,
    }
    return Means(**(found | given))


def unhurried(connection: str, cancel: Cancel) -> None:
    """No rate is set."""


@dataclass
class Begun:
    """Keeps what is stored before the act, as the ledger does."""

    intents: list[Mapping[str, str]] = field(default_factory=list)

    def __call__(self, intent: Mapping[str, str]) -> None:
        # The ledger keeps it as JSON.
        self.intents.append(json.loads(json.dumps(dict(intent))))


def a_shipment(home: Path, spec: Mapping[str, Any], **given: Any) -> Shipment:
    """One delivery of `content` to the destination that `spec` describes."""
    content: bytes = given.pop("content", CONTENT)
    run_id = given.pop("run_id", "daily.20261124T053000Z")
    recipient = given.pop("recipient", "-")
    path = home / f"{run_id}.{recipient}.file"
    path.write_bytes(content)
    found: dict[str, Any] = {
        "key": DeliveryKey(
            run_id=run_id, part="-", destination="there", recipient=recipient
        ),
        "spec": DESTINATIONS[spec["type"]].model_validate(dict(spec)),
        "path": path,
        "filename": "carriers.csv",
        "media_type": "text/csv",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": 1,
        "occurrence": datetime(2026, 11, 24, 5, 30, tzinfo=UTC),
        "timezone": ZoneInfo("Europe/Berlin"),
        "begin": Begun(),
    }
    return Shipment(**(found | given))
