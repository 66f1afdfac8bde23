"""Artifacts -> destinations: each Delivery row through begin, deliver, settle."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import cast

from boe_reconciler.core import gone, retry
from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.facts import Delivered
from boe_reconciler.core.mail import encoded_size
from boe_reconciler.core.outcome import GONE, Ending, Verdict
from boe_reconciler.core.ports import Destination, Linking, Shipment
from boe_reconciler.core.recipients import with_links
from boe_reconciler.core.resources.distribution import Attach
from boe_reconciler.core.resources.schedule import DeliveryRetry
from boe_reconciler.core.runs import (
    Artifact,
    Delivery,
    DeliveryKey,
    DeliveryStatus,
    NewDelivery,
    Outcome,
    RunRecord,
    files_by_part,
)
from boe_reconciler.core.spec import PlannedDestination, PlannedLink
from boe_reconciler.core.waits import notes
from boe_reconciler.engine.job import Job
from boe_reconciler.engine.made import Keep, kept
from boe_reconciler.engine.owing import MAIL, WEBHOOK, Meant, omission
from boe_reconciler.engine.shipping import Letter, Load, named, shipment

log = logging.getLogger(__name__)

#: Tries that lie so close to each other are made together.
_TOGETHER = timedelta(seconds=10)
_RETRY = "A destination could not take the file yet."
#: What a destination says where it knows that its Connection failed, not one delivery.
CONNECTION_FAILED = frozenset(
    "unreachable connection_failed connection_lost timeout tls_failed "
    "login_refused login_unavailable token_unavailable".split()
)
#: What it says where it got no answer; a mail's says by itself that nobody knows.
_UNANSWERED = frozenset("unreachable connection_lost timeout".split())
#: What a failure says that settles also whether an earlier try arrived.
_SETTLED = frozenset(["exists"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Later:
    """When a run goes on delivering, and why not now."""

    until: datetime
    reason: str = "delivery_retry"
    message: str = _RETRY


def deliver(
    job: Job,
    record: RunRecord,
    ending: Ending,
    tell: Callable[[Verdict], None],
    keep: Keep = kept,
) -> Later | Verdict | None:
    """Try what is open and due. With the last that is settled the run ends: what it became.

    `tell` hears of that at once. When it goes on otherwise; None: nothing was open.
    `keep` is called with the first word of a delivery, or the last if that is its only one.
    What goes to one destination goes over one connection, one after the other.
    """
    open_ = [one for one in record.deliveries if not one.status.final]
    now, waits = job.tools.clock.now(), []
    due: dict[str, list[Delivery]] = {}
    for one in open_:
        if one.next_attempt_at and one.next_attempt_at > now:
            waits.append(Later(until=one.next_attempt_at))
        else:
            due.setdefault(one.key.destination, []).append(one)
    rows = Rows.of(job, record, keep)
    end = End(open_, ending, tell)
    for key in _in_order(job, due):
        those = sorted(due[key], key=_place)
        waits += Counter(job, rows, planned_as(job, key), end).serve(those)
    return end.found or _soonest(waits)


class End:
    """Of a run: it comes with the last delivery that is settled."""

    def __init__(
        self,
        open_: Iterable[Delivery],
        ending: Ending,
        tell: Callable[[Verdict], None],
    ) -> None:
        self._open = {one.key for one in open_}
        self._ending = ending
        self._tell = tell
        self.found: Verdict | None = None

    def ending_with(self, key: DeliveryKey) -> Ending | None:
        """None while others are open: nobody looks through all of them each time."""
        return self._ending if self._open <= {key} else None

    def settled(self, key: DeliveryKey, status: DeliveryStatus) -> None:
        if status.final:
            self._open.discard(key)

    def came(self, found: Verdict) -> None:
        self.found = found
        self._tell(found)


def leaves(job: Job, record: RunRecord) -> bool:
    """Whether something of it is still to be sent."""
    files = files_by_part(record.artifacts)
    return any(
        not one.status.final
        and not omission(
            job,
            planned_as(job, one.key.destination),
            one,
            files[one.key.part][0],
        )
        for one in record.deliveries
    )


def _in_order(job: Job, due: Mapping[str, list[Delivery]]) -> list[str]:
    """What mails link to comes before them, and then what was tried least.

    So that a far side that takes all the time there is leaves some to the others.
    """
    links = {one.link.key for one in job.spec.destinations if one.link}

    def place(key: str) -> tuple[bool, int]:
        return key not in links, min(one.attempts for one in due[key])

    return sorted(due, key=place)


def _place(delivery: Delivery) -> tuple[bool, int]:
    """What was on its way when a process died is found out first: it tries nothing."""
    return delivery.status is not DeliveryStatus.SENDING, delivery.attempts


def _soonest(waits: Sequence[Later]) -> Later | None:
    """The first of them, with those that come right after it."""
    first = min(waits, key=lambda wait: wait.until, default=None)
    if first is None:
        return None
    near = [w.until for w in waits if w.until <= first.until + _TOGETHER]
    return replace(first, until=max(near))


def planned_as(job: Job, key: str) -> PlannedDestination | None:
    """The destination of this key; also one that only mails link to."""
    return next((one for one in with_links(job.spec) if one.key == key), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """What a run has to deliver."""

    artifacts: Mapping[str, Sequence[Artifact]]
    named: Mapping[Letter, Mapping[str, Sequence[str]]]
    meant: Meant
    #: What readers have to know.
    notes: Sequence[str]
    keep: Keep

    @classmethod
    def of(cls, job: Job, record: RunRecord, keep: Keep) -> Rows:
        return cls(
            artifacts=files_by_part(record.artifacts),
            named=named(record.deliveries),
            meant=Meant(job),
            notes=_notes(job),
            keep=keep,
        )

    def files(self, delivery: Delivery) -> Sequence[Artifact]:
        return self.artifacts[delivery.key.part]


def _notes(job: Job) -> Sequence[str]:
    """The same at each try: they were made before its files."""
    if not job.spec.wait_for:
        return ()
    return notes(job.tools.ledger.events(job.run.run_id))


class Counter:
    """Where the deliveries to one destination are handed over."""

    def __init__(
        self, job: Job, rows: Rows, planned: PlannedDestination | None, end: End
    ) -> None:
        self._job = job
        self._rows = rows
        self._end = end
        self._planned = planned
        self._line = Line(job, planned)
        self._waits: list[Later] = []
        #: The delivery that the destination has taken, and what it will use.
        self._taken: Delivery | None = None
        self._intent: Mapping[str, str] | None = None
        #: By how often it was tried, and how long to wait at least: the next try.
        self._again: dict[tuple[int, timedelta], datetime] = {}
        #: Where the files of a part are, for mails that only link to them.
        self._urls: dict[str, Sequence[str]] = {}

    def serve(self, due: Sequence[Delivery]) -> list[Later]:
        """When each that is not final then is tried again."""
        left = [one for one in due if not self._omitted(one)]
        if self._planned is not None and left and not self._held():
            with self._line.slot():
                self._hand_over(self._planned, left)
        return self._waits

    def _omitted(self, delivery: Delivery) -> bool:
        file = self._rows.files(delivery)[0]
        found = omission(self._job, self._planned, delivery, file)
        if found is not None:
            self._settle(delivery, found)
        return found is not None

    def _held(self) -> bool:
        """Whether its Connection is left alone now: that uses up no try."""
        held = self._line.held()
        if held is not None:
            self._waits.append(held)
        return held is not None

    def _hand_over(
        self, planned: PlannedDestination, deliveries: Sequence[Delivery]
    ) -> None:
        tools = self._job.tools
        kind, spec = planned.spec.type, self._job.spec
        destination = tools.backends.destination(kind, spec, tools.blobs)
        shipments = self._shipments(destination, planned, deliveries)
        again = []
        for outcome in destination.deliver(shipments, self._job.cancel):
            assert self._taken is not None  # noqa: S101 one outcome for each
            self._line.saw(outcome, begun=self._intent is not None)
            if self._may_link(planned, self._taken, outcome):
                again.append(self._linked(self._taken, outcome))
            else:
                self._settle(self._taken, outcome)
        if again:
            self._hand_over(planned, again)

    def _shipments(
        self,
        destination: Destination,
        planned: PlannedDestination,
        deliveries: Sequence[Delivery],
    ) -> Iterator[Shipment]:
        """One after the other, as the destination takes them."""
        for delivery in deliveries:
            self._job.cancel.check()
            if self._line.failed and self._held():
                return
            self._taken, self._intent = delivery, None
            found = self._prepared(destination, planned, delivery)
            if isinstance(found, Outcome):
                self._settle(delivery, found)
            else:
                yield found

    def _prepared(
        self, destination: Destination, planned: PlannedDestination, delivery: Delivery
    ) -> Shipment | Outcome:
        """What is handed over, or why nothing has to be."""
        files = self._rows.files(delivery)
        try:
            load = Load(
                planned=planned,
                delivery=delivery,
                files=files,
                named=self._rows.named,
                notes=self._rows.notes,
                links=self._links(planned, delivery, files),
            )
            made = shipment(self._job, load, partial(self._begin, delivery))
            if delivery.status is DeliveryStatus.SENDING:
                known = destination.probe(made)
                if known is not None:
                    return known
                made = self._as_left(made)
            return self._rows.meant.refusal(planned, delivery, files[0]) or made
        except (Temporary, OSError) as error:
            if delivery.status is DeliveryStatus.SENDING:
                raise  # it is still to be found out whether it arrived
            return _put_off(error)
        except Permanent as error:
            # Such as a stored file that is gone: the others may still arrive.
            return Outcome(
                status=_failed(delivery), reason=error.reason, message=error.told
            )

    def _as_left(self, made: Shipment) -> Shipment:
        """With the intent that a look at the far side has stored: nothing else is true
        any more."""
        stored, self._intent = self._intent, None
        return made if stored is None else replace(made, intent=stored)

    # --- Links instead of files -------------------------------------------------

    def _may_link(
        self, planned: PlannedDestination, delivery: Delivery, outcome: Outcome
    ) -> bool:
        """Whether the far side found it too large, and a link may do."""
        return (
            outcome.reason == "too_large"
            and planned.link is not None
            and not self._big(planned, delivery)
        )

    def _linked(self, delivery: Delivery, outcome: Outcome) -> Delivery:
        """To be sent as another message: without the file, and so without its stored bytes.

        Kept at once: the first one has its answer, whatever comes before the other leaves.
        """
        now = self._job.tools.clock.now()
        deferred = replace(
            outcome,
            status=DeliveryStatus.DEFERRED,
            message=self._told(outcome.message),
            linked=True,
        )
        claim = self._job.claimed.claim
        self._job.tools.ledger.settle(
            claim, delivery.key, deferred, next_attempt_at=now, now=now
        )
        return replace(delivery, status=DeliveryStatus.DEFERRED, intent={}, linked=True)

    def _big(self, planned: PlannedDestination, delivery: Delivery) -> bool:
        """Whether its files are known to be too much for it."""
        return delivery.linked or too_big(planned, self._rows.files(delivery))

    def _links(
        self,
        planned: PlannedDestination,
        delivery: Delivery,
        files: Sequence[Artifact],
    ) -> Sequence[str]:
        """Where its files are, if the mail is too big for them. Temporary, Permanent."""
        big = self._big(planned, delivery)
        if planned.link is None or delivery.notice or not big:
            return ()
        part = delivery.key.part
        if part not in self._urls:
            self._urls[part] = [self._link(planned, planned.link, f) for f in files]
        return self._urls[part]

    def _link(self, mail: PlannedDestination, link: PlannedLink, file: Artifact) -> str:
        planned = planned_as(self._job, link.key)
        assert planned is not None  # noqa: S101 that of the same spec
        row = self._linked_row(planned, file)
        if row.status is not DeliveryStatus.ACCEPTED:
            text = f"{link.key} does not have {file.name} that the mail links to"
            if row.status.final:
                raise Permanent("link_failed", f"{text}: {row.message or row.reason}.")
            raise Temporary("link_waits", f"{text} yet.")
        tools = self._job.tools
        kind, spec = link.spec.type, self._job.spec
        there = cast("Linking", tools.backends.destination(kind, spec, tools.blobs))
        load = Load(planned=planned, delivery=row, files=[file])
        expires = mail.spec.attach.over_max.expires  # type: ignore[union-attr]  # it has a link
        return there.link(shipment(self._job, load, _nothing), expires)

    def _linked_row(self, planned: PlannedDestination, file: Artifact) -> Delivery:
        """Its row, delivered now unless that was tried before."""
        run_id, ledger = self._job.run.run_id, self._job.tools.ledger
        key = DeliveryKey(run_id=run_id, part=file.part, destination=planned.key)
        known = ledger.delivery(key)
        if known is not None:
            return known
        now = self._job.tools.clock.now()
        new = NewDelivery(key=key, type=planned.spec.type)
        ledger.owe(self._job.claimed.claim, [new], now=now)
        row = ledger.delivery(key)
        assert row is not None  # noqa: S101 it is owed
        self._waits += Counter(self._job, self._rows, planned, self._end).serve([row])
        return ledger.delivery(key) or row

    def _begin(self, delivery: Delivery, intent: Mapping[str, str]) -> None:
        """The row, then the act."""
        if not self._rows.keep(intent):
            now = self._job.tools.clock.now()
            claim = self._job.claimed.claim
            self._job.tools.ledger.intend(claim, delivery.key, intent, now=now)
        self._intent = intent

    # --- What came of it --------------------------------------------------------

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        self._rows.keep(None)
        tools, until = self._job.tools, None
        now = tools.clock.now()
        outcome = self._doubted(delivery, outcome)
        if outcome.status is DeliveryStatus.DEFERRED:
            outcome, until = self._deferred(delivery, outcome, now)
        told = self._told(outcome.message)
        outcome = replace(outcome, message=told, linked=delivery.linked)
        claim = self._job.claimed.claim
        if self._planned is not None and _is_gone(delivery, outcome):
            wait = gone.wait(self._planned, self._job.spec, claim.run_id)
            tools.ledger.switch_off(claim, wait, now=now)
        end = tools.ledger.settle(
            claim,
            delivery.key,
            outcome,
            next_attempt_at=until,
            ending=self._end.ending_with(delivery.key),
            now=now,
        )
        self._end.settled(delivery.key, outcome.status)
        tools.observe(Delivered(key=delivery.key, type=delivery.type, outcome=outcome))
        if until is not None:
            self._waits.append(Later(until=until))
        if outcome.status is DeliveryStatus.ACCEPTED:
            self._drop_stored(delivery)
        if end is not None:
            self._end.came(end)

    def _told(self, message: str) -> str:
        """Without a secret; whoever has a link to a file can read that."""
        for url in chain.from_iterable(self._urls.values()):
            message = message.replace(url, "(the link)")
        return self._job.tools.backends.redact(message)

    def _doubted(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        """With what is not known of this try, or of an earlier one."""
        match outcome.status:
            case DeliveryStatus.UNCONFIRMED if self._resends(delivery):
                return replace(
                    outcome,
                    status=DeliveryStatus.DEFERRED,
                    reason=DeliveryStatus.UNCONFIRMED.value,
                    in_doubt=True,
                )
            case DeliveryStatus.DEFERRED if self._unanswered(delivery, outcome):
                return replace(outcome, in_doubt=True)
            case DeliveryStatus.FAILED | DeliveryStatus.REFUSED if delivery.resent:
                return _not_this_time(outcome)
        return outcome

    def _resends(self, delivery: Delivery) -> bool:
        """By itself, once, where the destination wants that."""
        wish = getattr(getattr(self._planned, "spec", None), "on_unconfirmed", "hold")
        return wish == "resend" and not delivery.resent

    def _unanswered(self, delivery: Delivery, outcome: Outcome) -> bool:
        """Whether something was on its way to a far side that then fell silent."""
        begun = self._intent is not None and self._taken is delivery
        sending = begun or delivery.status is DeliveryStatus.SENDING
        return sending and delivery.type != MAIL and outcome.reason in _UNANSWERED

    def _deferred(
        self, delivery: Delivery, outcome: Outcome, now: datetime
    ) -> tuple[Outcome, datetime | None]:
        """When to try again, or that the time for it is over.

        Those that were tried equally often are tried again at one instant.
        """
        policy = self._job.spec.execution.delivery_retry
        again = Again(
            tries=delivery.attempts + 1,
            since=delivery.first_attempt_at or now,
            least=timedelta(seconds=outcome.retry_after or 0),
        )
        same = (again.tries, again.least)
        if same not in self._again:
            self._again[same] = again.next(policy, now, self._job.tools.random())
        if self._again[same] <= again.end(policy):
            return outcome, self._again[same]
        return _given_up(outcome, in_doubt=delivery.resent or outcome.in_doubt), None

    def _drop_stored(self, delivery: Delivery) -> None:
        """What was kept to send the same again is needed no more."""
        intent = self._intent if self._taken is delivery else None
        stored = (intent or delivery.intent).get("stored")
        if stored is not None and all(
            one.sha256 != stored for one in self._rows.files(delivery)
        ):
            self._job.tools.blobs.remove(stored)


def too_big(planned: PlannedDestination, files: Sequence[Artifact]) -> bool:
    """Whether these would be more than the mail may attach, as they are sent."""
    attach = getattr(planned.spec, "attach", None)
    size = sum(encoded_size(one.bytes) for one in files)
    return isinstance(attach, Attach) and size > attach.max


def _nothing(intent: Mapping[str, str]) -> None:
    """Nothing is begun."""


def _put_off(error: Temporary | OSError) -> Outcome:
    if isinstance(error, OSError):
        # Such as a stored mail that cannot be read now: the others may still arrive.
        error = Temporary("disk_error", f"Reading failed: {error}.")
    return Outcome(
        status=DeliveryStatus.DEFERRED,
        reason=error.reason,
        message=error.told,
        retry_after=error.delay.total_seconds() if error.delay else None,
    )


def _failed(delivery: Delivery) -> DeliveryStatus:
    """Of what was on its way nobody can know more."""
    sending = delivery.status is DeliveryStatus.SENDING
    return DeliveryStatus.UNCONFIRMED if sending else DeliveryStatus.FAILED


def _given_up(outcome: Outcome, *, in_doubt: bool) -> Outcome:
    """What was sent once without an answer may have arrived all the same."""
    return replace(
        outcome,
        in_doubt=False,
        status=DeliveryStatus.UNCONFIRMED if in_doubt else DeliveryStatus.FAILED,
        reason="gave_up",
        message=f"Given up: {outcome.message}",
    )


def _is_gone(delivery: Delivery, outcome: Outcome) -> bool:
    """Whether its receiver says just now that it wants no more."""
    said = outcome.status is not DeliveryStatus.SUPPRESSED
    return delivery.type == WEBHOOK and said and outcome.reason == GONE


def _not_this_time(outcome: Outcome) -> Outcome:
    """It failed now, which says nothing of what was sent before."""
    if outcome.reason in _SETTLED:
        return outcome
    text = f"An earlier try may have arrived. The last one: {outcome.message}"
    return replace(outcome, status=DeliveryStatus.UNCONFIRMED, message=text)


class Line:
    """The Connection of a destination, and how it does."""

    def __init__(self, job: Job, planned: PlannedDestination | None) -> None:
        self._job = job
        self._name: str | None = getattr(
            planned.spec if planned else None, "connection", None
        )
        self._mails = planned is not None and planned.spec.type == MAIL
        #: Whether it failed since anybody looked whether it is left alone.
        self.failed = False
        self._well = False

    def slot(self) -> AbstractContextManager[None]:
        """Waits for one of its `max_concurrent`."""
        spec = self._job.spec.connections.get(self._name or "")
        if self._name is None or spec is None:
            return nullcontext()
        tools, cancel = self._job.tools, self._job.cancel
        most = spec.max_concurrent
        return tools.slots.one_of(most, self._name, tools.clock, cancel)

    def held(self) -> Later | None:
        """Until when a blackout or its open breaker leaves it alone."""
        self.failed = False
        if self._name is None:
            return None
        now = self._job.tools.clock.now()
        states = self._job.tools.ledger.limits(now=now)
        state = next((one for one in states if one.name == self._name), None)
        if state is not None and state.blackout_until is not None:
            text = f"The Connection {self._name} is in a blackout."
            return Later(until=state.blackout_until, reason="blackout", message=text)
        if state is not None and state.breaker_until is not None:
            text = f"The Connection {self._name} is left alone: {state.cause}"
            return Later(until=state.breaker_until, reason="breaker_open", message=text)
        return None

    def saw(self, outcome: Outcome, *, begun: bool) -> None:
        """Feeds its breaker.

        What could not even begin met nobody; a recipient that is told to come back later
        is no failure of the Connection.
        """
        if self._name is None:
            return
        deferred = outcome.status is DeliveryStatus.DEFERRED
        # A mail server may answer no for one recipient before a mail is begun.
        met_nobody = not begun and not self._mails
        if deferred and (met_nobody or outcome.reason in CONNECTION_FAILED):
            self.failed, self._well = True, False
            self._used(self._job.tools.backends.redact(outcome.message))
        elif outcome.status is DeliveryStatus.ACCEPTED and not self._well:
            self._well = True
            self._used(None)

    def _used(self, failure: str | None) -> None:
        events = self._job.tools.ledger.used(
            self._name or "",
            failure=failure,
            run_id=self._job.run.run_id,
            now=self._job.tools.clock.now(),
        )
        for event in events:
            log.warning(event.action, extra={"detail": event.message})


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """What decides when a delivery is tried again."""

    tries: int
    since: datetime
    least: timedelta

    @classmethod
    def of_open(
        cls, deliveries: Sequence[Delivery], least: timedelta, now: datetime
    ) -> Again:
        """For all that are open, when something else than a destination held them up.

        What was never tried has all of its time before it.
        """
        left = [one for one in deliveries if not one.status.final]
        first = [one.first_attempt_at or now for one in left]
        tries = [one.attempts for one in left]
        return cls(tries=max([1, *tries]), since=max(first, default=now), least=least)

    def next(self, policy: DeliveryRetry, now: datetime, random: float) -> datetime:
        delay = retry.delay(
            self.tries, initial=policy.initial, most=policy.max, random=random
        )
        return now + max(delay, self.least)

    def end(self, policy: DeliveryRetry) -> datetime:
        """After it, it is given up."""
        return self.since + policy.give_up_after

    def at(
        self, policy: DeliveryRetry, now: datetime, random: float
    ) -> datetime | None:
        """The instant of the next try; None when the time for it is over."""
        until = self.next(policy, now, random)
        return until if until <= self.end(policy) else None
