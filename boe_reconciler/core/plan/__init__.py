"""A Snapshot, and what is served -> a Plan: the same for CI, for people and for serving.

Steps: read the files, judge each object, choose what is served (an object that
cannot be used keeps its last good version), and tell all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.findings import Finding
from boe_reconciler.core.language.load import problem_at
from boe_reconciler.core.plan.evaluate import Court
from boe_reconciler.core.plan.files import POLICY_FILE
from boe_reconciler.core.plan.policy import Judge, beyond_limit, judge_of
from boe_reconciler.core.plan.reading import PlanCache, Reading, read
from boe_reconciler.core.plan.serving import Serving
from boe_reconciler.core.plan.world import Entry, Key, Verdict, World
from boe_reconciler.core.problems import Problem, Range, in_order
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import (
    Activation,
    ObjectStatus,
    PlannedSchedule,
    Served,
    ServedObject,
)

__all__ = ["Plan", "PlanCache", "make_plan", "served_plan"]

_NOTHING = Served(attempted=None, serving=None, objects=(), statuses=(), problems=())


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    #: All findings of the revision, in the one order.
    problems: Sequence[Problem]
    #: What the ledger makes the served state, in one transaction.
    activation: Activation
    #: sha256 -> bytes of every file that the activation names.
    blobs: Mapping[str, bytes]

    @property
    def revision(self) -> str:
        return self.activation.attempted

    @property
    def schedules(self) -> Mapping[str, PlannedSchedule]:
        return {one.name: one for one in self.activation.schedules}

    @property
    def statuses(self) -> Sequence[ObjectStatus]:
        return self.activation.statuses

    @property
    def objects(self) -> Mapping[Key, ServedObject]:
        return {(one.kind, one.name): one for one in self.activation.objects}


def no_blob(sha256: str) -> bytes:
    """Reads from a Blobs store that nobody has."""
    raise InputError(f"the file {sha256} is not at hand")


def make_plan(  # noqa: PLR0913 what a plan depends on, each by its name
    snapshot: Snapshot,
    *,
    served: Served | None,
    now: datetime,
    strict: bool = False,
    allow_removals: int = 0,
    cache: PlanCache | None = None,
    read_blob: Callable[[str], bytes] = no_blob,
) -> Plan:
    """Plan a revision; offline, without a secret, and without a clock of its own.

    `served` is what goes on where the revision cannot be used; None: nothing is
    served, as in CI. `allow_removals` is how many removals somebody allowed.
    """
    cache = cache or PlanCache()
    planning = _Planning(
        snapshot=snapshot,
        served=served or _NOTHING,
        now=now,
        allow_removals=allow_removals,
        cache=cache,
        read_blob=read_blob,
    )
    return planning.plan(strict=strict)


def served_plan(
    served: Served, *, now: datetime, read_blob: Callable[[str], bytes] = no_blob
) -> Plan:
    """The Plan of what is served already, to compare others with."""
    nothing = Snapshot(revision=served.serving or "", files={}, read=_no_file)
    planning = _Planning(
        snapshot=nothing,
        served=served,
        now=now,
        allow_removals=len(served.objects),
        cache=PlanCache(),
        read_blob=read_blob,
    )
    return planning.as_served()


def _no_file(path: str) -> bytes:
    raise InputError(f"{path} is not at hand")


@dataclass(kw_only=True, eq=False)
class _Planning:
    snapshot: Snapshot
    served: Served
    now: datetime
    allow_removals: int
    cache: PlanCache
    read_blob: Callable[[str], bytes]

    def plan(self, *, strict: bool) -> Plan:
        reading = read(self.snapshot, self.cache)
        self.old = {(one.kind, one.name): one for one in self.served.objects}
        self.court = Court(judge=self._judge(reading), now=self.now)
        self.revision = self._judged(reading)
        self.gone = self._gone()
        self.hidden = {key for key in self.gone if reading.may_hide(key)}
        self.held = self._held()
        problems = self._problems(reading)
        broken = any(problem.severity == "error" for problem in problems)
        chosen = self._kept() if strict and broken else self._chosen()
        return Plan(
            problems=problems,
            activation=self._activation(chosen, problems, strict=strict and broken),
            blobs=_blobs(chosen),
        )

    def as_served(self) -> Plan:
        reading = read(self.snapshot, self.cache)
        self.old = {(one.kind, one.name): one for one in self.served.objects}
        self.court = Court(judge=self._judge(reading), now=self.now)
        self.revision = self._judged(reading)
        self.gone, self.hidden, self.held = set(), set(), set()
        activation = self._activation(self._kept(), (), strict=False)
        return Plan(problems=(), activation=activation, blobs={})

    # --- Judging the revision -------------------------------------------------

    def _judge(self, reading: Reading) -> Judge:
        """The served Policy judges; without one, the revision's own does."""
        for key, one in self.old.items():
            if key[0] == "Policy":
                return judge_of(self.cache.entry(one).document)
        own = [entry for entry in reading.entries if entry.kind == "Policy"]
        good = [entry for entry in own if entry.document.filename == POLICY_FILE]
        return judge_of(good[0].document if good else None)

    def _judged(self, reading: Reading) -> World:
        by_key: dict[Key, list[Entry]] = {}
        for entry in reading.entries:
            by_key.setdefault(_place(entry), []).append(entry)
        extra: dict[Entry, list[Problem]] = {}
        for entries in by_key.values():
            if len(entries) > 1:
                for entry in entries:
                    extra.setdefault(entry, []).append(_twice(entry, entries))
        for entry, finding in self._beyond_limits(reading):
            extra.setdefault(entry, []).append(problem_at(entry.document, finding))
        for entry in reading.entries:
            extra.setdefault(entry, []).extend(_renamed_badly(entry, by_key))
        world = World(
            entries={entries[0].key: entries[0] for entries in by_key.values()},
            snapshot=self.snapshot,
            read_blob=self.read_blob,
            may_hide=reading.may_hide,
            extra=extra,
        )
        self.court.judge_all(world)
        self.doubles = [
            self.court.verdict(entry, world)
            for entries in by_key.values()
            for entry in entries[1:]
        ]
        return world

    def _beyond_limits(self, reading: Reading) -> list[tuple[Entry, Finding]]:
        """Schedules that are one too many for their owner, by their place."""
        schedules = [entry for entry in reading.entries if entry.kind == "Schedule"]
        owners = [
            (str(entry.metadata.get("owner")), self._is_served(entry))
            for entry in schedules
        ]
        found = beyond_limit(owners, self.court.judge)
        return [
            (entry, finding)
            for entry, finding in zip(schedules, found, strict=True)
            if finding
        ]

    def _is_served(self, entry: Entry) -> bool:
        former = str(entry.metadata.get("renamed_from"))
        return entry.key in self.old or (entry.kind, former) in self.old

    # --- Removals -------------------------------------------------------------

    def _gone(self) -> set[Key]:
        """Served objects that the revision does not hold, renamed ones left out."""
        renamed = {
            (entry.kind, str(entry.metadata.get("renamed_from")))
            for entry in self.revision.entries.values()
        }
        return set(self.old) - set(self.revision.entries) - renamed

    def _held(self) -> set[Key]:
        """More removals than the Policy allows wait, all of them."""
        limit = self.court.judge.spec.removals
        count = len(self.gone - self.hidden)
        if count <= max(limit.max_count, self.allow_removals):
            return set()
        if count <= limit.max_fraction * len(self.old):
            return set()
        return self.gone - self.hidden

    def _removals_wait(self) -> list[Problem]:
        if not self.held:
            return []
        limit = self.court.judge.spec.removals
        shown = ", ".join(f"{kind} {name}" for kind, name in sorted(self.held)[:5])
        more = ", …" if len(self.held) > 5 else ""
        where = self.court.judge.where("removals")
        return [
            Problem(
                code="BOE138",
                detail=f"{len(self.held)} of {len(self.old)} objects would be removed "
                f"({shown}{more}); more than {limit.max_count} and more than "
                f"{limit.max_fraction:.0%} wait ({where})",
                help=f"if that is meant: boe run --allow-removals {len(self.held)}",
                range=Range.whole_file(POLICY_FILE),
            )
        ]

    # --- What is served -------------------------------------------------------

    def _chosen(self) -> World:
        serving = Serving(
            court=self.court,
            revision=self.revision,
            old=self.old,
            entry=self.cache.entry,
        )
        return serving.choose(self.hidden | self.held)

    def _kept(self) -> World:
        """What is served already, and nothing else."""
        entries = {key: self.cache.entry(one) for key, one in self.old.items()}
        world = World(entries=entries, snapshot=self.snapshot, read_blob=self.read_blob)
        self.court.judge_all(world)
        return world

    def _problems(self, reading: Reading) -> list[Problem]:
        verdicts = [*self.revision.verdicts.values(), *self.doubles]
        found = [problem for verdict in verdicts for problem in verdict.problems]
        return in_order([*reading.problems, *found, *self._removals_wait()])

    def _activation(
        self, chosen: World, problems: Sequence[Problem], *, strict: bool
    ) -> Activation:
        verdicts = chosen.verdicts.values()
        revision = self.snapshot.revision
        return Activation(
            attempted=revision,
            serving=None if strict else revision,
            objects=[_served_object(verdict, revision) for verdict in verdicts],
            statuses=self._statuses(chosen),
            schedules=[
                verdict.product
                for verdict in verdicts
                if verdict.entry.kind == "Schedule" and verdict.good
            ],
            problems=[problem.as_diagnostic() for problem in problems],
        )

    # --- Telling --------------------------------------------------------------

    def _statuses(self, chosen: World) -> list[ObjectStatus]:
        keys = {**self.revision.entries, **chosen.entries}
        return [self._status(key, chosen) for key in sorted(keys)]

    def _status(self, key: Key, chosen: World) -> ObjectStatus:
        kind, name = key
        entry = chosen.entries.get(key)
        new = entry is not None and entry.served is None
        reason, message = ("Served", "") if new else self._why(key)
        serving = entry.served.revision if entry and entry.served else None
        return ObjectStatus(
            kind=kind,
            name=name,
            ready=new,
            reason=reason,
            message=message,
            observed_revision=self.snapshot.revision,
            serving_revision=self.snapshot.revision if new else serving,
        )

    def _why(self, key: Key) -> tuple[str, str]:
        """Why an object of the revision is not served as it stands there."""
        if key in self.held:
            return "RemovalHeld", "Its removal waits for somebody's word."
        if key in self.hidden:
            return "Unreadable", "A file that may hold it cannot be read."
        verdict = self.revision.verdicts.get(key)
        if verdict is None:
            return "Renamed", "The object that takes its place cannot be used yet."
        return _fault(verdict)


