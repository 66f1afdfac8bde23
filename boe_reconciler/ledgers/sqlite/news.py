"""News of mails, and the suppression list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, literal_column, select, text

from boe_reconciler.core.records import from_columns
from boe_reconciler.core.runs import Delivery, DeliveryEvent, DeliveryKey
from boe_reconciler.core.suppression import Suppression
from boe_reconciler.ledgers.sqlite.bulk import Bulk, Reading, among, by_run
from boe_reconciler.ledgers.sqlite.schedules import upsert
from boe_reconciler.ledgers.sqlite.sweeping import Sweeping
from boe_reconciler.ledgers.sqlite.tables import (
    columns,
    deliveries,
    news,
    placeless,
    suppressions,
    values,
)

KEY = ("run_id", "part", "destination", "recipient", "copy")
_ROWID: Any = literal_column("rowid")
_PUT = Bulk(insert(news), news.c.keys(), {name: f"key.{name}" for name in KEY})
_OF_RUNS = Reading(select(news).where(among(news.c.run_id, "run_ids")).order_by(_ROWID))
_BAD = Reading(
    select(news)
    .where(
        text("news.kind IN ('bounced', 'complained')"),
        news.c.at >= bindparam("since"),
    )
    .order_by(news.c.at.desc(), news.c.digest.desc())
    .limit(bindparam("most"))
)
_HEARD = Reading(select(news.c.digest).where(news.c.digest == bindparam("digest")))
# As the indexes have it.
_MESSAGE_ID: Any = literal_column("json_extract(deliveries.intent, '$.message_id')")
_MAIL = Reading(
    placeless(deliveries)
    .where(
        _MESSAGE_ID.is_not(None),
        _MESSAGE_ID.between(bindparam("first"), bindparam("last")),
    )
    .limit(1)
)
_MAIL_OF = Reading(
    placeless(deliveries)
    .where(
        text("deliveries.type = 'email' AND deliveries.receipt IS NOT NULL"),
        deliveries.c.receipt == bindparam("receipt"),
    )
    .limit(1)
)
_CURRENT = (
    select(suppressions)
    .where(text("suppressions.ended_at IS NULL"))
    .order_by(suppressions.c.since, _ROWID)
)
_OF_MAILBOX = (
    select(suppressions)
    .where(suppressions.c.mailbox == bindparam("mailbox"))
    .order_by(_ROWID)
)
_RETURN_KEY = text("SELECT value FROM return_key")
_PUT_SUPPRESSION = upsert(suppressions, "suppression_id")


class Hearing(Sweeping):
    """The part of `SqliteStore` that is about what became of mails."""

    def return_key(self) -> bytes:
        found: str = self._sql.execute(_RETURN_KEY).scalar_one()
        return bytes.fromhex(found)

    def mail(self, identity: str) -> Delivery | None:
        # Identities are hex: "g" comes after all of them.
        return self._one(_MAIL, first=f"<{identity}", last=f"<{identity}g")

    def mail_of(self, receipt: str) -> Delivery | None:
        return self._one(_MAIL_OF, receipt=receipt)

    def _one(self, reading: Reading, **given: str) -> Delivery | None:
        found = to_deliveries(reading.columns(self._c, **given))
        return found[0] if found else None

    def heard(self, digest: str) -> bool:
        return bool(_HEARD.rows(self._c, digest=digest))

    def insert_news(self, event: DeliveryEvent) -> None:
        _PUT.run(self._c, [event])

    def news(self, run_ids: Sequence[str]) -> Mapping[str, Sequence[DeliveryEvent]]:
        ids = list(run_ids)
        found = _OF_RUNS.columns(self._c, run_ids=ids) if ids else ()
        return by_run(found[1:], _events(found))

    def bad_news(self, since: datetime, limit: int) -> Sequence[DeliveryEvent]:
        return _events(_BAD.columns(self._c, since=since, most=limit))

    def suppressions(self, mailbox: str | None) -> Sequence[Suppression]:
        query, given = (
            (_CURRENT, {}) if mailbox is None else (_OF_MAILBOX, {"mailbox": mailbox})
        )
        found = self._sql.execute(query, given)
        return [Suppression(**row._mapping) for row in found]

    def put_suppression(self, suppression: Suppression) -> None:
        self._sql.execute(_PUT_SUPPRESSION, values(suppression))


_KEY = from_columns(DeliveryKey, KEY)
_EVENT = from_columns(DeliveryEvent, ("key", "digest", *columns(news, "digest", *KEY)))
_DELIVERY = from_columns(Delivery, ("key", *columns(deliveries, *KEY, "place")))


def to_deliveries(columns: Sequence[Sequence[Any]]) -> list[Delivery]:
    """Of whole rows: their keys come first."""
    keys = _KEY(columns[: len(KEY)])
    return _DELIVERY([keys, *columns[len(KEY) :]]) if keys else []


def _events(columns: Sequence[Sequence[Any]]) -> list[DeliveryEvent]:
    """Of whole rows: their digests come first, then their keys."""
    digests, rest = columns[:1], columns[1:]
    keys = _KEY(rest[: len(KEY)])
    return _EVENT([keys, *digests, *rest[len(KEY) :]]) if keys else []
