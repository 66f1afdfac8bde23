"""The envelope that all kinds share, and the table of kinds."""

from typing import Annotated, Any, Literal

from boe_reconciler.core.resources.base import Field, Model
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
from boe_reconciler.core.resources.types import LABEL_PATTERN, Line, Name
from boe_reconciler.core.wording import title_of

API_VERSION = "boe/v1"


LabelKey = Annotated[str, Field(pattern=LABEL_PATTERN, max_length=63)]


class Metadata(Model):
    name: Name = Field(description="Unique among its kind: a-z, 0-9 and -.")
    owner: Line | None = Field(
        None, description="An e-mail address, or the name of a Group."
    )
    title: Annotated[Line, Field(max_length=200)] | None = Field(
        None, description="For people (default: from the name)."
    )
    description: str | None = Field(
        None, description="What it is for, in as many words as it takes."
    )
    labels: dict[LabelKey, Line] = Field(
        {}, description="Free keys and values, to choose objects by."
    )
    renamed_from: Name | None = Field(
        None, description="The name it had before: keeps its history."
    )


class _Resource(Model):
    apiVersion: Literal["boe/v1"] = Field(  # noqa: N815 the field's name in YAML
        description="The version of the language."
    )
    metadata: Metadata = Field(description="Name, owner and what people should know.")

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def title(self) -> str:
        """For people: the title, else the name with spaces."""
        return self.metadata.title or title_of(self.metadata.name)


class Schedule(_Resource):
    """Which report, when, in which format, to whom."""

    kind: Literal["Schedule"] = Field(
        description="Which report, when, in which format, to whom."
    )
    spec: ScheduleSpec


class Report(_Resource):
    """What is exported: a query or a workbook of queries over one Connection."""

    kind: Literal["Report"] = Field(
        description="What is exported: a query or a workbook of queries over one Connection."
    )
    spec: ReportSpec


class Distribution(_Resource):
    """Where files go; shared by Schedules."""

    kind: Literal["Distribution"] = Field(
        description="Where files go; shared by Schedules."
    )
    spec: DistributionSpec


class Connection(_Resource):
    """A database to read from, or a far side to deliver to."""

    kind: Literal["Connection"] = Field(
        description="A database to read from, or a far side to deliver to."
    )
    spec: ConnectionSpec


class Calendar(_Resource):
    """Which days are working days."""

    kind: Literal["Calendar"] = Field(description="Which days are working days.")
    spec: CalendarSpec


class Group(_Resource):
    """People, for recipients, approvals and ownership."""

    kind: Literal["Group"] = Field(
        description="People, for recipients, approvals and ownership."
    )
    spec: GroupSpec


class ScheduleTemplate(_Resource):
    """Fields that several Schedules share; they lie under each Schedule's own."""

    kind: Literal["ScheduleTemplate"] = Field(
        description="Fields that several Schedules share."
    )
    spec: Annotated[
        dict[str, Any],
        Field(description="Any fields of a Schedule's spec but `template`."),
    ]


class Environment(_Resource):
    """What differs where it is not production."""

    kind: Literal["Environment"] = Field(
        description="What differs where it is not production."
    )
    spec: EnvironmentSpec


class Policy(_Resource):
    """What is allowed, and defaults; one in `policy.yaml`."""

    kind: Literal["Policy"] = Field(
        description="What is allowed, and defaults; one in `policy.yaml`."
    )
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
