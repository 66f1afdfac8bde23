"""Schedule: which report, when, in which format, to whom."""

from typing import Annotated, Any, Literal

from boe_reconciler.core.resources.base import (
    BeforeValidator,
    Discriminator,
    Field,
    Model,
    Tag,
    WithJsonSchema,
    by_key,
    by_type,
    shared,
    text_or_inline,
)
from boe_reconciler.core.resources.connection import Secret
from boe_reconciler.core.resources.distribution import (
    AzureDestination,
    EmailDestination,
    GcsDestination,
    IfEmpty,
    LocalDestination,
    S3Destination,
    SftpDestination,
    WebhookDestination,
)
from boe_reconciler.core.resources.report import ReportSpec, SheetName
from boe_reconciler.core.resources.types import (
    PERCENT_PATTERN,
    TIME_OR_DURATION_PATTERN,
    Duration,
    Line,
    Name,
    WebAddress,
)
from boe_reconciler.core.resources.when import When

FORMATS = ("xlsx", "csv", "tsv", "json", "jsonl", "parquet", "html", "pdf")
#: "excel" is read as xlsx.
Format = Annotated[
    Literal["xlsx", "csv", "tsv", "json", "jsonl", "parquet", "html", "pdf"],
    BeforeValidator(lambda value: "xlsx" if value == "excel" else value),
    WithJsonSchema({"enum": [*FORMATS, "excel"]}),
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

    separator: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Between values (csv: comma, tsv: tab).",
    )
    decimal: Literal[".", ","] = Field(".", description="Before a number's fraction.")
    line_end: Literal["lf", "crlf"] = Field("lf", description="What ends each row.")
    bom: bool = Field(False, description="Begin with a byte order mark, for Excel.")
    quote: Literal["minimal", "all"] = Field(
        "minimal", description="Quote what needs it, or everything."
    )
    date_format: Line | None = Field(None, description="strftime, such as %d.%m.%Y.")
    escape_formulas: bool = Field(
        False, description="Put ' before text that a spreadsheet would run."
    )


class Export(Model):
    format: Format | list[Format] = Field(
        "xlsx", description="The file's format, or a list for one file each."
    )
    include_headers: bool = Field(True, description="Begin with the columns' titles.")
    compress: Literal[False, "gzip", "zip"] = Field(
        False, description="gzip appends .gz to the name; zip makes STEM.zip."
    )
    password: Secret | None = Field(
        None, description="Needed to open the file: xlsx, pdf, or with compress: zip."
    )
    filename_pattern: Line | None = Field(
        None,
        description="The file's name, with tokens such as {date} "
        "(default {report_name}_{date}.{format}).",
    )
    sheet_name: SheetName | None = Field(
        None, description="The name of a workbook's only sheet."
    )
    dialect: Dialect | None = Field(None, description="How csv and tsv are written.")

    @property
    def formats(self) -> list[str]:
        return list(self.format) if isinstance(self.format, list) else [self.format]

    @property
    def several(self) -> bool:
        """Whether a run makes a file of more than one format."""
        return len(self.formats) > 1


class OnlyIf(Model):
    query: str = Field(
        min_length=1, description="One value; the run goes on if it is true."
    )


class _Wait(Model):
    every: Duration = Field(
        "5m",
        validate_default=True,
        description="How often to look.",
    )
    deadline: Duration = Field(
        "2h",
        validate_default=True,
        description="How long to wait.",
    )
    on_timeout: Literal["skip", "send_with_note", "fail"] = Field(
        "skip", description="What to do when the wait was in vain."
    )


class WaitForQuery(_Wait):
    query: str = Field(min_length=1, description="Waits until its one value is true.")


class WaitForFile(_Wait):
    file: str = Field(min_length=1, description="Waits until the file is there.")


class WaitForSchedule(_Wait):
    schedule: Name = Field(description="Waits until this Schedule has succeeded.")
    same: Literal["day"] = Field(
        "day", description="Which of its runs: that of the same day, in the zone."
    )


WaitFor = Annotated[
    Annotated[WaitForQuery, Tag("<query>")]
    | Annotated[WaitForFile, Tag("<file>")]
    | Annotated[WaitForSchedule, Tag("<schedule>")],
    Discriminator(by_key("query", "file", "schedule")),
]


class Approval(Model):
    by: list[Line] = Field(
        min_length=1, description="Groups or addresses, any of whom may release it."
    )
    before: str | None = Field(
        None,
        pattern=TIME_OR_DURATION_PATTERN,
        description='Until when: a time of day ("09:00") or a duration (4h).',
    )
    otherwise: Literal["hold", "send"] = Field(
        "hold", description="What to do when nobody answered by then."
    )


class Burst(Model):
    recipients_query: str | None = Field(
        None, min_length=1, description="A row for each part; columns become part.*"
    )
    recipients_file: str | None = Field(
        None, min_length=1, description="The same as a csv file of the repo."
    )
    values_from: Line | None = Field(
        None, description="A column of the report: a part for each of its values."
    )
    split_on: Line | None = Field(
        None, description="The column of the report that says which part a row is of."
    )
    mode: Literal["split", "query"] = Field(
        "split", description="Read all rows once, or run the query for each part."
    )
    if_empty: IfEmpty | None = Field(
        None, description="A part without rows (the Schedule's if_empty)."
    )
    max_parts: int | None = Field(None, ge=1, description="More parts fail the run.")
    max_change: str = Field(
        "50%",
        pattern=PERCENT_PATTERN,
        description="A larger change in the number of parts waits for a release.",
    )

    @property
    def key(self) -> str:
        """The column of the report that says which part a row is of."""
        return self.split_on or self.values_from or ""


