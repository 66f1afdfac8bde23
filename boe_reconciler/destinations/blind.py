"""A far side that takes what it gets and cannot be asked about it later, like a mail.

For tests: no YAML names it. Each file that arrives lies in a folder of its own name,
so that two arrivals of one delivery are two files. What it answers to a recipient can be
said before.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from secrets import token_hex

from boe_reconciler.core.ports import Cancel, Shipment
from boe_reconciler.core.runs import DeliveryStatus, Outcome

#: Of what nobody knows, this one knows more.
_ARRIVED = (DeliveryStatus.ACCEPTED, DeliveryStatus.UNCONFIRMED)
UNREACHABLE = Outcome(
    status=DeliveryStatus.DEFERRED, reason="unreachable", message="Nobody answers."
)
BUSY = Outcome(status=DeliveryStatus.DEFERRED, reason="mailbox_busy", message="450")
ACCEPTED = Outcome(status=DeliveryStatus.ACCEPTED)


def create(*, letterbox: Path) -> BlindDestination:
    return BlindDestination(letterbox)


def _unmoved(shipment: Shipment) -> None:
    """Nothing happens."""


@dataclass
class BlindDestination:
    _letterbox: Path
    #: By recipient, in order; when none is left it accepts.
    answers: Mapping[str, list[Outcome]] = field(default_factory=dict)
    #: Recipients for whom it fails before anything is begun.
    unreachable: set[str] = field(default_factory=set)
    #: Recipients whom it tells to come back later, before anything is begun.
    busy: set[str] = field(default_factory=set)
    #: What every attempt got, in order; the last of them may not have arrived.
    taken: list[Shipment] = field(default_factory=list)
    #: Called with each, before anything else.
    on_taken: Callable[[Shipment], None] = _unmoved

    def deliver(
        self, shipments: Iterable[Shipment], cancel: Cancel
    ) -> Iterator[Outcome]:
        for shipment in shipments:
            cancel.check()
            self.taken.append(shipment)
            self.on_taken(shipment)
            if shipment.key.recipient in self.unreachable:
                yield UNREACHABLE
                continue
            if shipment.key.recipient in self.busy:
                yield BUSY
                continue
            shipment.begin({**shipment.intent, "name": shipment.filename})
            left = self.answers.get(shipment.key.recipient)
            answer = left.pop(0) if left else ACCEPTED
            if answer.status in _ARRIVED:
                self._hand_over(shipment)
            yield answer

    def probe(self, shipment: Shipment) -> Outcome | None:
        """It may have arrived: only a person can ask there."""
        return Outcome(
            status=DeliveryStatus.UNCONFIRMED,
            reason="answer_lost",
            message="BOE stopped before the far side answered",
        )

    def link(self, shipment: Shipment, expires: timedelta) -> str:
        return f"https://far.example/{shipment.filename}?for={expires}"

    def _hand_over(self, shipment: Shipment) -> None:
        arrival = self._letterbox / shipment.key.identity / token_hex(8)
        arrival.mkdir(parents=True)
        shutil.copyfile(shipment.path, arrival / shipment.filename)
