"""Distribution: where files go; and the destinations, which a Schedule may also hold inline."""

from typing import Annotated, Any, Literal

from boe_reconciler.core.resources.base import Discriminator, Field, Model, Tag, by_type
from boe_reconciler.core.resources.types import (
    BUCKET_PATTERN,
    MODE_PATTERN,
    Duration,
    Line,
    Name,
    Size,
)

IfEmpty = Literal["send", "skip", "notice"]
_MARKER = 'A small file written last, such as "{file}.done".'
_SUBDIRS = "Put files into YYYY/MM/DD below it."
_CONFLICT = "What to do about a file of that name that is not our own."


class _Destination(Model):
    name: Name | None = Field(
        None, description="Tells two of one type apart (default: its type)."
    )
    filename_pattern: Line | None = Field(
        None, description="The file's name; wins over the Schedule's."
    )
    if_empty: IfEmpty | None = Field(
        None, description="What to do without rows; wins over the Schedule's."
    )


class LocalDestination(_Destination):
    """A folder of the machine."""

    type: Literal["local"] = Field(description="A folder of the machine.")
    base_path: str = Field(
        min_length=1,
        description="A folder below the local root, such as exports/scheduled.",
    )
    create_subdirs: bool = Field(True, description=_SUBDIRS)
    if_exists: Literal["number", "overwrite", "error"] = Field(
        "number", description="What to do where a file of that name is there."
    )
    mode: str = Field(
        "0644", pattern=MODE_PATTERN, description="Permissions of the file, in quotes."
    )
    done_marker: Line | None = Field(None, description=_MARKER)


class GroupRef(Model):
    group: Name = Field(description="All members of a Group.")


class LinkInstead(Model):
    link_to: Name = Field(
        description="A destination of this Distribution, or a Distribution with one "
        "destination, of type s3, gcs or azure."
    )
    expires: Duration = Field(description="How long the link works.")


class Attach(Model):
    max: Size = Field(description="The largest attachment, as it is sent.")
    over_max: LinkInstead | None = Field(
        None, description="A link instead of a larger one (else the delivery fails)."
    )


class Unsubscribe(Model):
    url: Line | None = Field(
        None, description="An https address for one click; a template with recipient."
    )
    mailto: Line | None = Field(
        None, description="An address to write to; a template with recipient."
    )


class FileText(Model):
    file: str = Field(min_length=1, description="A file of the repo with the text.")


#: Addresses and groups, or one template that gives addresses.
Recipients = str | list[str | GroupRef]


class EmailDestination(_Destination):
    """A mail with the file, or a link to it."""

    type: Literal["email"] = Field(description="A mail with the file, or a link to it.")
    connection: Name = Field(description="A Connection of type smtp or ses.")
    to: Recipients = Field(
        description="Addresses and {group: NAME}, or a template that gives addresses."
    )
    cc: Recipients | None = Field(None, description="Who gets a copy; written as `to`.")
    bcc: Recipients | None = Field(
        None, description="Who gets a copy that nobody sees; written as `to`."
    )
    reply_to: Line | None = Field(None, description="The address that answers go to.")
    from_: Line | None = Field(
        None, alias="from", description="The sender (the Connection's)."
    )
    subject: Line = Field(description="One line; a template.")
    text: str | FileText | None = Field(
        None, description="The plain body: a template, or {file: PATH}."
    )
    html: str | FileText | None = Field(
        None, description="The HTML body: a template, or {file: PATH}."
    )
    preview_rows: int = Field(
        0, ge=0, le=100, description="First rows shown as a table in the body."
    )
    attach: bool | Attach = Field(
        True, description="Attach the file, or not, or up to a size."
    )
    unsubscribe: Unsubscribe | None = Field(
        None, description="How to get no more of these mails."
    )
    recipients_see: Literal["all", "only_themselves"] | None = Field(
        None, description="Who stands in the header (all; in a burst only_themselves)."
    )
    on_unconfirmed: Literal["hold", "resend"] = Field(
        "hold", description="When nobody can know whether the mail was taken."
    )


