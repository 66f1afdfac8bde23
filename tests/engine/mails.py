"""Mails in the small world: to a far side that takes them and can be told what to answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from boe_reconciler.core.runs import Delivery, DeliveryStatus, Outcome, RunRecord
from boe_reconciler.core.spec import RunSpec
from boe_reconciler.destinations.blind import BlindDestination
from tests.engine.world import World, a_spec

ANNA, BOB, CARL = (f"{name}@example.com" for name in ("anna", "bob", "carl"))
BUSY = Outcome(status=DeliveryStatus.DEFERRED, reason="greylisted", message="451 later")
REFUSED = Outcome(status=DeliveryStatus.REFUSED, reason="refused", message="550 no")
#: Types whose far side is this one.
BLIND = ("email", "s3", "webhook")
SILENT = Outcome(status=DeliveryStatus.UNCONFIRMED, reason="answer_lost")


def a_mail(to: Any, name: str = "mail", **fields: Any) -> dict[str, Any]:
    """A planned destination; `given` are fields of the plan, the others of the mail."""
    given = fields.pop("given", {})
    spec = {"type": "email", "connection": "mail", "subject": "s", "to": to, **fields}
    return {"key": f"team/{name}", "distribution": "team", "spec": spec, **given}


def a_folder(name: str = "folder", **fields: Any) -> dict[str, Any]:
    spec = {"type": "local", "base_path": "exports", **fields}
    return {"key": f"archive/{name}", "distribution": "archive", "spec": spec}


def mailing(
    *planned: Mapping[str, Any], query: str = "select 1 as one", **fields: Any
) -> RunSpec:
    """`resolved` are fields of the RunSpec, the others of the Schedule."""
    more = {
        "connections": {"mail": {"type": "smtp", "host": "mail.example.com"}},
        **fields.pop("resolved", {}),
    }
    return a_spec(query, resolved={"destinations": list(planned), **more}, **fields)


class Post:
    """The far side of all mails of a world."""

    def __init__(self, world: World) -> None:
        self.far_side = BlindDestination(world.root / "letterbox")
        self._world = world
        real = world.backends.destination

        def destination(kind: str, *given: Any) -> Any:
            return self.far_side if kind in BLIND else real(kind, *given)

        world.backends.destination = destination  # type: ignore[method-assign]  # of this world

    def answers(self, **answers: list[Outcome]) -> None:
        """By the part of the address before the @."""
        self.far_side.answers = {
            f"{name}@example.com": list(given) for name, given in answers.items()
        }

    @property
    def got(self) -> dict[str, int]:
        """How often something of the first run arrived, by recipient."""
        keys = [one.key for one in self.far_side.taken]
        own = {key.identity: key for key in keys if key.run_id == keys[0].run_id}
        letters = (self._world.root / "letterbox").glob("*/*")
        found = [own.get(path.parent.name) for path in letters]
        return Counter(key.recipient for key in found if key is not None)


def by_recipient(record: RunRecord) -> dict[str, Delivery]:
    return {one.key.recipient: one for one in record.deliveries}


def states(record: RunRecord) -> dict[str, str]:
    return {one.key.recipient: one.status.value for one in record.deliveries}
