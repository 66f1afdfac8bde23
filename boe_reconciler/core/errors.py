"""Errors whose class says what to do next."""

from __future__ import annotations

from datetime import timedelta


class BoeError(Exception):
    """An error that is told to a person as it stands: what is wrong, what to do."""

    def __init__(self, message: str, help: str = "") -> None:  # noqa: A002 the word the output uses
        super().__init__(message)
        self.message = message
        self.help = help

    @property
    def told(self) -> str:
        """Both, as sentences that follow each other."""
        message = self.message.strip()
        if not self.help:
            return message
        stop = "" if message.endswith((".", "!", "?")) else "."
        return f"{message}{stop} {self.help[0].upper()}{self.help[1:]}"


class InputError(BoeError):
    """What the user gave is wrong: exit code 1, no report of a bug."""


class Refused(BoeError):
    """A revision of which nothing is served, whatever its files say."""

    def __init__(self, revision: str, code: str, message: str, help: str) -> None:  # noqa: A002 as above
        super().__init__(message, help)
        self.revision = revision
        #: Of its Problem.
        self.code = code


class RunError(BoeError):
    """A run or a delivery went wrong, for a reason that a person can read.

    `reason` is a short stable code (`query_failed`, `no_space`, …) that stands in
    the ledger, in metrics and in `boe runs`.
    """

    def __init__(self, reason: str, message: str, help: str = "") -> None:  # noqa: A002 as above
        super().__init__(message, help)
        self.reason = reason


class Temporary(RunError):
    """May succeed by itself later: retried, after `delay` where the far side named one."""

    def __init__(
        self,
        reason: str,
        message: str,
        help: str = "",  # noqa: A002 as above
        *,
        delay: timedelta | None = None,
    ) -> None:
        super().__init__(reason, message, help)
        self.delay = delay


class Permanent(RunError):
    """Will fail again unless somebody changes something: never retried."""


class Cancelled(RunError):
    """Somebody asked the work to stop (a cancel, a time-out, a drain)."""


class LeaseLost(Exception):
    """This worker's claim on a run was taken over: stop, discard, write nothing."""


class LedgerClosed(RuntimeError):
    """Somebody closed the ledger: whoever still works with it ends."""