class DistributionRef(Model):
    distribution: Name = Field(description="The name of a Distribution.")
    inputs: dict[str, Any] = Field(
        {}, description="Values for its inputs; text is a template."
    )
    as_: Name | None = Field(
        None, alias="as", description="Tells two uses of one Distribution apart."
    )


def _deliver_shape(value: object) -> str:
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, DistributionRef) or (
        isinstance(value, dict) and "distribution" in value
    ):
        return "<distribution>"
    return by_type(value)


DeliverTo = Annotated[
    Annotated[Name, Tag("<name>")]
    | Annotated[DistributionRef, Tag("<distribution>")]
    | Annotated[LocalDestination, Tag("<=local>")]
    | Annotated[EmailDestination, Tag("<=email>")]
    | Annotated[S3Destination, Tag("<=s3>")]
    | Annotated[GcsDestination, Tag("<=gcs>")]
    | Annotated[AzureDestination, Tag("<=azure>")]
    | Annotated[SftpDestination, Tag("<=sftp>")]
    | Annotated[WebhookDestination, Tag("<=webhook>")],
    Discriminator(_deliver_shape),
]


class Retry(Model):
    max_retries: int = Field(
        3, ge=0, le=100, description="Further tries after an error that may pass."
    )
    initial: Duration = Field(
        "30s",
        validate_default=True,
        description="The first delay; each next one is twice as long.",
    )
    max: Duration = Field(
        "15m",
        validate_default=True,
        description="The longest delay between two tries.",
    )


class DeliveryRetry(Model):
    give_up_after: Duration = Field(
        "4h",
        validate_default=True,
        description="How long to try.",
    )
    initial: Duration = Field(
        "30s",
        validate_default=True,
        description="The first delay; each next one is twice as long.",
    )
    max: Duration = Field(
        "15m",
        validate_default=True,
        description="The longest delay between two tries.",
    )


Ping = Annotated[
    Annotated[WebAddress, Tag("<name>")] | Annotated[Secret, Tag("<inline>")],
    Discriminator(text_or_inline),
]


class Execution(Model):
    catchup: Literal["latest", "all", "none"] = Field(
        "latest", description="What is still run of what was due while nobody served."
    )
    catchup_window: Duration | None = Field(
        None,
        description="How old it may be (until the next occurrence, 24h to 31d).",
    )
    catchup_max_runs: int = Field(20, ge=1, description="How many of it at most.")
    overlap: Literal[
        "skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"
    ] = Field("skip", description="What to do when the run before still goes on.")
    max_concurrent_runs: int | None = Field(
        None, ge=1, description="With overlap: allow_all, how many at once."
    )
    timeout: Duration = Field(
        "30m",
        validate_default=True,
        description="The longest that one try of an export may take.",
    )
    deadline: Duration | None = Field(
        None, description="Not started this long after its time: missed."
    )
    grace: Duration | None = Field(
        None, description="Not succeeded this long after its time: a notice."
    )
    retry: Retry = Field(
        default_factory=shared(Retry), description="Further tries of the export."
    )
    delivery_retry: DeliveryRetry = Field(
        default_factory=shared(DeliveryRetry),
        description="Further tries of each delivery by itself.",
    )
    pause_after_failures: int = Field(
        0, ge=0, description="Failed runs in a row that pause the Schedule (0: never)."
    )
    isolate: bool = Field(False, description="Run the export in a process of its own.")


class ScheduleSpec(Model):
    report: Annotated[
        Annotated[Name, Tag("<name>")] | Annotated[ReportSpec, Tag("<inline>")],
        Discriminator(text_or_inline),
    ] = Field(description="A Report's name, or a Report's spec in place.")
    when: When = Field(
        description="When it is due: exactly one of cron, frequency, every or once."
    )
    period: Period | None = Field(
        None,
        description="Gives `period.start` and `period.end` (dates in the zone, both "
        "within) and the token {period}.",
    )
    parameters: dict[str, Any] = Field(
        {}, description="Values for the report's parameters; text is a template."
    )
    export: Export = Field(
        default_factory=shared(Export), description="What the file is like."
    )
    if_empty: IfEmpty = Field("send", description="What to do without rows.")
    if_unchanged: IfEmpty = Field(
        "send", description="What to do when the rows are those delivered last."
    )
    only_if: OnlyIf | None = Field(None, description="A condition for the run.")
    wait_for: list[WaitFor] = Field(
        [], description="What has to be there before the run begins."
    )
    approval: Approval | None = Field(
        None, description="Somebody has to release the files before they leave."
    )
    burst: Burst | None = Field(
        None, description="A file for each part, each to its own recipients."
    )
    deliver_to: list[DeliverTo] = Field(
        min_length=1,
        description="Distributions, by name or {distribution, inputs, as}, and "
        "destinations in place.",
    )
    notify: list[Line] | None = Field(
        None,
        description="Addresses, Groups, Distributions that hear of failures (the owner).",
    )
    ping: Ping | None = Field(
        None, description="A URL told of start, success and failure of its runs."
    )
    execution: Execution = Field(
        default_factory=shared(Execution), description="How runs are made."
    )
    paused: bool = Field(False, description="Make no runs by itself.")
    template: Name | None = Field(
        None, description="A ScheduleTemplate that lies under this spec."
    )
