"""The envelope that all kinds share, and the table of kinds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from boe_reconciler.core.resources.base import Model
from boe_reconciler.core.resources.connection import ConnectionSpec
from boe_reconciler.core.resources.distribution import DistributionSpec
from boe_reconciler.core.resources.others import (
    CalendarSpec,
    EnvironmentSpec,
    GroupSpec,
    PolicySpec,
)
from boe_reconciler.core.resources.report import ReportSpec
from boe_reconciler.core.resources.schedule import ScheduleSpec
from boe_reconciler.core.resources.types import Name

API_VERSION = "boe/v1"


class Metadata(Model):
    name: Name
    owner: str | None = Field(
        None, description="An e-mail address, or the name of a Group."
    )
    title: str | None = Field(
        None, min_length=1, max_length=200, description="For people."
    )
    description: str | None = None
    labels: dict[str, str] = {}
    renamed_from: Name | None = Field(
        None, description="The name it had before: keeps its history."
    )


class _Resource(Model):
    apiVersion: Literal["boe/v1"]  # noqa: N815 the field's name in YAML
    metadata: Metadata

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def title(self) -> str:
        """For people: the title, else the name with spaces."""
        return self.metadata.title or self.metadata.name.replace("-", " ").capitalize()


class Schedule(_Resource):
    kind: Literal["Schedule"]
    spec: ScheduleSpec


class Report(_Resource):
    kind: Literal["Report"]
    spec: ReportSpec


class Distribution(_Resource):
    kind: Literal["Distribution"]
    spec: DistributionSpec


class Connection(_Resource):
    kind: Literal["Connection"]
    spec: ConnectionSpec


class Calendar(_Resource):
    kind: Literal["Calendar"]
    spec: CalendarSpec


class Group(_Resource):
    kind: Literal["Group"]
    spec: GroupSpec


class ScheduleTemplate(_Resource):
    """Its spec is part of a Schedule's spec: validated where a Schedule uses it, and alone."""

    kind: Literal["ScheduleTemplate"]
    spec: Annotated[
        dict[str, Any],
        Field(description="Any fields of a Schedule's spec but template."),
    ]


class Environment(_Resource):
    kind: Literal["Environment"]
    spec: EnvironmentSpec


class Policy(_Resource):
    kind: Literal["Policy"]
    spec: PolicySpec


Resource = (
    Schedule
    | Report
    | Distribution
    | Connection
    | Calendar
    | Group
    | ScheduleTemplate
    | Environment
    | Policy
)

#: kind -> its model: the one list of kinds.
KINDS: dict[str, type[_Resource]] = {
    "Schedule": Schedule,
    "Report": Report,
    "Distribution": Distribution,
    "Connection": Connection,
    "Calendar": Calendar,
    "Group": Group,
    "ScheduleTemplate": ScheduleTemplate,
    "Environment": Environment,
    "Policy": Policy,
}
#: Kinds that need no owner.
OWNERLESS = ("Policy", "Calendar", "Group", "Environment")
