"""The verbs of `core.ports.Ledger`, each run in a transaction of a Backend."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from boe_reconciler.core.census import Census
from boe_reconciler.core.holds import Hold, Wait
from boe_reconciler.core.limits import ConnectionState
from boe_reconciler.core.notices import Incident, Owed
from boe_reconciler.core.outcome import Ending, Verdict
from boe_reconciler.core.ports import Claimed
from boe_reconciler.core.retention import Swept
from boe_reconciler.core.runs import (
    UNACCEPTED,
    Artifact,
    Claim,
    Delivery,
    DeliveryEvent,
    DeliveryKey,
    Event,
    GapRow,
    NewDelivery,
    NewRun,
    Outcome,
    Pause,
    PauseTarget,
    Resend,
    Run,
    RunRecord,
    RunStatus,
    ScheduleState,
    Tick,
)
from boe_reconciler.core.spec import Activation, RunSpec, Served
from boe_reconciler.core.suppression import Suppression, Told, mailbox
from boe_reconciler.core.troubles import Board
from boe_reconciler.ledgers import (
    _activate,
    _check,
    _claims,
    _holds,
    _limits,
    _news,
    _notices,
    _people,
    _restore,
    _rows,
    _sweep,
    _time,
    _work,
)
from boe_reconciler.ledgers._store import Backend, Query, Store


class StoredLedger:
    """A Ledger on any Backend. See `core.ports.Ledger` for what each verb promises."""

    def __init__(self, backend: Backend, new_uid: Callable[[], str]) -> None:
        self._write = backend.write
        self._read = backend.read
        self._backend = backend
        self._new_uid = new_uid
        self._return_key: bytes | None = None

    # What is served.
    def activate(self, activation: Activation, *, now: datetime) -> None:
        self._write(
            lambda store: _activate.activate(
                store, activation, now=now, new_uid=self._new_uid
            )
        )

    def served(self) -> Served:
        return self._read(lambda store: store.served())

    def environment(self) -> str | None:
        return self._read(lambda store: store.environment())

    def schedule_spec(self, name: str) -> RunSpec | None:
        def look(store: Store) -> RunSpec | None:
            standing = store.standing(name)
            return store.spec(standing.spec_digest) if standing else None

        return self._read(look)

    def served_spec(self, run: Run) -> RunSpec | None:
        return self._read(lambda store: _rows.served_spec(store, run))

    def states(self) -> Sequence[ScheduleState]:
        return self._read(_time.states)

    def high_water(self) -> datetime | None:
        return self._read(lambda store: store.high_mark())

    # Time.
    def materialise(self, *, now: datetime, limit: int = 500) -> Tick:
        return self._write(lambda store: _time.materialise(store, now=now, limit=limit))

    def enqueue(self, runs: Sequence[NewRun], *, now: datetime) -> Sequence[str]:
        return self._write(lambda store: _time.enqueue(store, runs, now=now))

    # Claims.
    def claim(
        self,
        worker: str,
        *,
        now: datetime,
        limit: int,
        only: Collection[str] | None = None,
        begin: bool = False,
    ) -> Sequence[Claimed]:
        wanted = _claims.Wanted(worker=worker, limit=limit, only=only, begin=begin)
        return self._write(lambda store: _claims.claim(store, wanted, now=now))

    def heartbeat(
        self, claims: Sequence[Claim], *, now: datetime
    ) -> Mapping[str, bool]:
        return self._write(lambda store: _claims.heartbeat(store, claims, now=now))

    def expire(self, *, now: datetime, all_leases: bool = False) -> Sequence[str]:
        return self._write(
            lambda store: _claims.expire(store, now=now, all_leases=all_leases)
        )

    def give_back(self, claim: Claim, *, now: datetime) -> None:
        self._write(lambda store: _claims.give_back(store, claim, now=now))

    # Connections.
    def used(
        self,
        connection: str,
        *,
        failure: str | None,
        run_id: str | None = None,
        now: datetime,
    ) -> Sequence[Event]:
        return self._write(
            lambda store: _limits.used(store, connection, failure, run_id, now)
        )

    def limits(self, *, now: datetime) -> Sequence[ConnectionState]:
        return self._read(lambda store: _limits.states(store, now))

    # Within a claim.
    def begin_attempt(
        self, claim: Claim, *, parameters: Mapping[str, str], now: datetime
    ) -> int:
        return self._write(
            lambda store: _work.begin_attempt(store, claim, parameters, now=now)
        )

    def commit_artifacts(
        self,
        claim: Claim,
        artifacts: Sequence[Artifact],
        deliveries: Sequence[NewDelivery],
        *,
        events: Sequence[Event] = (),
        now: datetime,
    ) -> RunRecord:
        def work(store: Store) -> RunRecord:
            store.insert_events(events)
            return _work.commit_artifacts(store, claim, artifacts, deliveries, now=now)

        return self._write(work)

    def owe(
        self, claim: Claim, deliveries: Sequence[NewDelivery], *, now: datetime
    ) -> None:
        self._write(lambda store: _work.owe(store, claim, deliveries, now=now))

    def intend(
        self,
        claim: Claim,
        key: DeliveryKey,
        intent: Mapping[str, str],
        *,
        now: datetime,
    ) -> None:
        self._write(lambda store: _work.intend(store, claim, key, intent, now=now))

    def settle(  # noqa: PLR0913 what came of it, and what follows
        self,
        claim: Claim,
        key: DeliveryKey,
        outcome: Outcome,
        *,
        next_attempt_at: datetime | None = None,
        ending: Ending | None = None,
        now: datetime,
    ) -> Verdict | None:
        return self._write(
            lambda store: _work.settle(
                store, claim, (key, outcome), next_attempt_at, ending, now=now
            )
        )

    def wait(
        self, claim: Claim, until: datetime, reason: str, message: str, *, now: datetime
    ) -> None:
        why = (reason, message)
        self._write(lambda store: _work.wait(store, claim, until, why, now=now))

    def finish(  # noqa: PLR0913 the words of a run's end
        self,
        claim: Claim,
        status: RunStatus,
        reason: str,
        message: str,
        *,
        rows: int | None = None,
        now: datetime,
    ) -> None:
        end = (status, (reason, message))
        self._write(lambda store: _work.finish(store, claim, end, rows, now=now))

    # What people ask for.
    def cancel(self, run_id: str, *, by: str, now: datetime) -> RunStatus:
        return self._write(lambda store: _people.cancel(store, run_id, by=by, now=now))

    def reopen(
        self,
        run_id: str,
        wanted: Resend = UNACCEPTED,
        *,
        now: datetime,
    ) -> Sequence[DeliveryKey]:
        return self._write(lambda store: _people.reopen(store, run_id, wanted, now=now))

    def pause(self, pause: Pause) -> None:
        self._write(lambda store: _time.pause(store, pause))

    def resume(
        self, target: PauseTarget, value: str, *, by: str, now: datetime
    ) -> bool:
        return self._write(
            lambda store: _time.resume(store, target, value, by=by, now=now)
        )

    def pauses(self) -> Sequence[Pause]:
        return self._read(lambda store: store.pauses())

    def holds(self) -> Sequence[Hold]:
        return self._read(lambda store: store.holds())

    def release(self, hold_id: str, *, by: str, why: str, now: datetime) -> Hold:
        return self._write(
            lambda store: _holds.release(store, hold_id, by=by, why=why, now=now)
        )

    def await_release(self, claim: Claim, wait: Wait, *, now: datetime) -> bool:
        return self._write(
            lambda store: _holds.await_release(store, claim, wait, now=now)
        )

    def switch_off(self, claim: Claim, wait: Wait, *, now: datetime) -> None:
        self._write(lambda store: _holds.switch_off(store, claim, wait, now=now))

    def holds_of(self, run_id: str) -> Sequence[Hold]:
        return self._read(lambda store: store.holds_of(run_id))

    # What becomes of mails, and who gets none.
    def return_key(self) -> bytes:
        if self._return_key is None:
            self._return_key = self._read(lambda store: store.return_key())
        return self._return_key

    def hear(self, told: Told, *, now: datetime) -> DeliveryKey | None:
        return self._write(
            lambda store: _news.hear(store, told, now=now, new_id=self._new_uid)
        )

    def news_since(
        self, since: datetime, *, limit: int = 1000
    ) -> Sequence[tuple[str, DeliveryEvent]]:
        return self._read(lambda store: _news.bad(store, since, limit))

    def suppress(
        self, address: str, *, by: str, why: str, now: datetime
    ) -> Suppression | None:
        new = Suppression(
            suppression_id=self._new_uid(),
            address=address,
            mailbox=mailbox(address),
            by=by,
            why=why,
            since=now,
        )
        return self._write(lambda store: _news.suppress(store, new))

    def unsuppress(
        self, address: str, *, by: str, why: str, now: datetime
    ) -> Suppression | None:
        return self._write(
            lambda store: _news.unsuppress(store, address, by=by, why=why, now=now)
        )

    def suppressions(self, address: str | None = None) -> Sequence[Suppression]:
        box = None if address is None else mailbox(address)
        return self._read(lambda store: store.suppressions(box))

    # What people are told.
    def notices(self) -> Sequence[Incident]:
        return self._read(lambda store: store.incidents())

    def tell(
        self,
        incident: Incident | None,
        owed: Sequence[Owed] = (),
        events: Sequence[Event] = (),
    ) -> None:
        self._write(lambda store: _notices.tell(store, incident, owed, events))

    def board(self) -> Board:
        return self._read(lambda store: store.board())

    def report(
        self, board: Board, owed: Sequence[Owed] = (), events: Sequence[Event] = ()
    ) -> None:
        self._write(lambda store: _notices.report(store, board, owed, events))

    def ended_since(
        self, since: datetime, schedules: Collection[str]
    ) -> Sequence[RunRecord]:
        return self._read(
            lambda store: _rows.records(store, store.ended_since(since, schedules))
        )

    def unfinished(self, now: datetime) -> Sequence[Run]:
        return self._read(lambda store: store.unfinished(now))

    def owed(self, channel: str) -> Sequence[Owed]:
        return self._read(lambda store: store.owed(channel))

    def given_up(self) -> Sequence[Owed]:
        return self._read(lambda store: store.given_up())

    def tried(self, before: Owed, after: Owed) -> bool:
        return self._write(lambda store: _notices.tried(store, before, after))

    # Retention.
    def sweep(self, keep: timedelta, *, now: datetime, limit: int = 50) -> Swept:
        before = now - keep
        runs, specs = 0, 0
        if self._read(lambda store: store.ended(before, 1)):
            runs = self._write(lambda store: _sweep.sweep_runs(store, before, limit))
        more = runs == limit
        if not more:
            specs = self._backend.drop_unused_specs()
        return Swept(runs=runs, specs=specs, more=more)

    def blobs_in_use(
        self, stored: Sequence[str], keep: timedelta, *, now: datetime
    ) -> Collection[str]:
        return self._read(lambda store: _sweep.blobs_in_use(store, stored, now - keep))

    def blobs_needed(self, keep: timedelta, *, now: datetime) -> Mapping[str, str]:
        return self._read(lambda store: _sweep.blobs_needed(store, now - keep))

    def restored(self, made: datetime, *, catch_up: bool, now: datetime) -> None:
        self._write(
            lambda store: _restore.restored(store, made, catch_up=catch_up, now=now)
        )

    # History.
    def note(self, events: Sequence[Event]) -> None:
        self._write(lambda store: store.insert_events(events))

    def run(self, run_id: str) -> RunRecord | None:
        return self.records([run_id]).get(run_id)

    def records(self, run_ids: Sequence[str]) -> Mapping[str, RunRecord]:
        def look(store: Store) -> Mapping[str, RunRecord]:
            found = _rows.records(store, store.runs(run_ids))
            return {one.run.run_id: one for one in found}

        return self._read(look)

    def delivery(self, key: DeliveryKey) -> Delivery | None:
        return self._read(lambda store: store.delivery(key))

    def runs(
        self,
        *,
        schedule: str | None = None,
        status: RunStatus | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> Sequence[RunRecord]:
        query = Query(
            schedule=schedule, status=status, since=since, until=until, limit=limit
        )
        return self._read(lambda store: _rows.records(store, store.find(query)))

    def run_spec(self, run_id: str) -> RunSpec | None:
        def look(store: Store) -> RunSpec | None:
            run = store.run(run_id)
            return store.spec(run.spec_digest) if run else None

        return self._read(look)

    def events(self, run_id: str) -> Sequence[Event]:
        return self._read(lambda store: store.events(run_id))

    def gaps(self, schedule: str) -> Sequence[GapRow]:
        def look(store: Store) -> Sequence[GapRow]:
            standing = store.standing(schedule)
            return store.gaps(standing.uid) if standing else ()

        return self._read(look)

    def last_delivered(self, schedule_uid: str) -> RunRecord | None:
        run_id = self._read(lambda store: store.last_delivered(schedule_uid))
        return self.run(run_id) if run_id else None

    def last_rows_digest(self, schedule_uid: str) -> str | None:
        def look(store: Store) -> str | None:
            last = store.last_delivered(schedule_uid)
            found = store.artifacts([last]).get(last, ()) if last else ()
            return next((one.rows_digest for one in found), None)

        return self._read(look)

    def open_runs(self) -> int:
        return self._read(lambda store: store.open_runs())

    def census(self, *, now: datetime) -> Census:
        return self._read(lambda store: store.census(now))

    def broken_invariants(self, *, now: datetime) -> Sequence[str]:
        return self._read(lambda store: _check.broken_invariants(store, now=now))

    def wait_for_change(self, timeout: float) -> bool:
        return self._backend.wait_for_change(timeout)

    def close(self) -> None:
        self._backend.close()
