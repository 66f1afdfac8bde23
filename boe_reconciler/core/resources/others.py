"""Calendar, Group, Environment and Policy."""

from typing import Annotated, Any, Literal

from boe_reconciler.core.resources.base import Field, Model, shared
from boe_reconciler.core.resources.connection import TimeWindow
from boe_reconciler.core.resources.types import (
    WORKING_DAYS_PATTERN,
    Date,
    Duration,
    Line,
    Name,
    Size,
)


class DaysOff(Model):
    from_: Date = Field(alias="from", description="The first day off.")
    to: Date = Field(description="The last day off.")
    why: Line | None = Field(None, description="The reason, for people.")


class CalendarSpec(Model):
    working_days: str = Field(
        "mon-fri",
        pattern=WORKING_DAYS_PATTERN,
        description="Days of the week: mon-fri, sun-thu, or mon,wed,fri.",
    )
    days_off: list[Date | DaysOff] = Field(
        [], description="Dates, and spans {from, to, why}."
    )


class Member(Model):
    email: Line = Field(description="The member's address.")
    until: Date | None = Field(None, description="The last day as a member.")


class GroupSpec(Model):
    members: list[Line | Member] = Field(
        [], description="Addresses, or {email, until} for those who will leave."
    )
    manager: Line | None = Field(None, description="The address to turn to.")


class Redirect(Model):
    email: Line | None = Field(None, description="Every mail goes to this address.")
    local: str | None = Field(
        None,
        min_length=1,
        description="What goes to a folder goes to one of the same name below this one.",
    )
    others: Literal["drop", "deliver"] = Field(
        "drop",
        description="What is not named here, pings too: left out, or delivered as it is.",
    )


class EnvironmentSpec(Model):
    connections: dict[Name, dict[str, Any]] = Field(
        {}, description="A Connection's name to the fields that differ here."
    )
    redirect: Redirect | None = Field(
        None, description="Where deliveries go instead of to their recipients."
    )


Count = Annotated[int, Field(ge=0)]


class Limits(Model):
    schedules_per_owner: Count | dict[str, Count] = Field(
        10, description="One number, or {default: 10, OWNER: n}."
    )
    min_interval: Duration = Field(
        "1m",
        validate_default=True,
        description="A Schedule may not be due more often.",
    )
    max_rows: int | None = Field(
        None, ge=1, description="The most rows of one file (no limit)."
    )
    max_artifact: Size | None = Field(None, description="The largest file (no limit).")
    max_recipients: int | None = Field(
        None, ge=1, description="The most recipients of one Schedule (no limit)."
    )


class Allow(Model):
    local_roots: list[str] | None = Field(
        None,
        description="Folders that local destinations may write to: below the local "
        "root, or absolute (the local root alone).",
    )
    email_domains: list[Line] | None = Field(
        None, description="Domains that mails may go to (any)."
    )
    hosts: list[Line] | None = Field(
        None, description='Hosts that may be reached, such as "*.internal" (any).'
    )
    private_addresses: bool = Field(
        False, description="Whether webhooks may reach private addresses."
    )
    transforms: list[str] = Field(
        [], description="Paths of allowed transforms, such as shapes/margin.py."
    )
    destinations: (
        list[Literal["local", "email", "s3", "gcs", "azure", "sftp", "webhook"]] | None
    ) = Field(None, description="Types of destination that may be used (any).")


class Removals(Model):
    max_count: int = Field(
        5, ge=0, description="More removals than this may have to wait."
    )
    max_fraction: float = Field(
        0.2, ge=0, le=1, description="… if they are also more than this part of all."
    )


class Notices(Model):
    ops: list[Name] = Field([], description="Distributions that are told of trouble.")


class Retention(Model):
    artifacts: Duration = Field(
        "30d",
        validate_default=True,
        description="How long finished files are kept.",
    )
    runs: Duration = Field(
        "400d",
        validate_default=True,
        description="How long the history of runs is kept.",
    )


class PolicySpec(Model):
    limits: Limits = Field(
        default_factory=shared(Limits), description="How much is allowed."
    )
    allow: Allow = Field(
        default_factory=shared(Allow), description="Where data may go."
    )
    removals: Removals = Field(
        default_factory=shared(Removals),
        description="When removing objects waits for a confirmation.",
    )
    defaults: dict[str, Any] = Field(
        {},
        description="Fields of a Schedule's spec that lie under every ScheduleTemplate, "
        "and `timezone` for a `when` without one.",
    )
    require: list[Line] = Field(
        [], description="Fields of metadata that every object has to have."
    )
    codeowners: bool = Field(
        False,
        description="Whether each object's owner has to be a code owner of its file.",
    )
    change_windows: list[TimeWindow] = Field(
        [], description="Changes wait outside of these (absent: they never wait)."
    )
    hold_rewritten_history: bool = Field(
        False, description="Whether a rewritten git history waits for a release."
    )
    notices: Notices = Field(
        default_factory=shared(Notices), description="Who else hears of trouble."
    )
    retention: Retention = Field(
        default_factory=shared(Retention), description="What is kept how long."
    )
