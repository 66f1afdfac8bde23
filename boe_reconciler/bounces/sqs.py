"""A queue of Amazon SQS with the notifications of SES.

What was understood is deleted; the rest stays until the queue's own retention, or its
dead-letter queue, takes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from boe_reconciler.core.bounces import read_ses
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.ports import Returned, SecretResolver
from boe_reconciler.core.resources.connection import SesConnection, aws_keys
from boe_reconciler.core.wording import one_line

#: Of one call, as SQS has it.
_TOGETHER = 10
#: Seconds in which nobody else gets a message that we look at.
_OURS = 300
_CONNECT, _ANSWER = 5, 15
_REFUSED = (
    *("AccessDenied", "AccessDeniedException", "InvalidClientTokenId"),
    *("SignatureDoesNotMatch", "ExpiredToken", "UnrecognizedClientException"),
)


def create(connection: SesConnection, secrets: SecretResolver) -> Queue:
    return Queue(connection, secrets)


class Queue:
    def __init__(self, connection: SesConnection, secrets: SecretResolver) -> None:
        assert connection.bounces is not None  # noqa: S101 else nobody looks there
        self._spec, self._secrets = connection, secrets
        self._url = connection.bounces.queue_url

    def check(self) -> None:
        self._call("get_queue_attributes", AttributeNames=["QueueArn"])

    def arrived(self, most: int) -> Iterator[Returned]:
        left = most
        while left > 0:
            answer = self._call(
                "receive_message",
                MaxNumberOfMessages=min(left, _TOGETHER),
                VisibilityTimeout=_OURS,
            )
            found = answer.get("Messages", [])
            if not found:
                return
            left -= len(found)
            for one in found:
                text = str(one["Body"])
                yield Returned(
                    name=str(one["ReceiptHandle"]),
                    digest=hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
                    report=read_ses(text),
                )

    def put_away(self, one: Returned, *, understood: bool) -> None:
        if understood:
            self._call("delete_message", ReceiptHandle=one.name)

    def close(self) -> None:
        if "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        spec = self._spec
        keys = aws_keys(spec, self._secrets.resolve)
        config = Config(
            connect_timeout=_CONNECT,
            read_timeout=_ANSWER,
            retries={"total_max_attempts": 1},
        )
        session = boto3.session.Session(region_name=spec.region, **keys)
        return session.client("sqs", config=config)

    def _call(self, verb: str, **given: Any) -> Any:
        try:
            return getattr(self._client, verb)(QueueUrl=self._url, **given)
        except Exception as error:
            raise _translated(error) from error


def _translated(error: Exception) -> RunError:
    from botocore import exceptions

    if isinstance(error, RunError):
        return error
    told = f"the queue of SES cannot be read: {one_line(str(error))}"[:300]
    if isinstance(error, exceptions.ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        refused = code in _REFUSED or "NonExistentQueue" in code
        todo = "check `bounces.queue_url`, and that we may receive and delete there"
        return (
            Permanent("queue_refused", told, todo)
            if refused
            else Temporary("queue_unavailable", told)
        )
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        return Temporary("unreachable", told)
    return Permanent("queue_settings", told, "check the Connection")
