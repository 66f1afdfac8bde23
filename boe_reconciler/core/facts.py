"""What the engine says while it works, for whoever watches: metrics, health, pings.

Nothing depends on them, and nobody keeps them: what must not be lost stands in the
ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from boe_reconciler.core.records import dataclass

if TYPE_CHECKING:
    from boe_reconciler.core.ports import Claimed
    from boe_reconciler.core.runs import Artifact, DeliveryKey, Outcome, RunStatus, Tick
    from boe_reconciler.core.spec import Activation


@dataclass(frozen=True, kw_only=True, slots=True)
class Stepped:
    """The executor's loop has come round once more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticked:
    """The ledger was asked for what is due."""

    tick: Tick


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted:
    """A worker has it, for the first time or again."""

    claimed: Claimed


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptBegun:
    claimed: Claimed


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """An attempt succeeded: its files are kept."""

    artifacts: Sequence[Artifact]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A part of a delivery that takes longer than a second; once a second at most."""

    key: DeliveryKey
    filename: str
    #: Of its files, what the far side has taken, and all there is.
    bytes: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """One try of one delivery is over, well or not."""

    key: DeliveryKey
    #: "local", "email", …
    type: str
    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPutOff:
    """It waits for another try."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEnded:
    claimed: Claimed
    status: RunStatus
    reason: str
    message: str
    rows: int | None
    #: From its first start to its end, waits between tries included.
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LeasesLost:
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockJumped:
    """The wall clock moved by so much against the monotonic one."""

    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciled:
    """A revision was looked at, and what is good of it is served."""

    activation: Activation


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """What an earlier process served goes on, before anybody looked at the repo."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileFailed:
    """The repo or the ledger could not be read: all goes on as before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pinged:
    """Somebody outside was told, or could not be."""

    #: "sent", "failed" or "dropped".
    result: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Noticed:
    """There was something to tell people."""

    #: A `core.notices.Word`.
    word: str
    #: "revision" or "runs".
    about: str = "revision"


@dataclass(frozen=True, kw_only=True, slots=True)
class Posted:
    """A channel tried to send what it owes."""

    channel: str
    #: "sent", "failed" or "given_up".
    result: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """It was told what became of a mail that was taken."""

    #: "bounced", "complained", "delayed" or "delivered".
    news: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Hooked:
    """Somebody asked over HTTP for a look at the repo."""

    #: "taken" or "refused".
    result: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """What is kept no longer was removed."""

    runs: int
    files: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Draining:
    """No run is started any more; those at work may end."""


Fact = (
    Stepped
    | Ticked
    | RunStarted
    | AttemptBegun
    | Built
    | Sent
    | Delivered
    | RunPutOff
    | RunEnded
    | LeasesLost
    | ClockJumped
    | Reconciled
    | Resumed
    | ReconcileFailed
    | Pinged
    | Noticed
    | Posted
    | Heard
    | Hooked
    | Swept
    | Draining
)
#: Is called on the engine's threads: returns at once, and raises nothing.
Observe = Callable[[Fact], None]


def unobserved(_: Fact) -> None:
    """For an engine that nobody watches."""
