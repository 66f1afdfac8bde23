"""Schedule: which report, when, in which format, to whom."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from boe_reconciler.core.resources.base import Model, text_or_inline
from boe_reconciler.core.resources.connection import Secret
from boe_reconciler.core.resources.distribution import (
    DESTINATIONS,
    AzureDestination,
    EmailDestination,
    GcsDestination,
    IfEmpty,
    LocalDestination,
    S3Destination,
    SftpDestination,
    WebhookDestination,
)
from boe_reconciler.core.resources.report import ReportSpec
from boe_reconciler.core.resources.types import Duration, Name
from boe_reconciler.core.resources.when import When

Format = Literal[
    "xlsx", "csv", "tsv", "json", "jsonl", "parquet", "html", "pdf", "excel"
]
Period = Literal[
    "previous_day",
    "previous_week",
    "previous_month",
    "previous_quarter",
    "previous_year",
    "current_day",
    "current_week",
    "current_month",
    "current_quarter",
    "current_year",
]


class Dialect(Model):
    """How csv and tsv are written."""

    separator: str | None = Field(None, min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    line_end: Literal["lf", "crlf"] = "lf"
    bom: bool = False
    quote: Literal["minimal", "all"] = "minimal"
    date_format: str | None = Field(None, description="strftime, such as %d.%m.%Y.")
    escape_formulas: bool = Field(
        False, description="Put ' before text that a spreadsheet would run."
    )


class Export(Model):
    format: Format | list[Format] = "xlsx"
    include_headers: bool = True
    compress: Literal[False, "gzip", "zip"] = False
    password: Secret | None = None
    filename_pattern: str | None = Field(
        None, description="Default {report_name}_{date}.{format}"
    )
    sheet_name: str | None = Field(None, min_length=1, max_length=31)
    dialect: Dialect | None = None


class OnlyIf(Model):
    query: str


class WaitForSchedule(Model):
    schedule: Name
    same: Literal["day"] = "day"


class WaitForQuery(Model):
    query: str


class WaitForFile(Model):
    file: str


def _wait_shape(value: object) -> str | None:
    for key in ("query", "file", "schedule"):
        if (isinstance(value, dict) and key in value) or hasattr(value, key):
            return f"<{key}>"
    return None


class WaitFor(Model):
    conditions: list[
        Annotated[
            Annotated[WaitForQuery, Tag("<query>")]
            | Annotated[WaitForFile, Tag("<file>")]
            | Annotated[WaitForSchedule, Tag("<schedule>")],
            Discriminator(_wait_shape),
        ]
    ] = Field(min_length=1)
    every: Duration | None = None
    deadline: Duration | None = None
    on_timeout: Literal["skip", "send_with_note", "fail"] = "skip"


class Approval(Model):
    by: list[str] = Field(min_length=1, description="Groups or addresses.")
    before: str | None = Field(None, description="A time of day or a duration.")
    otherwise: Literal["hold", "send"] = "hold"


class Burst(Model):
    recipients_query: str | None = None
    recipients_file: str | None = None
    values_from: Literal["column"] | None = None
    split_on: str
    mode: Literal["split", "query"] = "split"
    if_empty: IfEmpty | None = None
    max_parts: int | None = Field(None, ge=1)
    max_change: str = Field("50%", pattern=r"^[1-9][0-9]{0,3}%$")


class DistributionRef(Model):
    distribution: Name
    inputs: dict[str, Any] = {}
    as_: Name | None = Field(
        None, alias="as", description="Tells two uses of one Distribution apart."
    )


def _deliver_shape(value: object) -> str | None:
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, DistributionRef) or (
        isinstance(value, dict) and "distribution" in value
    ):
        return "<distribution>"
    found = (
        value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    )
    return f"<{found}>" if found in DESTINATIONS else None


DeliverTo = Annotated[
    Annotated[Name, Tag("<name>")]
    | Annotated[DistributionRef, Tag("<distribution>")]
    | Annotated[LocalDestination, Tag("<local>")]
    | Annotated[EmailDestination, Tag("<email>")]
    | Annotated[S3Destination, Tag("<s3>")]
    | Annotated[GcsDestination, Tag("<gcs>")]
    | Annotated[AzureDestination, Tag("<azure>")]
    | Annotated[SftpDestination, Tag("<sftp>")]
    | Annotated[WebhookDestination, Tag("<webhook>")],
    Discriminator(_deliver_shape),
]


class Retry(Model):
    max_retries: int = Field(3, ge=0, le=100)
    initial: Duration = Field("30s", validate_default=True)  # type: ignore[assignment]  # read like YAML
    max: Duration = Field("15m", validate_default=True)  # type: ignore[assignment]  # read like YAML


class DeliveryRetry(Model):
    give_up_after: Duration = Field("4h", validate_default=True)  # type: ignore[assignment]  # read like YAML
    initial: Duration = Field("30s", validate_default=True)  # type: ignore[assignment]  # read like YAML
    max: Duration = Field("15m", validate_default=True)  # type: ignore[assignment]  # read like YAML


class Execution(Model):
    catchup: Literal["latest", "all", "none"] = "latest"
    catchup_window: Duration | None = None
    catchup_max_runs: int = Field(20, ge=1)
    overlap: Literal[
        "skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"
    ] = "skip"
    max_concurrent_runs: int | None = Field(None, ge=1)
    timeout: Duration = Field("30m", validate_default=True)  # type: ignore[assignment]  # read like YAML
    deadline: Duration | None = None
    grace: Duration | None = None
    retry: Retry = Retry()
    delivery_retry: DeliveryRetry = DeliveryRetry()
    pause_after_failures: int = Field(0, ge=0)
    isolate: bool = False


class ScheduleSpec(Model):
    report: Annotated[
        Annotated[Name, Tag("<name>")] | Annotated[ReportSpec, Tag("<inline>")],
        Discriminator(text_or_inline),
    ] = Field(description="A Report's name, or a Report's spec in place.")
    when: When
    period: Period | None = None
    parameters: dict[str, Any] = Field(
        {}, description="For the report; text is a template."
    )
    export: Export = Export()
    if_empty: IfEmpty = "send"
    if_unchanged: IfEmpty = "send"
    only_if: OnlyIf | None = None
    wait_for: WaitFor | None = None
    approval: Approval | None = None
    burst: Burst | None = None
    deliver_to: list[DeliverTo] = Field(min_length=1)
    notify: list[str] | None = None
    ping: str | Secret | None = None
    execution: Execution = Execution()
    paused: bool = False
    template: Name | None = None