def _fault(verdict: Verdict) -> tuple[str, str]:
    errors = [one for one in verdict.problems if one.severity == "error"]
    if any(one.code == "BOE101" for one in errors):
        return "Duplicate", str(errors[0])
    if errors:
        return "Invalid", str(errors[0])
    if verdict.blocked_by:
        kind, name = verdict.blocked_by
        return "DependencyInvalid", f"It needs {kind} {name}, which cannot be used."
    return "Held", "It goes on as before, with the objects that it fits."


def _place(entry: Entry) -> Key:
    """Where only one may stand: a name, or the one place of the Policy."""
    return ("Policy", "") if entry.kind == "Policy" else entry.key


def _twice(entry: Entry, entries: Sequence[Entry]) -> Problem:
    other = next(one for one in entries if one is not entry)
    at = other.document.range(("metadata", "name"))
    what = "Policy" if entry.kind == "Policy" else f'{entry.kind} "{entry.name}"'
    finding = Finding(
        code="BOE101",
        path=("metadata", "name"),
        detail=f"there is another {what} at {at.filename}:{at.start.line}",
        help="rename one of them, or remove it",
    )
    return problem_at(entry.document, finding)


def _renamed_badly(
    entry: Entry, by_key: Mapping[Key, Sequence[Entry]]
) -> list[Problem]:
    """`renamed_from` keeps a history only when the old name is gone."""
    former = entry.metadata.get("renamed_from")
    if not isinstance(former, str) or (entry.kind, former) not in by_key:
        return []
    finding = Finding(
        code="BOE112",
        path=("metadata", "renamed_from"),
        detail=f'{entry.kind} "{former}" is still there',
        help="remove the old one in the same change, or drop renamed_from",
    )
    return [problem_at(entry.document, finding)]


def _served_object(verdict: Verdict, revision: str) -> ServedObject:
    entry = verdict.entry
    if entry.served is not None:
        return entry.served
    return ServedObject(
        kind=entry.kind,
        name=entry.name,
        file=entry.document.filename,
        index=entry.document.index,
        data=entry.document.data,
        files={
            path: _sha256(content)
            for path, content in verdict.files.items()
            if content is not None
        },
        revision=revision,
    )


def _blobs(chosen: World) -> dict[str, bytes]:
    return {
        _sha256(content): content
        for verdict in chosen.verdicts.values()
        if verdict.entry.served is None
        for content in verdict.files.values()
        if content is not None
    }


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
