"""What every ledger promises of rows for recipients, and of sending them again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import (
    ASKED,
    DeliveryKey,
    DeliveryStatus,
    NewDelivery,
    Outcome,
    Resend,
    RunStatus,
)
from tests.builders import (
    a_delivery,
    a_manual_run,
    a_schedule,
    an_activation,
    an_artifact,
    at,
)

NOW = at("2026-03-01 06:30")
NAMES = ("anna@example.com", "bob@example.com", "carl@example.com")
REFUSED = Outcome(status=DeliveryStatus.REFUSED, reason="refused")
SILENT = Outcome(status=DeliveryStatus.UNCONFIRMED, reason="answer_lost")
ACCEPTED = Outcome(status=DeliveryStatus.ACCEPTED)
AGAIN = Outcome(status=DeliveryStatus.DEFERRED, reason="unconfirmed", in_doubt=True)


@pytest.fixture
def run_id(ledger: Ledger) -> str:
    """A run that ended: one recipient got its mail, one was refused, one is in doubt."""
    ledger.activate(an_activation(a_schedule("daily")), now=NOW)
    [run_id] = ledger.enqueue([a_manual_run(now=NOW)], now=NOW)
    [claimed] = ledger.claim("worker", now=NOW, limit=1)
    ledger.begin_attempt(claimed.claim, parameters={}, now=NOW)
    files = [replace(an_artifact(), part=part, format=part) for part in ("csv", "json")]
    burst = replace(files[0], part="n", key="north", values={"region": "Nørd"})
    rows = [
        NewDelivery(
            key=DeliveryKey(
                run_id=run_id, part="-", destination="team/mail", recipient=name
            ),
            type="email",
            role="to",
        )
        for name in NAMES
    ]
    ledger.commit_artifacts(claimed.claim, [*files, burst], rows, now=NOW)
    for row, outcome in zip(rows, (ACCEPTED, REFUSED, SILENT), strict=True):
        ledger.intend(claimed.claim, row.key, {"stored": row.key.identity}, now=NOW)
        ledger.settle(claimed.claim, row.key, outcome, now=NOW)
    ledger.finish(claimed.claim, RunStatus.PARTIAL, "refused", "", now=NOW)
    return run_id


def again(ledger: Ledger, run_id: str, **wanted: object) -> list[str]:
    keys = ledger.reopen(run_id, Resend(**wanted), now=NOW)  # type: ignore[arg-type]  # its fields
    return [f"{key.recipient} {key.copy}" for key in keys]


def test_what_a_row_and_a_file_are_is_kept(ledger: Ledger, run_id: str) -> None:
    record = ledger.run(run_id)
    assert record is not None
    assert [one.role for one in record.deliveries] == ["to"] * 3
    assert record.artifacts[-1].values == {"region": "Nørd"}
    assert (record.artifacts[-1].key, record.artifacts[0].format) == ("north", "csv")
    assert ledger.broken_invariants(now=NOW) == []


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({}, [f"{NAMES[1]} 0", f"{NAMES[2]} 0"]),
        ({"recipient": "BOB@Example.com"}, [f"{NAMES[1]} 0"]),
        ({"states": [DeliveryStatus.UNCONFIRMED]}, [f"{NAMES[2]} 0"]),
        (
            {"destination": "team", "everything": True, "recipient": NAMES[0]},
            [f"{NAMES[0]} 1"],
        ),
        ({"destination": "other"}, []),
        ({"to": "me@example.com"}, ["me@example.com 0"]),
        ({"to": NAMES[0]}, [f"{NAMES[0]} 1"]),
    ],
)
def test_a_resend_takes_what_is_wanted_and_nothing_else(
    ledger: Ledger, run_id: str, wanted: dict[str, object], keys: list[str]
) -> None:
    assert again(ledger, run_id, **wanted) == keys
    record = ledger.run(run_id)
    assert record is not None
    roles = {one.key.recipient: one.role for one in record.deliveries if one.key.copy}
    roles |= {one.key.recipient: one.role for one in record.deliveries}
    assert roles.get("me@example.com", ASKED) == ASKED


def test_more_rows_can_be_owed_after_the_export_and_none_twice(
    ledger: Ledger, run_id: str
) -> None:
    again(ledger, run_id)
    [claimed] = ledger.claim("worker", now=NOW, limit=1)
    new = replace(
        a_delivery(run_id), key=DeliveryKey(run_id=run_id, part="csv", destination="b")
    )
    for _ in range(2):
        ledger.owe(claimed.claim, [new], now=NOW)
        record = ledger.run(run_id)
        assert record is not None
        assert len(record.deliveries) == 4
    none = replace(new, key=replace(new.key, part="pdf"))
    with pytest.raises(Exception, match=r"not committed|needs a file|refuses"):
        ledger.owe(claimed.claim, [none], now=NOW)


def test_a_row_knows_that_it_was_sent_again_by_itself(
    ledger: Ledger, run_id: str
) -> None:
    again(ledger, run_id, recipient=NAMES[2])
    [claimed] = ledger.claim("worker", now=NOW, limit=1)
    key = DeliveryKey(
        run_id=run_id, part="-", destination="team/mail", recipient=NAMES[2]
    )
    ledger.intend(claimed.claim, key, {}, now=NOW)
    ledger.settle(claimed.claim, key, AGAIN, next_attempt_at=NOW, now=NOW)
    record = ledger.run(run_id)
    assert record is not None
    [one] = [one for one in record.deliveries if one.key == key]
    assert (one.resent, one.status) == (True, DeliveryStatus.DEFERRED)
    assert one.linked is False


def test_a_row_knows_that_its_mail_links_from_now_on_also_when_it_is_sent_again(
    ledger: Ledger, run_id: str
) -> None:
    again(ledger, run_id, recipient=NAMES[2])
    [claimed] = ledger.claim("worker", now=NOW, limit=1)
    key = DeliveryKey(
        run_id=run_id, part="-", destination="team/mail", recipient=NAMES[2]
    )
    too_large = Outcome(status=DeliveryStatus.REFUSED, linked=True)
    ledger.settle(claimed.claim, key, too_large, now=NOW)
    ledger.finish(claimed.claim, RunStatus.FAILED, "", "", now=NOW)
    again(ledger, run_id, recipient=NAMES[2])
    record = ledger.run(run_id)
    assert record is not None
    found = {one.key.recipient: one.linked for one in record.deliveries}
    assert found == {NAMES[0]: False, NAMES[1]: False, NAMES[2]: True}


def test_what_was_stored_is_in_use_until_it_is_accepted_or_its_run_is_old(
    ledger: Ledger, run_id: str
) -> None:
    record = ledger.run(run_id)
    assert record is not None
    stored = [one.intent["stored"] for one in record.deliveries]
    day = timedelta(days=1)
    assert set(ledger.blobs_in_use(stored, day, now=NOW)) == set(stored[1:])
    needed = ledger.blobs_needed(day, now=NOW)
    assert set(needed).intersection(stored) == set(stored[1:])
    assert needed[stored[1]] == f"{run_id}, the mail to {NAMES[1]},"
    assert set(ledger.blobs_in_use(stored, day, now=NOW + 2 * day)) == set()
