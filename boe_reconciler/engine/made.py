"""What a run has made, until the ledger knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from boe_reconciler.core import lifecycle, manifest
from boe_reconciler.core.facts import Built
from boe_reconciler.core.runs import Artifact, NewDelivery, RunRecord
from boe_reconciler.engine.job import Job

#: Begins with the ledger's word: no far side is asked first.
_FOLDER = "local"
#: The action of the event that tells of rows in no file.
LEFT_OUT = "rows_left_out"
#: Keeps what was made, with the intent of its only delivery. False: it is kept already, and
#: nothing was told of the intent.
Keep = Callable[[Mapping[str, str] | None], bool]


def kept(_: Mapping[str, str] | None) -> bool:
    """Of a run of which the ledger knows all."""
    return False


class Made:
    """The files of a run and what they owe. The ledger is told once, of both."""

    def __init__(
        self,
        job: Job,
        artifacts: Sequence[Artifact],
        owed: Sequence[NewDelivery],
        left_out: str,
    ) -> None:
        """`left_out`: what is told of rows that are in no file."""
        self._job = job
        self._artifacts = artifacts
        self._owed = owed
        self._left_out = left_out
        #: Whether the ledger was told; should that have failed, nothing is told again.
        self._told = False

    @property
    def goes_at_once(self) -> bool:
        """Whether it is one file for a folder, which waits for nobody.

        Then the word that it is made can come with the word that its delivery begins:
        one wait for the disk instead of two.
        """
        spec = self._job.spec
        gated = spec.approval or spec.burst
        return not gated and [one.type for one in self._owed] == [_FOLDER]

    def foreseen(self) -> RunRecord:
        """As it will be kept, as far as a delivery looks at it."""
        now = self._job.tools.clock.now()
        return replace(
            self._job.claimed.record,
            artifacts=tuple(self._artifacts),
            deliveries=tuple(lifecycle.planned(one, now) for one in self._owed),
        )

    def kept(self) -> RunRecord:
        """As the ledger keeps it."""
        return self._commit(self._owed)

    def keep(self, intent: Mapping[str, str] | None = None) -> bool:
        """See `Keep`."""
        if self._told:
            return False
        self._commit([replace(one, intent=intent) for one in self._owed])
        return True

    def _commit(self, owed: Sequence[NewDelivery]) -> RunRecord:
        self._told = True
        job, tools = self._job, self._job.tools
        events = [job.event(manifest.ACTION, job.origin.sentence(self._artifacts))]
        if self._left_out:
            events.append(job.event(LEFT_OUT, self._left_out))
        record = tools.ledger.commit_artifacts(
            job.claimed.claim,
            self._artifacts,
            owed,
            events=events,
            now=tools.clock.now(),
        )
        tools.observe(Built(artifacts=self._artifacts))
        return record
