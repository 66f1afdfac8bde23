"""Connection: a database to read from, or a far side to deliver to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from boe_reconciler.core.resources.base import Model
from boe_reconciler.core.resources.types import Duration, Name, Size


class EnvSecret(Model):
    env: str = Field(min_length=1, description="Name of an environment variable.")


class FileSecret(Model):
    file: str = Field(
        min_length=1, description="A file that holds nothing but the secret."
    )


class SopsSecret(Model):
    sops: str = Field(description="file#key of a file encrypted with sops.")


def _secret_shape(value: object) -> str:
    for key, model in (("env", EnvSecret), ("file", FileSecret), ("sops", SopsSecret)):
        if isinstance(value, model) or (isinstance(value, dict) and key in value):
            return f"<{key}>"
    return "<env>"


#: A reference to a secret; the value itself never stands in YAML.
Secret = Annotated[
    Annotated[EnvSecret, Tag("<env>")]
    | Annotated[FileSecret, Tag("<file>")]
    | Annotated[SopsSecret, Tag("<sops>")],
    Discriminator(_secret_shape),
]


class RateLimit(Model):
    per_second: float | None = Field(
        None, gt=0, description="Messages or requests a second."
    )
    per_session: int | None = Field(
        None, ge=1, description="Messages over one session."
    )


class TimeWindow(Model):
    cron: str = Field(description="When the window opens.")
    duration: Duration = Field(description="How long it stays open.")
    timezone: str | None = Field(None, description="An IANA zone (Policy's default).")


class CircuitBreaker(Model):
    failures: int = Field(5, ge=1, description="Failures in a row that open it.")
    open_for: Duration = Field(..., description="How long it then stays open.")


class _Connection(Model):
    max_concurrent: int | None = Field(None, ge=1, description="Uses at the same time.")
    rate_limit: RateLimit | None = None
    timeout: Duration | None = Field(None, description="Of one query or one delivery.")
    blackouts: list[TimeWindow] = Field(
        [], description="Times at which it is left alone."
    )
    circuit_breaker: CircuitBreaker | None = None


class _Files(_Connection):
    path: str | None = Field(
        None,
        description="The database file, below the data root; none means in memory.",
    )
    read_only: bool = Field(True, description="Open `path` for reading only.")
    files: dict[str, str] = Field(
        {}, description="View name to a path or glob of csv, parquet or json files."
    )


class DuckDBConnection(_Files):
    type: Literal["duckdb"]


class SQLiteConnection(_Files):
    type: Literal["sqlite"]


class PostgresConnection(_Connection):
    type: Literal["postgres"]
    host: str
    port: int = Field(5432, ge=1, le=65535)
    database: str
    user: str
    password: Secret | None = None
    sslmode: Literal[
        "disable", "allow", "prefer", "require", "verify-ca", "verify-full"
    ] = "prefer"
    role: str | None = Field(None, description="SET ROLE after connecting.")
    session: dict[str, str] = Field(
        {}, description="Settings of the session, such as work_mem."
    )


class SQLConnection(_Connection):
    type: Literal["sql"]
    url: str = Field(description="A SQLAlchemy URL without its password.")
    password: Secret | None = None


class OAuth2(Model):
    token_url: str
    client_id: str
    client_secret: Secret
    scope: str | None = None


class Dkim(Model):
    domain: str
    selector: str
    key: Secret


class SmtpBounces(Model):
    maildir: str


class SmtpConnection(_Connection):
    type: Literal["smtp"]
    host: str
    port: int | None = Field(None, ge=1, le=65535)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    user: str | None = None
    password: Secret | None = None
    oauth2: OAuth2 | None = None
    from_: str | None = Field(None, alias="from", description="The sender's address.")
    max_message_size: Size | None = None
    dkim: Dkim | None = None
    fallback: list[Name] = Field(
        [], description="Connections to try when this one is down."
    )
    bounces: SmtpBounces | None = None


class SesBounces(Model):
    queue_url: str


class SesConnection(_Connection):
    type: Literal["ses"]
    region: str
    from_: str | None = Field(None, alias="from", description="The sender's address.")
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    bounces: SesBounces | None = None


class S3Connection(_Connection):
    type: Literal["s3"]
    region: str | None = None
    endpoint_url: str | None = None
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    path_style: bool = False
    checksums: Literal["when_supported", "when_required"] = "when_supported"


class SftpConnection(_Connection):
    type: Literal["sftp"]
    host: str
    port: int = Field(22, ge=1, le=65535)
    user: str
    password: Secret | None = None
    private_key: Secret | None = None
    host_key: str = Field(
        pattern=r"^SHA256:[A-Za-z0-9+/]{43}=?$",
        description="The server's key, as ssh-keygen -lf prints it.",
    )


class WebhookConnection(_Connection):
    type: Literal["webhook"]
    url: str
    secret: Secret | list[Secret] | None = Field(
        None, description="One, or two while rotating."
    )
    headers: dict[str, str] = {}


class AzureConnection(_Connection):
    type: Literal["azure"]
    account_url: str
    credential: Secret | None = None


class GcsConnection(_Connection):
    type: Literal["gcs"]
    endpoint: str | None = None
    credential: Secret | None = None


#: The models by their `type`.
CONNECTIONS: dict[str, type[_Connection]] = {
    "duckdb": DuckDBConnection,
    "sqlite": SQLiteConnection,
    "postgres": PostgresConnection,
    "sql": SQLConnection,
    "smtp": SmtpConnection,
    "ses": SesConnection,
    "s3": S3Connection,
    "sftp": SftpConnection,
    "webhook": WebhookConnection,
    "azure": AzureConnection,
    "gcs": GcsConnection,
}
#: Those a Report can read from.
DATABASE_TYPES = ("duckdb", "sqlite", "postgres", "sql")


def _connection_type(value: object) -> str | None:
    found = (
        value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    )
    return f"<{found}>" if found in CONNECTIONS else None


ConnectionSpec = Annotated[
    Annotated[DuckDBConnection, Tag("<duckdb>")]
    | Annotated[SQLiteConnection, Tag("<sqlite>")]
    | Annotated[PostgresConnection, Tag("<postgres>")]
    | Annotated[SQLConnection, Tag("<sql>")]
    | Annotated[SmtpConnection, Tag("<smtp>")]
    | Annotated[SesConnection, Tag("<ses>")]
    | Annotated[S3Connection, Tag("<s3>")]
    | Annotated[SftpConnection, Tag("<sftp>")]
    | Annotated[WebhookConnection, Tag("<webhook>")]
    | Annotated[AzureConnection, Tag("<azure>")]
    | Annotated[GcsConnection, Tag("<gcs>")],
    Discriminator(_connection_type),
]
