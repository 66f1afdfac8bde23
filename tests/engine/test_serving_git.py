"""The reconciler over a real git repo: refusals, rewritten histories, outages."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.blobs import folder
from boe_reconciler.core.errors import Refused, Temporary
from boe_reconciler.core.remote import GitRemote
from boe_reconciler.engine import reconciler as reconciler_module
from boe_reconciler.engine.reconciler import Reconciler
from boe_reconciler.engine.telling import Postman, Teller
from boe_reconciler.ledgers.memory import MemoryLedger
from boe_reconciler.repos.git import GitRepo
from tests.engine.world import HandClock
from tests.folders import document, schedule, until
from tests.gits import Upstream, a_remote, a_repo, needs_keys, signing, ssh_key


class Noted(MemoryLedger):
    """A ledger that also tells what was noted of no run."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []
        self.fails = 0
        self.takes_notes = True

    def activate(self, activation: Any, *, now: datetime) -> None:
        if self.fails:
            self.fails -= 1
            raise Temporary("ledger_unavailable", "The disk is full.")
        super().activate(activation, now=now)

    def note(self, events: Any) -> None:
        if not self.takes_notes:
            raise Temporary("ledger_unavailable", "The disk is full.")
        self.noted += [one.action for one in events]
        super().note(events)


@dataclass
class Site:
    upstream: Upstream
    state: Path
    ledger: Noted
    repo: GitRepo | None = None

    def reconciler(self, **fields: Any) -> Reconciler:
        remote: GitRemote = a_remote(self.upstream.path, **fields)
        if self.repo is not None:
            self.repo.close()
        self.repo = a_repo(self.state, remote)
        return Reconciler(
            repo=self.repo,
            ledger=self.ledger,
            blobs=folder.create(self.state / "blobs"),
            clock=HandClock(),
        )

    def push(self, *documents: Any, **options: Any) -> str:
        self.upstream.tree.clear()
        connection = document("Connection", "none", {"type": "duckdb"})
        for one in (connection, *documents):
            kind, name = one["kind"].lower(), one["metadata"]["name"]
            path = "policy.yaml" if kind == "policy" else f"{kind}s/{name}.yaml"
            self.upstream.write(path, json.dumps(one))
        return f"main@sha1:{self.upstream.commit(**options)}"

    def serving(self) -> str | None:
        return self.ledger.served().serving


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(Upstream(tmp_path / "upstream.git"), tmp_path / "state", Noted())
    yield found
    if found.repo is not None:
        found.repo.close()


START = datetime(2026, 11, 24, tzinfo=UTC)
HOLDING = document("Policy", "policy", {"hold_rewritten_history": True})


def test_a_commit_is_served_and_named(site: Site) -> None:
    revision = site.push(schedule("a"))
    plan = site.reconciler().reconcile()
    assert (plan.problems, site.serving()) == ([], revision)
    assert site.ledger.schedule_spec("a") is not None
    assert site.ledger.noted == []


def test_a_stored_file_of_what_is_served_that_is_gone_is_stored_at_the_next_start(
    site: Site,
) -> None:
    spec = {"connection": "none", "query_file": "../schedules/sales.sql"}
    site.push(document("Report", "sales", spec), schedule("a"))
    site.upstream.write("schedules/sales.sql", "select 1 as one")
    site.upstream.commit()
    first = site.reconciler()
    first.reconcile()
    [sha256] = [*first.blobs]
    stored = first.blobs.path(sha256)
    stored.unlink()
    site.reconciler().reconcile()
    assert first.blobs.read(sha256) == b"select 1 as one"


def test_each_commit_is_told_of_also_one_that_is_refused(site: Site) -> None:
    first = site.push(HOLDING, schedule("a"))
    reconciler = site.reconciler()
    clock, sent = HandClock(), {}
    postman = Postman(
        channel="forge",
        send=lambda owed: sent.update({owed.key: owed.body["state"]}),
        ledger=site.ledger,
        clock=clock,
        random=lambda: 0.5,
    )
    reconciler.teller = Teller(
        ledger=site.ledger,
        clock=clock,
        postmen=[postman],
        remind=timedelta(hours=24),
    )
    reconciler.reconcile()
    second = site.push(HOLDING, schedule("b"), parent=None)
    reconciler.reconcile()
    postman.round()
    commits = [one.rpartition(":")[2] for one in (first, second)]
    assert sent == dict(zip(commits, ("success", "failure"), strict=True))
    (incident,) = site.ledger.notices()
    assert "Nothing of it is served. " in incident.message


def test_a_rewritten_history_is_told_once_and_served(site: Site) -> None:
    site.push(schedule("a"))
    reconciler = site.reconciler()
    reconciler.reconcile()
    revision = site.push(schedule("b"), parent=None)
    reconciler.reconcile()
    reconciler.reconcile()
    assert site.ledger.noted == ["history_rewritten"]
    assert site.serving() == revision


