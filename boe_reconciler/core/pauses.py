"""What a Pause covers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from boe_reconciler.core.runs import Pause, PauseTarget
from boe_reconciler.core.spec import RunSpec


def covers(pause: Pause, spec: RunSpec) -> bool:
    """Whether a pause holds a schedule with this spec."""
    match pause.target:
        case PauseTarget.ALL:
            return True
        case PauseTarget.SCHEDULE:
            return pause.value == spec.schedule
        case PauseTarget.OWNER:
            return pause.value == spec.owner
        case PauseTarget.LABEL:
            return pause.value in {f"{key}={text}" for key, text in spec.labels.items()}
    return pause.value in connections(spec)


def connections(spec: RunSpec) -> set[str]:
    """Every Connection that a run uses, to read from or to deliver to."""
    found = {getattr(one.spec, "connection", None) for one in spec.destinations}
    return {spec.connection_name, *(name for name in found if name)}


def holding(pauses: Sequence[Pause], spec: RunSpec, now: datetime) -> Pause | None:
    """The pause that holds a schedule longest, of those not over at `now`."""
    found = [
        pause
        for pause in pauses
        if covers(pause, spec) and (pause.until is None or now < pause.until)
    ]
    return max(found, key=_end, default=None)


def _end(pause: Pause) -> tuple[bool, float]:
    until = pause.until
    return (until is None, until.timestamp() if until else 0.0)