class _ObjectDestination(_Destination):
    connection: Name = Field(description="A Connection of the same type.")
    prefix: str = Field("", description="What keys begin with, such as reports/.")
    create_subdirs: bool = Field(True, description=_SUBDIRS)
    if_exists: Literal["error", "overwrite"] = Field("error", description=_CONFLICT)
    done_marker: Line | None = Field(None, description=_MARKER)


class _BucketDestination(_ObjectDestination):
    bucket: str = Field(
        min_length=1, pattern=BUCKET_PATTERN, description="Name of the bucket."
    )
    tags: dict[str, str] = Field({}, description="Tags of the object.")
    storage_class: str | None = Field(
        None, description="Storage class, in the store's own word."
    )
    sse: str | None = Field(None, description="Encryption at rest, the store's word.")
    expected_bucket_owner: str | None = Field(
        None, description="Refuse a bucket that belongs to somebody else."
    )


class S3Destination(_BucketDestination):
    """A bucket of S3 or of a store that speaks its language."""

    type: Literal["s3"] = Field(description="An S3 bucket, or a look-alike's.")


class GcsDestination(_BucketDestination):
    """A bucket of Google Cloud Storage."""

    type: Literal["gcs"] = Field(description="A bucket of Google Cloud Storage.")


class AzureDestination(_ObjectDestination):
    """A container of Azure Blob Storage."""

    type: Literal["azure"] = Field(description="A container of Azure Blob Storage.")
    container: str = Field(
        min_length=1, pattern=BUCKET_PATTERN, description="Name of the container."
    )


class SftpDestination(_Destination):
    """A folder behind SFTP."""

    type: Literal["sftp"] = Field(description="A folder behind SFTP.")
    connection: Name = Field(description="A Connection of type sftp.")
    base_path: str = Field(min_length=1, description="A folder of the far side.")
    create_subdirs: bool = Field(True, description=_SUBDIRS)
    atomic: bool = Field(
        True,
        description="Write under another name and rename; false for drop-boxes that "
        "forbid it.",
    )
    if_exists: Literal["error", "overwrite"] = Field("error", description=_CONFLICT)
    done_marker: Line | None = Field(None, description=_MARKER)


class WebhookDestination(_Destination):
    """An HTTP address that is told of the run."""

    type: Literal["webhook"] = Field(description="An HTTP address told of the run.")
    connection: Name | None = Field(None, description="A Connection of type webhook.")
    url: Line | None = Field(None, description="The address, instead of a connection.")
    send: Literal["event", "file"] = Field(
        "event", description="JSON about the run with links, or the file."
    )


#: The models by their `type`.
DESTINATIONS: dict[str, type[_Destination]] = {
    "local": LocalDestination,
    "email": EmailDestination,
    "s3": S3Destination,
    "gcs": GcsDestination,
    "azure": AzureDestination,
    "sftp": SftpDestination,
    "webhook": WebhookDestination,
}

DestinationSpec = Annotated[
    Annotated[LocalDestination, Tag("<=local>")]
    | Annotated[EmailDestination, Tag("<=email>")]
    | Annotated[S3Destination, Tag("<=s3>")]
    | Annotated[GcsDestination, Tag("<=gcs>")]
    | Annotated[AzureDestination, Tag("<=azure>")]
    | Annotated[SftpDestination, Tag("<=sftp>")]
    | Annotated[WebhookDestination, Tag("<=webhook>")],
    Discriminator(by_type),
]


class Input(Model):
    type: Literal[
        "string",
        "int",
        "decimal",
        "bool",
        "date",
        "datetime",
        "enum",
        "list",
        "email",
        "emails",
    ] = Field(description="What a value is; emails: one or several with commas.")
    required: bool = Field(False, description="Whether each Schedule has to give it.")
    default: Any = Field(None, description="Used where a Schedule gives none.")
    values: list[str] | None = Field(
        None, description="The possible values of an enum, or of a list's entries."
    )


class DistributionSpec(Model):
    inputs: dict[str, Input] = Field(
        {}, description="What a Schedule may fill in, as {{ inputs.NAME }}."
    )
    destinations: list[DestinationSpec] = Field(
        min_length=1, description="Each file goes to all of them."
    )
