"""A kill as a bounce is heard: it is heard once, and then put away."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from boe_reconciler.core.bounces import tag_of
from boe_reconciler.core.ports import Ledger
from boe_reconciler.core.runs import DeliveryStatus, News, Outcome, RunStatus
from boe_reconciler.ledgers import sqlite
from tests.builders import a_mail, a_manual_run, an_artifact
from tests.core.test_bounces import POSTFIX, a_report
from tests.crashes.nursery import Nursery
from tests.folders import a_folder, schedule

ANNA = "anna@example.com"
CONNECTION = """\
apiVersion: boe/v1
kind: Connection
metadata: {name: post, owner: ops@example.com}
spec: {type: smtp, host: h, from: a@example.com, bounces: {maildir: back}}
"""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def the_ledger(folder: Path) -> Ledger:
    return sqlite.create(folder / ".boe/ledger.sqlite")


def a_mail_that_was_taken(ledger: Ledger) -> tuple[str, str]:
    """Its run, and the tag of its return path."""
    now = datetime.now(UTC)
    [run_id] = ledger.enqueue([a_manual_run(now=now)], now=now)
    [claimed] = ledger.claim("worker", now=now, limit=1)
    mail = a_mail(run_id, ANNA)
    intent = {"message_id": f"<{mail.key.identity}@example.com>"}
    sent = Outcome(status=DeliveryStatus.ACCEPTED)
    ledger.commit_artifacts(claimed.claim, [an_artifact()], [mail], now=now)
    ledger.intend(claimed.claim, mail.key, intent, now=now)
    ledger.settle(claimed.claim, mail.key, sent, now=now)
    ledger.finish(claimed.claim, RunStatus.SUCCEEDED, "", "", now=now)
    return run_id, tag_of(mail.key.identity, ledger.return_key())


def news(folder: Path, run_id: str) -> list[News]:
    ledger = the_ledger(folder)
    try:
        record = ledger.run(run_id)
        assert record is not None
        assert len(ledger.suppressions()) == len(record.news)
        return [one.kind for one in record.news]
    finally:
        ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize(("point", "heard"), [("hear, inside", 0), ("hear, after", 1)])
def test_a_bounce_whose_reader_is_killed_is_heard_once(
    nursery: Nursery, tmp_path: Path, point: str, heard: int
) -> None:
    folder = a_folder(tmp_path / "repo", schedule("daily"))
    (folder / "connections").mkdir(exist_ok=True)
    (folder / "connections/post.yaml").write_text(CONNECTION)
    for name in ("new", "cur", "tmp"):
        (folder / "back" / name).mkdir(parents=True)
    assert nursery.boe(folder, "run", "--once") == 0
    ledger = the_ledger(folder)
    run_id, tag = a_mail_that_was_taken(ledger)
    ledger.close()
    arrived = folder / "back/new/1.mx"
    arrived.write_bytes(a_report(POSTFIX, to=f"a+{tag}@example.com"))
    assert (
        nursery.boe(folder, "run", traps={point: [signal.SIGKILL]}) == -signal.SIGKILL
    )
    assert arrived.exists()
    assert news(folder, run_id) == [News.BOUNCED] * heard
    nursery.boe(folder, "run", traps={"bounce, put away": [signal.SIGTERM]})
    assert news(folder, run_id) == [News.BOUNCED]
    assert [one.name for one in (folder / "back/cur").iterdir()] == ["1.mx:2,S"]
    assert not arrived.exists()
