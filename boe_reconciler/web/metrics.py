"""Numbers for Prometheus: what this process did, counted as the engine tells it.

docs/metrics.md is made from these names and sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from boe_reconciler.core.facts import (
    AttemptBegun,
    Built,
    ClockJumped,
    Delivered,
    Fact,
    Heard,
    Hooked,
    LeasesLost,
    Noticed,
    Pinged,
    Posted,
    Reconciled,
    ReconcileFailed,
    RunEnded,
    RunPutOff,
    RunStarted,
    Swept,
    Ticked,
)
from boe_reconciler.core.ports import Clock
from boe_reconciler.core.runs import News, RunStatus, Trigger

#: Seconds: from what nobody notices to what somebody calls about.
_DELAYS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_DURATIONS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 1800, 3600, 14400)
#: Reason codes are a short list; should one ever hold a number, it stops here.
_MOST_REASONS = 100
_BAD = (RunStatus.FAILED, RunStatus.PARTIAL)

# Series of times at which counters were made: nobody reads them, and they double all.
disable_created_metrics()  # type: ignore[no-untyped-call]  # of a typed library


class Metrics:
    """Counts the facts that it observes; safe to use from several threads."""

    def __init__(self, clock: Clock, build: Mapping[str, str]) -> None:
        self.registry = CollectorRegistry()
        #: Name -> its labels.
        self.labels: dict[str, tuple[str, ...]] = {}
        self._clock = clock
        self._reasons: set[str] = set()
        self._make_runs()
        self._make_work()
        self._make_outside()
        self._make_revision()
        self._gauge("build_info", "Always 1: which BOE this is.", *build).labels(
            *build.values()
        ).set(1)
        ProcessCollector(registry=self.registry)
        self._does: dict[type[Fact], Callable[[Any], None]] = {
            Ticked: lambda fact: self._late.inc(len(fact.tick.late)),
            RunStarted: self._started,
            AttemptBegun: lambda _: self._attempts.inc(),
            Built: self._built,
            Delivered: self._delivered,
            RunPutOff: lambda fact: self._put_off.labels(self._word(fact.reason)).inc(),
            RunEnded: self._ended,
            LeasesLost: lambda fact: self._lost.inc(fact.count),
            ClockJumped: lambda _: self._jumps.inc(),
            Reconciled: self._reconciled,
            Pinged: lambda fact: self._pings.labels(fact.result).inc(),
            Noticed: lambda fact: self._noticed.labels(fact.about, fact.word).inc(),
            Heard: lambda fact: self._news.labels(fact.news).inc(),
            Hooked: lambda fact: self._hooks.labels(fact.result).inc(),
            Posted: lambda fact: self._posts.labels(fact.channel, fact.result).inc(),
            Swept: self._swept,
            ReconcileFailed: lambda _: self._reconciles.labels("failed").inc(),
        }

    def observe(self, fact: Fact) -> None:
        does = self._does.get(type(fact))
        if does is not None:
            does(fact)

    # --- What there is ------------------------------------------------------------

    def _make_runs(self) -> None:
        self._delay = self._histogram(
            "dispatch_delay_seconds",
            "From when a run that its schedule owed could start to its start.",
            _DELAYS,
        )
        self._wait = self._histogram(
            "queue_wait_seconds",
            "The part of the dispatch delay in which the row waited for a worker or its turn.",
            _DELAYS,
        )
        self._claims = self._counter("claims", "Runs that a worker took up.")
        self._finished = self._counter(
            "runs_finished",
            "Runs that workers brought to their end.",
            "status",
            "reason",
        )
        self._failed = self._counter(
            "runs_failed",
            "Runs that workers brought to their end as failed or partial.",
        )
        self._duration = self._histogram(
            "run_duration_seconds",
            "From the first start of a run to its end, waits between tries included.",
            _DURATIONS,
        )
        self._put_off = self._counter(
            "runs_put_off", "Times that a run had to wait for another try.", "reason"
        )
        self._late = self._counter(
            "runs_late", "Runs that had not succeeded by their `grace`."
        )
        self._lost = self._counter("leases_lost", "Runs whose worker vanished.")

    def _make_work(self) -> None:
        self._attempts = self._counter("attempts", "Tries of exports that began.")
        self._rows = self._counter("rows", "Rows in the files that were built.")
        self._files = self._counter("artifacts", "Files that were built.")
        self._bytes = self._counter(
            "artifact_bytes", "Bytes of the files that were built."
        )
        self._deliveries = self._counter(
            "deliveries",
            "Tries of deliveries, by destination type and what they gave.",
            "type",
            "status",
        )
        self._news = self._counter(
            "mail_news",
            "What became of mails that were taken: bounced, complained, delayed or "
            "delivered.",
            "news",
        )
        for news in News:
            self._news.labels(news.value)
        self._jumps = self._counter(
            "clock_jumps", "Jumps of the wall clock by more than 2 seconds."
        )

    def _make_outside(self) -> None:
        self._pings = self._counter(
            "pings", "Pings: sent, failed or dropped.", "result"
        )
        for result in ("sent", "failed", "dropped"):
            self._pings.labels(result)
        self._noticed = self._counter(
            "notices",
            "Notices about revisions and about runs: failing, changed, reminder or "
            "recovered.",
            "about",
            "word",
        )
        self._posts = self._counter(
            "posts",
            "Tries to send commit statuses (forge) and notices: mails, Distributions' "
            "webhooks (ops), BOE_NOTICE_URL (webhook).",
            "channel",
            "result",
        )
        for channel in ("forge", "webhook", "mail", "ops"):
            for result in ("sent", "failed", "given_up"):
                self._posts.labels(channel, result)
        self._hooks = self._counter(
            "hooks",
            "Requests to look at the repo now (/hooks/fetch): taken or refused.",
            "result",
        )
        for result in ("taken", "refused"):
            self._hooks.labels(result)
        self._removed = self._counter(
            "swept", "What was removed because it is kept no longer.", "what"
        )
        self._freed = self._counter(
            "swept_bytes", "Bytes of the stored files that were removed."
        )

    def _make_revision(self) -> None:
        self._reconciles = self._counter(
            "reconciles", "Looks at the repo: activated or failed.", "result"
        )
        for result in ("activated", "failed"):
            self._reconciles.labels(result)
        self._succeeded = self._gauge(
            "last_reconcile_timestamp_seconds", "When a revision was last activated."
        )
        self._revision = self._gauge(
            "revision_info",
            "Always 1: the revision that was looked at last, and what is served.",
            "attempted",
            "serving",
        )
        self._behind = self._gauge(
            "revision_behind", "1 if the newest revision is not what is served."
        )
        self._problems = self._gauge(
            "revision_problems", "Problems of the newest revision.", "severity"
        )
        self._objects = self._gauge(
            "objects", "Objects of the newest revision: ready or stalled.", "state"
        )

    # --- What happened ------------------------------------------------------------

    def _started(self, fact: RunStarted) -> None:
        self._claims.inc()
        run = fact.claimed.record.run
        if run.trigger is not Trigger.SCHEDULE or run.fence > 1:
            # Late on purpose, or late because of what happened before.
            return
        now = self._clock.now()
        ready = max(run.not_before, run.created_at)
        self._delay.observe(max((now - run.not_before).total_seconds(), 0.0))
        self._wait.observe(max((now - ready).total_seconds(), 0.0))

    def _built(self, fact: Built) -> None:
        # The files of one run are the same rows in several formats.
        self._rows.inc(max((one.rows for one in fact.artifacts), default=0))
        self._files.inc(len(fact.artifacts))
        self._bytes.inc(sum(one.bytes for one in fact.artifacts))

    def _delivered(self, fact: Delivered) -> None:
        self._deliveries.labels(fact.type, fact.outcome.status.value).inc()

    def _ended(self, fact: RunEnded) -> None:
        self._finished.labels(fact.status.value, self._word(fact.reason)).inc()
        self._failed.inc(fact.status in _BAD)
        self._duration.observe(fact.seconds)

    def _swept(self, fact: Swept) -> None:
        self._removed.labels("runs").inc(fact.runs)
        self._removed.labels("files").inc(fact.files)
        self._freed.inc(fact.bytes)

    def _reconciled(self, fact: Reconciled) -> None:
        found = fact.activation
        self._reconciles.labels("activated").inc()
        self._succeeded.set(self._clock.now().timestamp())
        self._revision.clear()
        self._revision.labels(found.attempted, found.serving or "").set(1)
        self._behind.set(found.serving != found.attempted)
        for severity in ("error", "warning"):
            count = sum(one["severity"] == severity for one in found.problems)
            self._problems.labels(severity).set(count)
        stalled = len(found.stalled)
        self._objects.labels("ready").set(found.total - stalled)
        self._objects.labels("stalled").set(stalled)

    def _word(self, reason: str) -> str:
        if reason not in self._reasons and len(self._reasons) >= _MOST_REASONS:
            return "other"
        self._reasons.add(reason)
        return reason

    # --- Small words --------------------------------------------------------------

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(self._named(name, labels), what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(self._named(name, labels), what, labels, registry=self.registry)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        whole = self._named(name, ())
        return Histogram(whole, what, buckets=buckets, registry=self.registry)

    def _named(self, name: str, labels: tuple[str, ...]) -> str:
        self.labels[f"boe_{name}"] = labels
        return f"boe_{name}"
