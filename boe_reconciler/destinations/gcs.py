"""A bucket of Google Cloud Storage.

What is larger than a part goes as a resumable upload, one part in memory at a time; it
becomes an object with its last part, and ends by itself after a week where it stops
before. The SDK proves the bytes by their CRC32C.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from boe_reconciler.core import retry
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Means, SecretResolver
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

#: As long as a signed link may live.
MAX_LINK = timedelta(days=7)
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
#: What the store answers -> our reason. These last until somebody acts.
_FINAL = {401: "bad_credentials", 403: "no_permission", 404: "bucket_missing"}
_LATER = {429: "rate_limited", 408: "timeout"}
_HELP = {
    "no_permission": "it needs the role Storage Object User on this bucket",
    "bad_credentials": "check credential, and this machine's clock",
    "bucket_missing": "create it, or mend its name",
}


def create(means: Means) -> ObjectDestination:
    return ObjectDestination(means=means, open=partial(GcsStore, means))


def check(connection: Any, secrets: SecretResolver) -> None:
    """Whether the store knows the Connection's credential."""
    try:
        with _translated(), closing(_client(connection, secrets)) as client:
            client.lookup_bucket("boe", timeout=PATIENCE, retry=None)
    except Permanent as error:
        if error.reason != "no_permission":
            raise


class GcsStore:
    def __init__(self, means: Means, spec: Any) -> None:
        connection = means.connections[spec.connection]
        self._spec = spec
        self._endpoint = connection.endpoint
        self._calmly = {"timeout": _patience(connection), "retry": None}
        with _translated():
            self._client = _client(connection, means.secrets, means.hosts)
            self._bucket = self._client.bucket(spec.bucket)
            self._check_owner()
        self.url = f"gs://{spec.bucket}"

    def find(self, key: str) -> Found | None:
        with _translated():
            shown = self._bucket.get_blob(key, **self._calmly)
        if shown is None:
            return None
        metadata = {name.lower(): text for name, text in (shown.metadata or {}).items()}
        return Found(bytes=shown.size, metadata=metadata, receipt=f"{shown.generation}")

    def write(self, item: Item, source: Source) -> None:
        with _translated():
            blob = self._bucket.blob(
                item.key, chunk_size=PART, kms_key_name=self._spec.sse
            )
            blob.metadata = {**self._spec.tags, **item.metadata}
            if self._spec.storage_class:
                blob.storage_class = self._spec.storage_class
            item.begin({})
            blob.upload_from_file(
                source,
                size=item.bytes,
                content_type=item.media_type,
                if_generation_match=None if item.overwrite else 0,
                checksum="crc32c",
                **self._calmly,
            )

    def abandon(self, intent: Mapping[str, str]) -> None:
        """An upload without an object ends by itself."""

    def link(self, key: str, expires: timedelta) -> str:
        from google.auth.credentials import Signing

        if expires > MAX_LINK:
            detail = f"a link of Google Cloud Storage cannot work for {expires}"
            raise Permanent("link_too_long", detail, "shorten `expires` to 7d at most")
        if not isinstance(self._client._credentials, Signing):
            detail = "these credentials cannot sign a link"
            todo = "give the Connection a service account's JSON"
            raise Permanent("link_impossible", detail, todo)
        with _translated():
            url: str = self._bucket.blob(key).generate_signed_url(
                version="v4",
                expiration=expires,
                api_access_endpoint=self._endpoint,
                credentials=self._client._credentials,
            )
        return url

    def close(self) -> None:
        self._client.close()

    def _check_owner(self) -> None:
        """Of a bucket whose owner matters: its project's number."""
        wanted = self._spec.expected_bucket_owner
        if wanted is None:
            return
        self._bucket.reload(**self._calmly)
        if str(self._bucket.project_number) != wanted:
            detail = f"the bucket belongs to project {self._bucket.project_number}"
            raise Permanent("wrong_owner", detail, "see expected_bucket_owner")


def _patience(spec: Any) -> tuple[float, float]:
    """Seconds until there is a connection, and until an answer."""
    seconds = spec.timeout.total_seconds() if spec.timeout else PATIENCE
    return min(seconds, 10.0), seconds


def _client(
    spec: Any, secrets: SecretResolver, hosts: Sequence[str] | None = None
) -> Any:
    try:
        from google.auth.transport.requests import AuthorizedSession
        from google.cloud import storage
    except ImportError as error:
        raise extra_missing("gcs") from error

    credentials = _credentials(spec, secrets)
    session: Any = AuthorizedSession(credentials)
    ask = session.request

    def judged(method: str, url: str, *more: Any, **given: Any) -> Any:
        """Goes nowhere but where it was sent."""
        _reach.refuse(url, spec.endpoint, hosts)
        return ask(method, url, *more, **{**given, "allow_redirects": False})

    session.request = judged
    return storage.Client(
        project="boe",  # named in no request of ours
        credentials=credentials,
        _http=session,
        client_options={"api_endpoint": spec.endpoint} if spec.endpoint else None,
    )


def _credentials(spec: Any, secrets: SecretResolver) -> Any:
    """A service account's; else the machine's own, or none for another address."""
    import google.auth
    from google.auth.credentials import AnonymousCredentials
    from google.oauth2.service_account import Credentials

    if spec.credential is None:
        if spec.endpoint:
            return AnonymousCredentials()
        return google.auth.default(scopes=[_SCOPE])[0]
    try:
        told = json.loads(secrets.resolve(spec.credential))
        return Credentials.from_service_account_info(told, scopes=[_SCOPE])
    except (ValueError, TypeError):
        detail = "the credential is not a service account's JSON"
        raise Permanent("bad_credentials", detail) from None


# --- Errors -------------------------------------------------------------------


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the SDK become ours."""
    try:
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.cloud.storage.exceptions import DataCorruption
        from requests.exceptions import RequestException
    except ImportError as error:
        raise extra_missing("gcs") from error
    try:
        yield
    except GoogleAPICallError as error:
        raise _answered(error.code or 0, error.message, error.response) from error
    except DataCorruption as error:
        raise Temporary("damaged", f"{error}") from error
    except (RequestException, TransportError) as error:
        raise _unanswered(error) from error
    except GoogleAuthError as error:
        raise _unauthorised(error) from error
    except ValueError as error:
        raise Permanent("refused", f"{error}") from error


def _unanswered(error: Exception) -> RunError:
    from requests.exceptions import SSLError, Timeout

    if isinstance(error, SSLError):
        return Permanent("bad_certificate", f"{error}")
    late = isinstance(error, Timeout)
    return Temporary("timeout" if late else "connection_lost", f"{error}")


def _unauthorised(error: Any) -> RunError:
    if getattr(error, "retryable", False):
        return Temporary("far_side_error", f"{error}")
    return Permanent("bad_credentials", f"{error}", _HELP["bad_credentials"])


def _answered(status: int, words: str, response: Any) -> RunError:
    """Of what the store answered."""
    if status in (409, 412):
        return Taken()
    detail = f"the store answers {status}: {words}"
    if status >= 500 or status in _LATER:
        reason = _LATER.get(status, "far_side_error")
        return Temporary(reason, detail, delay=_delay(response))
    reason = _FINAL.get(status, "refused")
    return Permanent(reason, detail, _HELP.get(reason, ""))


def _delay(response: Any) -> timedelta | None:
    headers = response.headers if response is not None else {}
    return retry.asked(headers)
