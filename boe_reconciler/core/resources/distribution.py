"""Distribution: where files go; and the destinations, which a Schedule may also hold inline."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from boe_reconciler.core.resources.base import Model
from boe_reconciler.core.resources.types import Duration, Name, Size

IfEmpty = Literal["send", "skip", "notice"]


class _Destination(Model):
    name: Name | None = Field(
        None, description="Tells two of one type apart (default: its type)."
    )
    filename_pattern: str | None = Field(None, description="Wins over the Schedule's.")
    if_empty: IfEmpty | None = Field(None, description="Wins over the Schedule's.")


class LocalDestination(_Destination):
    type: Literal["local"]
    base_path: str = Field(min_length=1, description="A folder below the local root.")
    create_subdirs: bool = Field(
        True, description="Put files into YYYY/MM/DD below it."
    )
    if_exists: Literal["number", "overwrite", "error"] = "number"
    mode: str = Field(
        "0644", pattern=r"^0?[0-7]{3}$", description="Permissions of the file."
    )
    done_marker: str | None = Field(
        None, description='Written last, such as "{file}.done".'
    )


class GroupRef(Model):
    group: Name


class LinkInstead(Model):
    link_to: str = Field(
        description="A destination or Distribution of type s3, gcs or azure."
    )
    expires: Duration


class Attach(Model):
    max: Size
    over_max: LinkInstead | None = None


class Unsubscribe(Model):
    url: str | None = None
    mailto: str | None = None


class FileText(Model):
    file: str


#: Addresses and groups, or one template that gives addresses.
Recipients = str | list[str | GroupRef]


class EmailDestination(_Destination):
    type: Literal["email"]
    connection: Name
    to: Recipients
    cc: Recipients | None = None
    bcc: Recipients | None = None
    reply_to: str | None = None
    from_: str | None = Field(None, alias="from")
    subject: str
    text: str | FileText | None = None
    html: str | FileText | None = None
    preview_rows: int = Field(0, ge=0, le=100)
    attach: bool | Attach = True
    unsubscribe: Unsubscribe | None = None
    recipients_see: Literal["all", "only_themselves"] | None = None
    on_unconfirmed: Literal["hold", "resend"] = "hold"


class _ObjectDestination(_Destination):
    connection: Name
    prefix: str = ""
    create_subdirs: bool = True
    if_exists: Literal["error", "overwrite"] = "error"
    done_marker: str | None = None


class S3Destination(_ObjectDestination):
    type: Literal["s3"]
    bucket: str
    tags: dict[str, str] = {}
    storage_class: str | None = None
    sse: str | None = None
    expected_bucket_owner: str | None = None


class GcsDestination(_ObjectDestination):
    type: Literal["gcs"]
    bucket: str
    tags: dict[str, str] = {}
    storage_class: str | None = None
    sse: str | None = None
    expected_bucket_owner: str | None = None


class AzureDestination(_ObjectDestination):
    type: Literal["azure"]
    container: str


class SftpDestination(_Destination):
    type: Literal["sftp"]
    connection: Name
    base_path: str
    create_subdirs: bool = True
    atomic: bool = True
    if_exists: Literal["error", "overwrite"] = "error"
    done_marker: str | None = None


class WebhookDestination(_Destination):
    type: Literal["webhook"]
    connection: Name | None = None
    url: str | None = None
    send: Literal["event", "file"] = "event"


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


def _destination_type(value: object) -> str | None:
    found = (
        value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    )
    return f"<{found}>" if found in DESTINATIONS else None


DestinationSpec = Annotated[
    Annotated[LocalDestination, Tag("<local>")]
    | Annotated[EmailDestination, Tag("<email>")]
    | Annotated[S3Destination, Tag("<s3>")]
    | Annotated[GcsDestination, Tag("<gcs>")]
    | Annotated[AzureDestination, Tag("<azure>")]
    | Annotated[SftpDestination, Tag("<sftp>")]
    | Annotated[WebhookDestination, Tag("<webhook>")],
    Discriminator(_destination_type),
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
    ]
    required: bool = False
    default: Any = None
    values: list[str] | None = None


class DistributionSpec(Model):
    inputs: dict[str, Input] = Field({}, description="What a Schedule may fill in.")
    destinations: list[DestinationSpec] = Field(min_length=1)
