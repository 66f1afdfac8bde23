"""How it is: what `/healthz`, `/readyz`, systemd and pings tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    #: A stable code, such as "tick_late"; "" if all is well.
    reason: str
    #: A sentence for people.
    message: str
    #: Seconds since the loop came round, and since it asked what is due. None: not yet.
    step_age: float | None
    tick_age: float | None

    @property
    def well(self) -> bool:
        return not self.reason
