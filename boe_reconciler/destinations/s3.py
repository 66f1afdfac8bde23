"""A bucket of S3, or of a store that speaks its language.

What is larger than a part goes as a multipart upload, one part in memory at a time.
Checksums are our own: sha256, or MD5 for look-alikes that know nothing newer.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from functools import cache, partial
from typing import Any
from urllib.parse import quote, urlencode

from boe_reconciler.core import retry
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Means, SecretResolver
from boe_reconciler.core.resources.connection import aws_keys
from boe_reconciler.destinations import _reach
from boe_reconciler.destinations._objects import (
    PART,
    PATIENCE,
    Found,
    Item,
    ObjectDestination,
    Source,
    Taken,
)

#: As many parts as an upload may have; larger files have larger ones.
MAX_PARTS = 10_000
#: As long as a signed link may live, and one that is signed with a role's credentials
#: of which nobody knows how long they last.
MAX_LINK = timedelta(days=7)
MAX_ROLE_LINK = timedelta(hours=12)
#: What the store calls an error -> our reason. These last until somebody acts.
_FINAL = {
    "301": "wrong_region",
    "403": "no_permission",
    "AccessDenied": "no_permission",
    "AllAccessDisabled": "no_permission",
    "AuthorizationHeaderMalformed": "wrong_region",
    "ExpiredToken": "bad_credentials",
    "InvalidAccessKeyId": "bad_credentials",
    "InvalidToken": "bad_credentials",
    "SignatureDoesNotMatch": "bad_credentials",
    "IllegalLocationConstraintException": "wrong_region",
    "PermanentRedirect": "wrong_region",
    "NoSuchBucket": "bucket_missing",
    "KeyTooLongError": "name_too_long",
    "EntityTooLarge": "too_large",
    "RequestTimeTooSkewed": "wrong_clock",
}
#: These may pass.
_LATER = {
    "BadDigest": "damaged",
    "InternalError": "far_side_error",
    "OperationAborted": "busy",
    "QuotaExceeded": "no_space",
    "RequestTimeout": "timeout",
    "ServiceUnavailable": "far_side_error",
    "SlowDown": "rate_limited",
    "XMinioStorageFull": "no_space",
}
#: Somebody's object is in the way, or is just being written.
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
#: A store that knows the key answers so, though it may not list buckets.
_KNOWN = ("no_permission", "refused")
_HELP = {
    "no_permission": "the key needs s3:PutObject, s3:GetObject and s3:ListBucket here",
    "bad_credentials": "check access_key_id and secret_access_key",
    "wrong_region": "set the bucket's region in the Connection",
    "bucket_missing": "create it, or mend its name",
    "wrong_clock": "set this machine's clock",
}


def create(means: Means) -> ObjectDestination:
    return ObjectDestination(means=means, open=partial(S3Store, means))


def check(connection: Any, secrets: SecretResolver) -> None:
    """Whether the store knows the Connection's key."""
    try:
        with _translated(), closing(_client(connection, secrets)) as client:
            client.list_buckets(MaxBuckets=1)
    except Permanent as error:
        if error.reason not in _KNOWN:
            raise