def test_a_rewritten_history_waits_where_the_served_policy_says_so(site: Site) -> None:
    old = site.push(HOLDING, schedule("a"))
    reconciler = site.reconciler()
    reconciler.reconcile()
    new = site.push(schedule("a", query="select 2 as two"), parent=None)
    for _ in range(2):
        plan = reconciler.reconcile()
    assert [one.code for one in plan.problems] == ["BOE196"]
    served = site.ledger.served()
    assert (served.serving, served.attempted) == (old, new)
    assert {one.reason for one in served.statuses} == {"Refused"}
    assert site.ledger.noted == ["history_rewritten", "revision_refused"]
    spec = site.ledger.schedule_spec("a")
    assert spec is not None
    assert spec.report.query == "select 1 as one"
    # What somebody releases goes on, and only that.
    (hold,) = site.ledger.holds()
    site.ledger.release(hold.hold_id, by="ada", why="I pushed it.", now=START)
    other = site.push(schedule("c"), parent=None)
    assert reconciler.reconcile().activation.serving is None
    (hold,) = site.ledger.holds()
    assert (hold.subject, hold.waits) == (other, True)
    site.ledger.release(hold.hold_id, by="ada", why="I pushed it.", now=START)
    reconciler.reconcile()
    assert (site.serving(), site.ledger.holds()) == (other, [])
    assert {one.reason for one in site.ledger.served().statuses} == {"Served"}


def test_removals_wait_for_a_trailer(site: Site) -> None:
    many = [schedule(f"s{number}") for number in range(8)]
    site.push(*many)
    reconciler = site.reconciler()
    reconciler.reconcile()
    site.push(many[0], message="Remove\n\nBoe-Allow-Removals: 6")
    plan = reconciler.reconcile()
    assert [one.code for one in plan.problems] == ["BOE138"]
    assert len(site.ledger.states()) == 8
    site.push(many[0], message="Really\n\nBoe-Allow-Removals: 7")
    assert reconciler.reconcile().problems == []
    assert [one.name for one in site.ledger.states()] == ["s0"]


@needs_keys
def test_an_unsigned_commit_is_told_and_the_signed_one_goes_on(
    site: Site, tmp_path: Path
) -> None:
    key = ssh_key(tmp_path / "key")
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.com {key.with_suffix('.pub').read_text()}")
    unsigned = site.push(schedule("a"))
    reconciler = site.reconciler(allowed_signers=signers)
    with pytest.raises(Refused):
        reconciler.reconcile()
    assert site.serving() is None
    signing(site.upstream, key)
    signed = site.push(schedule("b"))
    reconciler.reconcile()
    site.upstream.config = {}
    unsigned = site.push(schedule("c"))
    for _ in range(2):
        plan = reconciler.reconcile()
    assert [one.code for one in plan.problems] == ["BOE195"]
    assert (site.serving(), site.ledger.served().attempted) == (signed, unsigned)
    assert [one.name for one in site.ledger.states()] == ["b"]
    assert site.ledger.noted == ["revision_refused"]


def test_an_outage_is_told_once_and_its_end_too(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    caplog.set_level(logging.INFO, "boe_reconciler")
    monkeypatch.setattr(reconciler_module, "LOOK", 0.02)
    monkeypatch.setattr("boe_reconciler.repos.git._FIRST", timedelta(milliseconds=20))
    monkeypatch.setattr("boe_reconciler.repos.git._LONGEST", timedelta(milliseconds=50))
    revision = site.push(schedule("a"))
    reconciler = site.reconciler(poll=timedelta(milliseconds=20))
    stop = threading.Event()
    watcher = threading.Thread(target=reconciler.watch, args=(stop,))
    watcher.start()
    try:
        until(lambda: site.serving() == revision)
        site.upstream.path.rename(tmp_path / "away")
        until(lambda: site.repo and site.repo._failures > 3)
        assert site.serving() == revision
        assert site.ledger.noted == ["reconcile_failed"]
        (tmp_path / "away").rename(site.upstream.path)
        until(lambda: site.ledger.noted[1:])
        assert site.ledger.noted == ["reconcile_failed", "reconcile_recovered"]
        newer = site.push(schedule("b"))
        until(lambda: site.serving() == newer)
    finally:
        stop.set()
        watcher.join()
    failed = [one for one in caplog.records if one.message == "reconcile_failed"]
    assert [getattr(one, "reason", None) for one in failed] == ["git_unreachable"]


@pytest.mark.parametrize(
    ("takes_notes", "noted"),
    [(True, ["reconcile_failed", "reconcile_recovered"]), (False, [])],
)
def test_a_commit_that_could_not_be_activated_is_tried_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, takes_notes: bool, noted: list[str]
) -> None:
    """The branch does not move again because our disk was full."""
    monkeypatch.setattr(reconciler_module, "LOOK", 0.02)
    monkeypatch.setattr(reconciler_module, "AGAIN", 0.0)
    revision = site.push(schedule("a"))
    site.ledger.fails, site.ledger.takes_notes = 2, takes_notes
    reconciler = site.reconciler(poll=timedelta(hours=1))
    stop = threading.Event()
    watcher = threading.Thread(target=reconciler.watch, args=(stop,))
    watcher.start()
    try:
        until(lambda: site.serving() == revision)
        until(lambda: len(site.ledger.noted) == len(noted))
        newer = site.push(schedule("b"))
        reconciler.repo.hurry()
        until(lambda: site.serving() == newer)
    finally:
        stop.set()
        watcher.join()
    assert site.ledger.noted == noted
