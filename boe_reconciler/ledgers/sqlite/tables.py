"""The tables as the store reads and writes them. What they promise stands in migrations/."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    MetaData,
    Select,
    Table,
    Text,
    func,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from boe_reconciler.core.holds import HoldEnd, HoldKind
from boe_reconciler.core.notices import Sent
from boe_reconciler.core.runs import (
    AttemptStatus,
    DeliveryStatus,
    News,
    PauseTarget,
    RunOptions,
    RunStatus,
    Trigger,
)

#: The newest revision in migrations/versions.
NEWEST = "0014"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Up to then, in 2106, a float of seconds is within a quarter of a microsecond.
_EXACT = (1 << 32) * 1_000_000
metadata = MetaData()


def instants(column: Sequence[int | None]) -> list[datetime | None]:
    """History has a dozen of them in each row."""
    return [None if one is None else _instant(one) for one in column]


def _instant(microseconds: int) -> datetime:
    if 0 <= microseconds < _EXACT:  # in half the time
        return datetime.fromtimestamp(microseconds / 1e6, UTC)
    return _EPOCH + microseconds * _MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime as whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return instants([value])[0]


class Word(TypeDecorator[StrEnum]):
    """A member of a StrEnum as its text."""

    impl = Text
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words
        self._members: Mapping[str | None, StrEnum | None]
        self._members = {None: None, **{str(one): one for one in words}}

    def members(self, column: Sequence[str | None]) -> list[StrEnum | None]:
        return [self._members[one] for one in column]

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> StrEnum | None:
        return self.members([value])[0]


#: A mapping of another kind is written like a dict.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=dict)


class Json(TypeDecorator[Any]):
    """Plain values as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return "{}" if value == {} else _ENCODER.encode(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return {} if value == "{}" else json.loads(value)

    def values(self, column: Sequence[str]) -> list[Any]:
        """All at once: a quarter of the time."""
        found: list[Any] = json.loads(f"[{','.join(column)}]")
        return found


class Instants(TypeDecorator[tuple[datetime, ...]]):
    """Several of them, as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return json.dumps([(one - _EPOCH) // _MICROSECOND for one in value])

    def process_result_value(
        self, value: Any, dialect: Dialect
    ) -> tuple[datetime, ...]:
        found = json.loads(value)
        return tuple(_EPOCH + timedelta(microseconds=one) for one in found)


_NO_OPTIONS = RunOptions()


class Options(TypeDecorator[RunOptions]):
    """Only what differs from the default, as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        given = {key: found for key, found in values(value).items() if found}
        return json.dumps(given, ensure_ascii=False) if given else "{}"

    def process_result_value(self, value: Any, dialect: Dialect) -> RunOptions:
        return RunOptions(**json.loads(value)) if value != "{}" else _NO_OPTIONS


def _text(*names: str) -> list[Column[Any]]:
    return [Column(name, Text) for name in names]


def _instants(*names: str) -> list[Column[Any]]:
    return [Column(name, Instant) for name in names]


def _integers(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger) for name in names]


