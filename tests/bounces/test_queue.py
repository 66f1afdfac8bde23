"""News of mails out of SES's queue, against a server that speaks SQS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from boe_reconciler.bounces import sqs
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import Mailbox
from boe_reconciler.core.resources.connection import SesConnection
from tests.core.test_bounces import NO_EMAIL, a_notification
from tests.mail_servers import ses_server

pytestmark = pytest.mark.slow
REGION = "eu-central-1"


class Keys:
    def resolve(self, secret: Any) -> str:
        return "x"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with ses_server() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", running.url)
        made = boto3.client(
            "sqs",
            region_name=REGION,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        yield made
        made.close()


def queue(url: str) -> Mailbox:
    keys = {"access_key_id": {"env": "A"}, "secret_access_key": {"env": "B"}}
    spec = {"type": "ses", "region": REGION, "bounces": {"queue_url": url}}
    return sqs.create(SesConnection.model_validate(spec | keys), Keys())


def left(client: Any, url: str) -> int:
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return sum(int(found["Attributes"][name]) for name in names)


def test_what_is_understood_is_deleted_and_the_rest_stays(client: Any) -> None:
    url = client.create_queue(QueueName="bounces")["QueueUrl"]
    bounce = json.dumps(a_notification("Bounce", bounce=NO_EMAIL))
    for text in (bounce, "no notification", *[bounce] * 10):
        client.send_message(QueueUrl=url, MessageBody=text)
    box = queue(url)
    box.check()
    found = list(box.arrived(500))
    assert len(found) == 12
    assert len({one.digest for one in found}) == 2
    for one in found:
        box.put_away(one, understood=one.report is not None)
    assert left(client, url) == 1
    box.close()


def test_no_more_is_taken_than_asked_for(client: Any) -> None:
    url = client.create_queue(QueueName="bounces")["QueueUrl"]
    for number in range(15):
        client.send_message(QueueUrl=url, MessageBody=str(number))
    box = queue(url)
    assert len(list(box.arrived(12))) == 12
    box.close()


def test_a_queue_that_is_not_there_is_told(client: Any) -> None:
    url = client.create_queue(QueueName="bounces")["QueueUrl"]
    box = queue(url.replace("bounces", "other"))
    with pytest.raises(Permanent, match="the queue of SES cannot be read"):
        box.check()
    box.close()
