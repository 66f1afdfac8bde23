"""Notices at a URL: what it is sent, and what it may do to us."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.notices import Owed
from boe_reconciler.notices import webhook
from tests.builders import at
from tests.forges.fake import Fault, Forge, a_forge

NOW = at("2026-03-01 06:30")
OWED = Owed(
    channel="webhook",
    key="1",
    body={"text": "2 of 14 objects, für alle <!channel>"},
    since=NOW,
    next_try=NOW,
)


@pytest.fixture
def fake() -> Iterator[Forge]:
    with a_forge() as made:
        yield made


def send(fake: Forge, path: str = "/services/T0/s3cret") -> None:
    webhook.create(lambda: fake.url + path)(OWED)


def test_a_notice_is_posted_as_text(fake: Forge) -> None:
    fake.down = Fault(status=200)
    send(fake)
    assert fake.requests[0][:2] == ("POST", "/services/T0/s3cret")
    assert json.loads(fake.bodies[0]) == {"text": OWED.body["text"]}


@pytest.mark.parametrize(
    ("fault", "kind", "delay"),
    [
        (Fault(status=503), Temporary, None),
        (Fault(status=429, headers={"Retry-After": "30"}), Temporary, 30),
        (Fault(status=429, headers={"Retry-After": "soon"}), Temporary, None),
        (Fault(status=503, headers={"Retry-After": "9" * 5000}), Temporary, 3600),
        (Fault(status=404), Permanent, None),
        (Fault(status=302, headers={"Location": "http://localhost/"}), Permanent, None),
    ],
)
def test_what_goes_wrong_says_whether_to_try_again_and_tells_no_key(
    fake: Forge, fault: Fault, kind: type[RunError], delay: int | None
) -> None:
    fake.down = fault
    with pytest.raises(kind) as failure:
        send(fake)
    wait = getattr(failure.value, "delay", None)
    assert wait == (None if delay is None else timedelta(seconds=delay))
    assert "s3cret" not in failure.value.told
    assert "127.0.0.1" in failure.value.told


def test_nobody_listening_is_temporary_and_no_address_is_permanent(fake: Forge) -> None:
    fake.url = "http://127.0.0.1:1"
    with pytest.raises(Temporary) as failure:
        send(fake)
    assert "s3cret" not in failure.value.told
    fake.url = "http://[s3cret"
    with pytest.raises(Permanent) as wrong:
        send(fake)
    assert "s3cret" not in wrong.value.told