schedules = Table(
    "schedules",
    metadata,
    Column("uid", Text, primary_key=True),
    *_text("name", "revision", "spec_digest", "timing"),
    *_instants("covered_from", "high_water", "next_due"),
    Column("paused_in_git", Boolean),
    Column("paused", Boolean),
    *_instants("paused_until"),
    *_integers("failures"),
    *_text("connection"),
)
connections = Table(
    "connections",
    metadata,
    Column("name", Text, primary_key=True),
    *_text("limits"),
    *_integers("failures"),
    *_instants("opened_at"),
    *_text("cause", "trying"),
    Column("tokens", Float),
    *_instants("tokens_at", "full_at"),
    *_text("full_by"),
)
specs = Table("specs", metadata, *_text("digest", "spec"), *_integers("version"))
runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    *_text("schedule", "schedule_uid"),
    *_instants("occurrence"),
    Column("trigger", Word(Trigger), quote=True),
    Column("status", Word(RunStatus)),
    *_text("reason", "message"),
    *_integers("attempts", "max_attempts"),
    *_instants("not_before", "expires"),
    *_text("expires_reason", "overlap"),
    *_integers("max_concurrent"),
    Column("options", Options),
    # Derived from the options, to look for in SQL.
    Column("whole", Boolean),
    Column("cancel_requested", Boolean),
    *_instants("cancel_requested_at"),
    *_integers("fence"),
    *_text("worker"),
    *_instants("lease_until", "started_at", "finished_at"),
    *_integers("rows", "lost", "reopened"),
    Column("parameters", Json),
    *_text("revision", "spec_digest", "tzdb"),
    *_instants("created_at"),
    *_text("connection"),
    *_instants("late_at"),
)
attempts = Table(
    "attempts",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    *_integers("fence"),
    *_text("worker"),
    Column("status", Word(AttemptStatus)),
    *_text("reason", "message"),
    *_instants("started_at", "finished_at"),
)
artifacts = Table(
    "artifacts",
    metadata,
    *_text("run_id", "part", "name", "media_type", "sha256", "rows_digest"),
    *_integers("bytes", "rows"),
    Column("key", Text, quote=True),
    Column("values", Json, quote=True),
    *_text("format", "preview"),
    # Among those of its run, in the order in which they were added.
    *_integers("place"),
)
deliveries = Table(
    "deliveries",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("destination", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("copy", BigInteger, primary_key=True),
    *_text("type"),
    Column("status", Word(DeliveryStatus)),
    *_integers("attempts"),
    *_text("reason", "message", "receipt", "remote"),
    Column("intent", Json),
    *_instants("first_attempt_at", "next_attempt_at", "at"),
    *_text("role", "notice"),
    Column("resent", Boolean),
    Column("linked", Boolean),
    *_integers("place"),
)
news = Table(
    "news",
    metadata,
    Column("digest", Text, primary_key=True),
    *_text("run_id", "part", "destination", "recipient"),
    *_integers("copy"),
    Column("kind", Word(News)),
    Column("lasting", Boolean),
    *_text("code", "message"),
    *_instants("at"),
)
suppressions = Table(
    "suppressions",
    metadata,
    Column("suppression_id", Text, primary_key=True),
    *_text("address", "mailbox"),
    Column("by", Text, quote=True),
    *_text("why"),
    *_instants("since"),
    *_text("run_id"),
    *_instants("ended_at"),
    *_text("ended_by", "ended_why"),
)
gaps = Table(
    "gaps",
    metadata,
    *_text("schedule", "schedule_uid"),
    *_instants("since", "until"),
    *_integers("count"),
    *_text("reason"),
)
pauses = Table(
    "pauses",
    metadata,
    Column("target", Word(PauseTarget), primary_key=True),
    Column("value", Text, primary_key=True),
    Column("by", Text, quote=True),
    *_text("why"),
    *_instants("since", "until"),
)
holds = Table(
    "holds",
    metadata,
    Column("hold_id", Text, primary_key=True),
    Column("kind", Word(HoldKind)),
    *_text("subject", "message"),
    *_instants("since", "until", "released_at"),
    *_text("released_by", "why"),
    *_instants("ended_at"),
    Column("ended_as", Word(HoldEnd)),
)
incidents = Table(
    "incidents",
    metadata,
    Column("subject", Text, primary_key=True),
    *_instants("since"),
    *_text("failing", "message", "told"),
    Column("told_at", Instants),
)
outbox = Table(
    "outbox",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("key", Text, primary_key=True, quote=True),
    Column("body", Json),
    *_instants("since"),
    *_integers("tries"),
    *_instants("next_try"),
    Column("result", Word(Sent)),
    *_text("detail"),
)
events = Table(
    "events",
    metadata,
    *_instants("at"),
    *_text("action", "message", "run_id", "schedule"),
)
objects = Table(
    "objects",
    metadata,
    *_text("kind", "name", "file"),
    Column("index", BigInteger, quote=True),
    Column("data", Json),
    Column("files", Json),
    *_text("revision"),
)
statuses = Table(
    "statuses",
    metadata,
    *_text("kind", "name"),
    Column("ready", Boolean),
    *_text("reason", "message", "observed_revision", "serving_revision"),
)
#: One value a name, for the ledger as a whole.
marks = Table("marks", metadata, Column("name", Text), Column("value", Json))


#: The revision of a schedule: the one of its row, or that of all that is served.
REVISION = func.coalesce(
    func.nullif(schedules.c.revision, ""),
    select(func.json_extract(marks.c.value, "$.serving", type_=Text))
    .where(marks.c.name == "served")
    .scalar_subquery(),
    "",
    type_=Text,
)
STANDINGS = select(
    *(REVISION if one.name == "revision" else one for one in schedules.c)
)


def values(row: Any) -> dict[str, Any]:
    """A dataclass's fields as they are (`asdict` copies each of them, slowly)."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def columns(table: Table, *without: str) -> Mapping[str, Column[Any]]:
    return {name: one for name, one in table.c.items() if name not in without}


def placeless(table: Table) -> Select[Any]:
    """Its rows, without their place."""
    return select(*columns(table, "place").values())
