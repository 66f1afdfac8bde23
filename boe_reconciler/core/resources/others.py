"""Calendar, Group, Environment and Policy."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from boe_reconciler.core.resources.base import Model
from boe_reconciler.core.resources.connection import TimeWindow
from boe_reconciler.core.resources.types import Date, Duration, Name, Size


class DaysOff(Model):
    from_: Date = Field(alias="from")
    to: Date
    why: str | None = None


class CalendarSpec(Model):
    working_days: str = Field(
        "mon-fri", description="mon-fri, or a list such as sun-thu."
    )
    days_off: list[Date | DaysOff] = []


class Member(Model):
    email: str
    until: Date | None = None


class GroupSpec(Model):
    members: list[str | Member] = []
    manager: str | None = None


class Redirect(Model):
    email: str | None = None
    local: str | None = None
    others: str | None = Field(None, pattern="^drop$")


class EnvironmentSpec(Model):
    connections: dict[Name, dict[str, Any]] = {}
    redirect: Redirect | None = None


class Limits(Model):
    schedules_per_owner: int | dict[str, int] = Field(
        10, description="One number, or {default: 10, owner: n}."
    )
    min_interval: Duration = Field("1m", validate_default=True)  # type: ignore[assignment]  # read like YAML
    max_rows: int | None = Field(None, ge=1)
    max_artifact: Size | None = None
    max_recipients: int | None = Field(None, ge=1)


class Allow(Model):
    local_roots: list[str] | None = None
    email_domains: list[str] | None = None
    hosts: list[str] | None = None
    private_addresses: bool = False
    transforms: list[str] = []
    destinations: list[str] | None = None


class Removals(Model):
    max_count: int = Field(5, ge=0)
    max_fraction: float = Field(0.2, ge=0, le=1)


class Notices(Model):
    ops: list[str] = []


class Retention(Model):
    artifacts: Duration = Field("30d", validate_default=True)  # type: ignore[assignment]  # read like YAML
    runs: Duration = Field("400d", validate_default=True)  # type: ignore[assignment]  # read like YAML


class PolicySpec(Model):
    limits: Limits = Limits()
    allow: Allow = Allow()
    removals: Removals = Removals()
    defaults: dict[str, Any] = Field(
        {}, description="Under every ScheduleTemplate: timezone, execution, …."
    )
    require: list[str] = []
    change_windows: list[TimeWindow] = []
    hold_rewritten_history: bool = False
    notices: Notices = Notices()
    retention: Retention = Retention()
