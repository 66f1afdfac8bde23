"""Connection: a database to read from, or a far side to deliver to."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from boe_reconciler.core.resources.base import (
    Discriminator,
    Field,
    Model,
    Tag,
    by_key,
    by_type,
)
from boe_reconciler.core.resources.types import (
    ENV_PATTERN,
    HOST_KEY_PATTERN,
    SOPS_PATTERN,
    Duration,
    Line,
    Name,
    Size,
)


class EnvSecret(Model):
    env: str = Field(
        pattern=ENV_PATTERN, description="Name of an environment variable."
    )


class FileSecret(Model):
    file: str = Field(
        min_length=1, description="A file that holds nothing but the secret."
    )


class SopsSecret(Model):
    sops: str = Field(
        pattern=SOPS_PATTERN, description="file#key of a file encrypted with sops."
    )


#: Maps of a Connection in which every key is a name that somebody chose.
FREE_MAPS = ("files", "session", "headers")
_by_reference = by_key("env", "file", "sops")


def _secret_shape(value: object) -> str:
    """What is no reference is judged as {env}: its Problem tells of all three."""
    found = _by_reference(value)
    return "<env>" if found == "<>" else found


#: A reference to a secret; the value itself never stands in YAML.
Secret = Annotated[
    Annotated[EnvSecret, Tag("<env>")]
    | Annotated[FileSecret, Tag("<file>")]
    | Annotated[SopsSecret, Tag("<sops>")],
    Discriminator(_secret_shape),
]
Port = Annotated[int, Field(ge=1, le=65535)]


class RateLimit(Model):
    per_second: float | None = Field(
        None, gt=0, description="Messages or requests a second."
    )
    per_session: int | None = Field(
        None, ge=1, description="Messages over one session."
    )


class TimeWindow(Model):
    cron: Line = Field(description="When the window opens.")
    duration: Duration = Field(description="How long it stays open.")
    timezone: Line | None = Field(None, description="An IANA zone (Policy's default).")


class CircuitBreaker(Model):
    failures: int = Field(5, ge=1, description="Failures in a row that open it.")
    open_for: Duration = Field(
        "5m",
        validate_default=True,
        description="How long it then stays open.",
    )


class _Connection(Model):
    max_concurrent: int | None = Field(
        None, ge=1, description="Runs that may use it at the same time."
    )
    rate_limit: RateLimit | None = Field(None, description="How fast it may be used.")
    timeout: Duration | None = Field(
        None, description="The longest that one query or delivery may take."
    )
    blackouts: list[TimeWindow] = Field(
        [], description="Times at which it is left alone."
    )
    circuit_breaker: CircuitBreaker | None = Field(
        None, description="Leave it alone for a while after failures in a row."
    )


class _Files(_Connection):
    path: str | None = Field(
        None,
        min_length=1,
        description="The database file, below the data root; none means in memory.",
    )
    read_only: bool = Field(True, description="Open `path` for reading only.")
    files: dict[str, str] = Field(
        {}, description="View name to a path or glob of csv, parquet or json files."
    )


class DuckDBConnection(_Files):
    """A DuckDB file, or files of csv, parquet and json, read by DuckDB."""

    type: Literal["duckdb"] = Field(description="A DuckDB file, or files it can read.")


class SQLiteConnection(_Files):
    """A SQLite file."""

    type: Literal["sqlite"] = Field(description="A SQLite file.")


class PostgresConnection(_Connection):
    """A PostgreSQL database."""

    type: Literal["postgres"] = Field(description="A PostgreSQL database.")
    host: Line = Field(description="Name or address of the server, or a socket folder.")
    port: Port = Field(5432, description="Port of the server.")
    database: Line = Field(description="Name of the database.")
    user: Line = Field(description="The user who logs in.")
    password: Secret | None = Field(None, description="Reference to the password.")
    sslmode: Literal[
        "disable", "allow", "prefer", "require", "verify-ca", "verify-full"
    ] = Field("prefer", description="As libpq means it.")
    role: Line | None = Field(None, description="SET ROLE after connecting.")
    session: dict[str, str] = Field(
        {}, description="Settings of the session, such as work_mem."
    )


class SQLConnection(_Connection):
    """Any database that SQLAlchemy has a driver for."""

    type: Literal["sql"] = Field(description="A database with a SQLAlchemy driver.")
    url: Line = Field(description="A SQLAlchemy URL without its password.")
    password: Secret | None = Field(None, description="Reference to the password.")


class OAuth2(Model):
    token_url: Line = Field(description="Where tokens come from.")
    client_id: Line = Field(description="Who asks for one.")
    client_secret: Secret = Field(description="Reference to the client's secret.")
    scope: Line | None = Field(None, description="What the token is for.")


class Dkim(Model):
    domain: Line = Field(description="The domain that signs.")
    selector: Line = Field(description="Which of its keys.")
    key: Secret = Field(description="Reference to the private key.")


class SmtpBounces(Model):
    maildir: str = Field(min_length=1, description="The folder bounces arrive in.")
    address: str | None = Field(
        None,
        pattern=r"^[^@\s<>]{1,31}@[^@\s<>]+$",
        description="Where bounces are sent to, +TAG before its @ (the sender).",
    )


class SmtpConnection(_Connection):
    """A mail server."""

    type: Literal["smtp"] = Field(description="A mail server.")
    host: Line = Field(description="Name of the server.")
    port: Port | None = Field(
        None, description="Its port (587; 465 for implicit, 25 without TLS)."
    )
    tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description="How the connection is encrypted; never optional."
    )
    user: Line | None = Field(None, description="The user who logs in.")
    password: Secret | None = Field(None, description="Reference to the password.")
    oauth2: OAuth2 | None = Field(None, description="A token instead of a password.")
    from_: Line | None = Field(
        None, alias="from", description="The address that mails come from."
    )
    max_message_size: Size | None = Field(
        None, description="The largest mail that the server takes, as it is sent."
    )
    dkim: Dkim | None = Field(None, description="Sign mails with a key of our own.")
    fallback: list[Name] = Field(
        [], description="Connections to try when this one is down."
    )
    bounces: SmtpBounces | None = Field(
        None, description="Where news of mails that bounced arrives."
    )


class SesBounces(Model):
    queue_url: Line = Field(description="The SQS queue with SES notifications.")


class SesConnection(_Connection):
    """Amazon SES."""

    type: Literal["ses"] = Field(description="Amazon SES.")
    region: Line = Field(description="The region, such as eu-central-1.")
    from_: Line | None = Field(
        None, alias="from", description="The address that mails come from."
    )
    access_key_id: Secret | None = Field(
        None, description="Reference to the key's id (the machine's own role)."
    )
    secret_access_key: Secret | None = Field(None, description="Reference to the key.")
    bounces: SesBounces | None = Field(
        None, description="Where news of mails that bounced arrives."
    )


class S3Connection(_Connection):
    """S3, or a store that speaks its language."""

    type: Literal["s3"] = Field(description="S3, or a look-alike.")
    region: Line | None = Field(None, description="The region, such as eu-central-1.")
    endpoint_url: Line | None = Field(None, description="Address of a look-alike.")
    access_key_id: Secret | None = Field(
        None, description="Reference to the key's id (the machine's own role)."
    )
    secret_access_key: Secret | None = Field(None, description="Reference to the key.")
    path_style: bool = Field(
        False, description="Bucket in the path instead of in the host's name."
    )
    checksums: Literal["when_supported", "when_required"] = Field(
        "when_supported", description="when_required for look-alikes that refuse them."
    )


class SftpConnection(_Connection):
    """An SFTP server."""

    type: Literal["sftp"] = Field(description="An SFTP server.")
    host: Line = Field(description="Name of the server.")
    port: Port = Field(22, description="Port of the server.")
    user: Line = Field(description="The user who logs in.")
    password: Secret | None = Field(None, description="Reference to the password.")
    private_key: Secret | None = Field(
        None, description="Reference to an ed25519 or RSA key."
    )
    host_key: str = Field(
        pattern=HOST_KEY_PATTERN,
        description="The server's key, as ssh-keygen -lf prints it.",
    )


class WebhookConnection(_Connection):
    """An HTTP address that takes signed messages."""

    type: Literal["webhook"] = Field(description="An address for signed messages.")
    url: Line = Field(description="The address that is called.")
    secret: Secret | list[Secret] | None = Field(
        None, description="What messages are signed with; two while rotating."
    )
    headers: dict[str, str] = Field({}, description="Sent with each message.")


class AzureConnection(_Connection):
    """An account of Azure Blob Storage."""

    type: Literal["azure"] = Field(description="An account of Azure Blob Storage.")
    account_url: Line = Field(
        description="The account's address: https://ACCOUNT.blob.core.windows.net"
    )
    credential: Secret | None = Field(
        None, description="Reference to a key or token (the machine's own identity)."
    )


class GcsConnection(_Connection):
    """Google Cloud Storage."""

    type: Literal["gcs"] = Field(description="Google Cloud Storage.")
    endpoint: Line | None = Field(None, description="Another address, for tests.")
    credential: Secret | None = Field(
        None, description="Reference to a service account's JSON (the machine's own)."
    )


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

ConnectionSpec = Annotated[
    Annotated[DuckDBConnection, Tag("<=duckdb>")]
    | Annotated[SQLiteConnection, Tag("<=sqlite>")]
    | Annotated[PostgresConnection, Tag("<=postgres>")]
    | Annotated[SQLConnection, Tag("<=sql>")]
    | Annotated[SmtpConnection, Tag("<=smtp>")]
    | Annotated[SesConnection, Tag("<=ses>")]
    | Annotated[S3Connection, Tag("<=s3>")]
    | Annotated[SftpConnection, Tag("<=sftp>")]
    | Annotated[WebhookConnection, Tag("<=webhook>")]
    | Annotated[AzureConnection, Tag("<=azure>")]
    | Annotated[GcsConnection, Tag("<=gcs>")],
    Discriminator(by_type),
]


def aws_keys(
    spec: SesConnection | S3Connection, resolve: Callable[[Any], str]
) -> dict[str, str]:
    """As botocore's sessions and clients take them; none: the machine's own role."""
    return {
        f"aws_{field}": resolve(secret)
        for field in ("access_key_id", "secret_access_key")
        if (secret := getattr(spec, field)) is not None
    }
