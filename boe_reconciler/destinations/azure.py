"""A container of Azure Blob Storage.

What is larger than a part goes in blocks, one in memory at a time, each with its MD5;
the list of blocks that makes an object of them is the act. Blocks that never get that
far are removed by Azure after a week.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from boe_reconciler.core import retry
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Clock, Means, SecretResolver
from boe_reconciler.destinations import _reach
from boe_reconciler.destinations._objects import (
    PART,
    PATIENCE,
    Found,
    Item,
    ObjectDestination,
    Source,
    Taken,
    extra_missing,
)

#: As long as a link may live that an identity signs; one of a key has no limit.
MAX_LINK = timedelta(days=7)
#: What the store calls an error -> our reason. These last until somebody acts.
_FINAL = {
    "AccountIsDisabled": "no_permission",
    "AuthenticationFailed": "bad_credentials",
    "AuthorizationFailure": "no_permission",
    "AuthorizationPermissionMismatch": "no_permission",
    "ContainerNotFound": "bucket_missing",
    "InsufficientAccountPermissions": "no_permission",
    "InvalidAuthenticationInfo": "bad_credentials",
}
_BY_STATUS = {401: "bad_credentials", 403: "no_permission", 404: "bucket_missing"}
_LATER = {
    "Md5Mismatch": "damaged",
    "OperationTimedOut": "timeout",
    "ServerBusy": "rate_limited",
}
_HELP = {
    "no_permission": "it needs the role Storage Blob Data Contributor, or rights r, c, w",
    "bad_credentials": "check credential, and this machine's clock",
    "bucket_missing": "create the container, or mend its name",
}


def create(means: Means) -> ObjectDestination:
    return ObjectDestination(means=means, open=partial(AzureStore, means))


def check(connection: Any, secrets: SecretResolver) -> None:
    """Whether the account knows the Connection's credential."""
    try:
        with _translated(), closing(_service(connection, secrets)) as service:
            service.get_account_information()
    except Permanent as error:
        if error.reason != "no_permission":
            raise


class AzureStore:
    def __init__(self, means: Means, spec: Any) -> None:
        connection = means.connections[spec.connection]
        with _translated():
            self._service = _service(connection, means.secrets, means.hosts)
        self._name = spec.container
        self._clock: Clock = means.clock
        self.url = f"{self._service.primary_endpoint.partition('?')[0].rstrip('/')}/{spec.container}"

    def find(self, key: str) -> Found | None:
        from azure.core.exceptions import ResourceNotFoundError

        with _translated():
            try:
                shown = self._blob(key).get_blob_properties()
            except ResourceNotFoundError as error:
                if _code(error) == "ContainerNotFound":
                    raise
                return None
        return Found(
            bytes=shown.size,
            metadata={_ours(name): text for name, text in shown.metadata.items()},
            receipt=shown.version_id or shown.etag.strip('"'),
        )

    def write(self, item: Item, source: Source) -> None:
        from azure.storage.blob import ContentSettings

        with _translated():
            item.begin({})
            self._blob(item.key).upload_blob(
                source,
                length=item.bytes,
                overwrite=item.overwrite,
                metadata={_theirs(name): text for name, text in item.metadata.items()},
                content_settings=ContentSettings(content_type=item.media_type),
                max_concurrency=1,
                validate_content=True,
            )

    def abandon(self, intent: Mapping[str, str]) -> None:
        """Blocks without an object end by themselves."""

    def link(self, key: str, expires: timedelta) -> str:
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        with _translated():
            until = self._clock.now() + expires
            signed: str = generate_blob_sas(
                self._service.account_name,
                self._name,
                key,
                permission=BlobSasPermissions(read=True),
                expiry=until,
                **self._signer(expires),
            )
        return f"{self._blob(key).url.partition('?')[0]}?{signed}"

    def close(self) -> None:
        self._service.close()

    def _signer(self, expires: timedelta) -> dict[str, Any]:
        """What a link is signed with."""
        from azure.core.credentials import AzureNamedKeyCredential

        credential = self._service.credential
        if hasattr(credential, "account_key"):
            return {"account_key": credential.account_key}
        if isinstance(credential, AzureNamedKeyCredential):
            return {"account_key": credential.named_key.key}
        if not hasattr(credential, "get_token"):
            detail = "a token (SAS) cannot sign links"
            raise Permanent("link_impossible", detail, "give the account's key")
        if expires > MAX_LINK:
            detail = f"a link of an identity cannot work for {expires}"
            raise Permanent("link_too_long", detail, "shorten `expires` to 7d at most")
        now = self._clock.now()
        key = self._service.get_user_delegation_key(now, now + expires)
        return {"user_delegation_key": key}

    def _blob(self, key: str) -> Any:
        return self._service.get_blob_client(self._name, key)


