"""A far side that takes what it gets and cannot be asked about it later, like a mail.

For tests: no YAML names it. Each file that arrives lies in a folder of its own name,
so that two arrivals of one delivery are two files.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from secrets import token_hex

from boe_reconciler.core.ports import Cancel, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome


def create(*, letterbox: Path) -> BlindDestination:
    return BlindDestination(letterbox)


class BlindDestination:
    def __init__(self, letterbox: Path) -> None:
        self._letterbox = letterbox

    def deliver(
        self, shipments: Iterable[Shipment], cancel: Cancel
    ) -> Iterator[Outcome]:
        for shipment in shipments:
            cancel.check()
            shipment.begin({"name": shipment.filename})
            self._hand_over(shipment)
            yield Outcome(status=DeliveryStatus.ACCEPTED)

    def probe(self, shipment: Shipment) -> Outcome | None:
        """It may have arrived: only a person can ask there."""
        return Outcome(
            status=DeliveryStatus.UNCONFIRMED,
            reason="answer_lost",
            message="BOE stopped before the far side answered",
        )

    def _hand_over(self, shipment: Shipment) -> None:
        arrival = self._letterbox / shipment.key.identity / token_hex(8)
        arrival.mkdir(parents=True)
        shutil.copyfile(shipment.path, arrival / shipment.filename)