class S3Store:
    def __init__(self, means: Means, spec: Any) -> None:
        connection = means.connections[spec.connection]
        self._spec = spec
        self._sums = connection.checksums == "when_supported"
        with _translated():
            self._client = _client(connection, means.secrets, means.hosts)
        self.url = f"s3://{spec.bucket}"

    def find(self, key: str) -> Found | None:
        from botocore.exceptions import ClientError

        with _translated():
            try:
                head = self._client.head_object(**self._at(key), **self._with_sums())
            except ClientError as error:
                if _status(error) == 404:
                    return None
                raise
        metadata = {name.lower(): text for name, text in head["Metadata"].items()}
        return Found(
            bytes=head["ContentLength"],
            metadata=metadata,
            sha256=_whole_sum(head),
            receipt=head.get("VersionId") or head.get("ETag", "").strip('"'),
        )

    def write(self, item: Item, source: Source) -> None:
        with _translated():
            if item.bytes > PART:
                self._write_parts(item, source)
                return
            body = source.read(item.bytes)
            item.begin({})
            self._client.put_object(
                **self._at(item.key),
                **self._told(item),
                **self._sum(body),
                **_condition(item),
                Body=body,
            )

    def abandon(self, intent: Mapping[str, str]) -> None:
        if "upload" in intent:
            this = self._at(intent["key"]) | {"UploadId": intent["upload"]}
            with suppress(RunError), _translated():
                self._client.abort_multipart_upload(**this)

    def link(self, key: str, expires: timedelta) -> str:
        with _translated():
            most = _longest_link(self._client._request_signer._credentials)
            if expires > most:
                detail = f"a link of S3 cannot work for {expires}; here {most} at most"
                raise Permanent("link_too_long", detail, "shorten `expires`")
            url: str = self._client.generate_presigned_url(
                "get_object",
                Params=self._at(key),
                ExpiresIn=int(expires.total_seconds()),
            )
        return url

    def close(self) -> None:
        self._client.close()

    def _write_parts(self, item: Item, source: Source) -> None:
        algorithm = {"ChecksumAlgorithm": "SHA256"} if self._sums else {}
        at, told = self._at(item.key), self._told(item)
        begun = self._client.create_multipart_upload(**at, **told, **algorithm)
        this = at | {"UploadId": begun["UploadId"]}
        try:
            item.begin({"upload": begun["UploadId"]})
            parts = list(self._parts(item, source, this))
            self._client.complete_multipart_upload(
                **this, **_condition(item), MultipartUpload={"Parts": parts}
            )
        except BaseException:
            # What is left of it costs money and is seen by nobody.
            with suppress(Exception):
                self._client.abort_multipart_upload(**this)
            raise

    def _parts(
        self, item: Item, source: Source, this: Mapping[str, str]
    ) -> Iterator[dict[str, Any]]:
        size = max(PART, -(-item.bytes // MAX_PARTS))
        for number in range(1, -(-item.bytes // size) + 1):
            body = source.read(size)
            sums, part = self._sum(body), {"PartNumber": number}
            sent = self._client.upload_part(**this, **part, **sums, Body=body)
            shown = sums if self._sums else {}
            yield {**part, **shown, "ETag": sent["ETag"]}

    def _at(self, key: str) -> dict[str, str]:
        at = {"Bucket": self._spec.bucket, "Key": key}
        owner = self._spec.expected_bucket_owner
        return at | ({"ExpectedBucketOwner": owner} if owner else {})

    def _told(self, item: Item) -> dict[str, Any]:
        """What the store keeps with an object."""
        spec = self._spec
        told = {"ContentType": item.media_type, "Metadata": dict(item.metadata)}
        if spec.tags:
            told["Tagging"] = urlencode(spec.tags, quote_via=quote)
        if spec.storage_class:
            told["StorageClass"] = spec.storage_class
        return told | _encryption(spec.sse)

    def _sum(self, body: bytes) -> dict[str, str]:
        """By which the store sees that the bytes are those that were sent."""
        if self._sums:
            return {"ChecksumSHA256": _base64(hashlib.sha256(body).digest())}
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        return {"ContentMD5": _base64(digest)}

    def _with_sums(self) -> dict[str, str]:
        return {"ChecksumMode": "ENABLED"} if self._sums else {}


def _client(
    spec: Any, secrets: SecretResolver, hosts: Sequence[str] | None = None
) -> Any:
    from botocore.config import Config
    from botocore.session import Session

    patience = spec.timeout.total_seconds() if spec.timeout else PATIENCE
    config = Config(
        connect_timeout=min(patience, 10.0),
        read_timeout=patience,
        retries={"mode": "standard", "total_max_attempts": 1},  # ours are the retries
        request_checksum_calculation="when_required",  # ours go along instead
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if spec.path_style else "auto"},
        signature_version="s3v4",
    )
    session = Session()
    session.register_component("data_loader", _loader())
    client = session.create_client(
        "s3",
        spec.region,
        endpoint_url=spec.endpoint_url,
        config=config,
        **aws_keys(spec, secrets.resolve),
    )

    def judge(request: Any, **_: Any) -> None:
        _reach.refuse(request.url, spec.endpoint_url, hosts)

    client.meta.events.register("before-send.s3", judge)
    return client


@cache
def _loader() -> Any:
    """Reads the SDK's description of S3 once: two thirds of the time a client takes."""
    from botocore.loaders import create_loader

    return create_loader()


def _condition(item: Item) -> dict[str, str]:
    return {} if item.overwrite else {"IfNoneMatch": "*"}


def _encryption(sse: str | None) -> dict[str, str]:
    """`sse` is AES256, aws:kms, aws:kms:dsse, or the ARN of a key."""
    if sse is None:
        return {}
    if sse.startswith("arn:"):
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": sse}
    return {"ServerSideEncryption": sse}


def _whole_sum(head: Mapping[str, Any]) -> str | None:
    """The store's sha256 of the object; that of a multipart upload is one of its sums."""
    found = head.get("ChecksumSHA256")
    if not found or "-" in head.get("ETag", ""):
        return None
    return base64.b64decode(found).hex()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _longest_link(credentials: Any) -> timedelta:
    """A link dies with the credentials that signed it."""
    if not getattr(credentials, "token", None):
        return MAX_LINK
    left = getattr(credentials, "_seconds_remaining", None)  # of a role
    if getattr(credentials, "_expiry_time", None) is None or left is None:
        return MAX_ROLE_LINK
    return timedelta(seconds=max(int(left()), 0))


# --- Errors -------------------------------------------------------------------


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the SDK become ours."""
    from botocore import exceptions as sdk

    try:
        yield
    except sdk.ClientError as error:
        raise _answered(error) from error
    except (sdk.NoCredentialsError, sdk.PartialCredentialsError) as error:
        todo = "give access_key_id and secret_access_key, or run it under a role"
        raise Permanent("no_credentials", f"{error}", todo) from error
    except sdk.SSLError as error:
        raise Permanent("bad_certificate", f"{error}") from error
    except (sdk.ConnectTimeoutError, sdk.ReadTimeoutError) as error:
        raise Temporary("timeout", f"{error}") from error
    except (sdk.ConnectionError, sdk.HTTPClientError) as error:
        raise Temporary("connection_lost", f"{error}") from error
    except (sdk.BotoCoreError, ValueError) as error:
        # What the SDK cannot even send: a wrong endpoint, a name that cannot be.
        raise Permanent("refused", f"{error}") from error


def _answered(error: Any) -> RunError:
    """Of what the store answered."""
    code, status = str(error.response["Error"].get("Code", "")), _status(error)
    detail = f"the store answers {status} {code}: {error.response['Error'].get('Message', '')}"
    if code in _TAKEN:
        return Taken()
    if code in _FINAL:
        return Permanent(_FINAL[code], detail, _HELP.get(_FINAL[code], ""))
    if code in _LATER or (status >= 500 and status != 501) or status in (408, 429):
        reason = _LATER.get(code, "far_side_error")
        return Temporary(reason, detail, delay=_delay(error))
    return Permanent("refused", detail)


def _delay(error: Any) -> timedelta | None:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return retry.asked(headers)