def _service(
    spec: Any, secrets: SecretResolver, hosts: Sequence[str] | None = None
) -> Any:
    try:
        from azure.storage.blob import BlobServiceClient
    except ImportError as error:
        raise extra_missing("azure") from error

    def judge(request: Any) -> None:
        _reach.refuse(request.http_request.url, spec.account_url, hosts)

    patience = spec.timeout.total_seconds() if spec.timeout else PATIENCE
    return BlobServiceClient(
        spec.account_url,
        credential=_credential(spec, secrets),
        retry_total=0,  # ours are the retries
        permit_redirects=False,
        connection_timeout=min(patience, 10.0),
        read_timeout=patience,
        max_single_put_size=PART,
        max_block_size=PART,
        raw_request_hook=judge,
    )


def _credential(spec: Any, secrets: SecretResolver) -> Any:
    """A token as it is, a key with its account's name; None: the machine's identity."""
    from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

    if spec.credential is None:
        try:
            from azure.identity import DefaultAzureCredential
        except ImportError as error:
            raise extra_missing("azure") from error
        return DefaultAzureCredential()
    value = secrets.resolve(spec.credential)
    if "sig=" in value:
        return AzureSasCredential(value.removeprefix("?"))
    url = urlsplit(spec.account_url)
    in_path = url.path.strip("/").partition("/")[0]  # as emulators have it
    name = in_path or (url.hostname or "").partition(".")[0]
    return AzureNamedKeyCredential(name, value)


def _theirs(name: str) -> str:
    """Azure's metadata has names as C# has them."""
    return name.replace("-", "_")


def _ours(name: str) -> str:
    return name.lower().replace("_", "-")


# --- Errors -------------------------------------------------------------------


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the SDK become ours."""
    try:
        from azure.core import exceptions as sdk
    except ImportError as error:
        raise extra_missing("azure") from error
    try:
        yield
    except (sdk.ServiceRequestTimeoutError, sdk.ServiceResponseTimeoutError) as error:
        raise Temporary("timeout", error.message) from error
    except (sdk.ServiceRequestError, sdk.ServiceResponseError) as error:
        raise _unanswered(error) from error
    except sdk.HttpResponseError as error:
        raise _answered(error) from error
    except sdk.AzureError as error:
        raise Permanent("bad_credentials", error.message) from error
    except ValueError as error:
        # Such as a key that is no base64, or an address that is none.
        raise Permanent("refused", f"{error}") from error


def _unanswered(error: Any) -> RunError:
    kind = "timeout" if "timed out" in error.message else "connection_lost"
    if "CERTIFICATE_VERIFY_FAILED" in error.message:
        return Permanent("bad_certificate", error.message)
    return Temporary(kind, error.message)


def _code(error: Any) -> str:
    code = getattr(error, "error_code", None) or ""
    return str(getattr(code, "value", code))


def _answered(error: Any) -> RunError:
    """Of what the store answered."""
    code, status = _code(error), error.status_code or 0
    if status in (409, 412) and code not in _FINAL:
        return Taken()
    words = (error.message or "").partition("\n")[0]
    detail = f"the store answers {status} {code}: {words}"
    if code in _LATER or status >= 500 or status in (408, 429):
        return Temporary(
            _LATER.get(code, "far_side_error"), detail, delay=_delay(error)
        )
    reason = _FINAL.get(code) or _BY_STATUS.get(status, "refused")
    return Permanent(reason, detail, _HELP.get(reason, ""))


def _delay(error: Any) -> timedelta | None:
    headers = error.response.headers if error.response is not None else {}
    return retry.asked(headers)
