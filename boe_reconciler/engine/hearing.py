"""News of mails is read where it arrives, on a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from boe_reconciler.core.errors import LedgerClosed, RunError
from boe_reconciler.core.facts import Heard, Observe, unobserved
from boe_reconciler.core.ports import Clock, Ledger, Mailbox, Returned
from boe_reconciler.core.wording import counted

log = logging.getLogger(__name__)
#: Seconds between two looks, and from the start to the first one.
LOOK, FIRST = 30.0, 2.0
#: Messages of one mailbox in one look.
MOST = 500
#: Digests of messages that were not understood.
_REMEMBERED = 10_000
#: Seconds that the end waits for a look that is under way.
FAREWELL = 5.0


@dataclass(kw_only=True)
class Hearer:
    """For the one process that serves."""

    ledger: Ledger
    clock: Clock
    #: Those of the Connections that are served now, by where they are.
    mailboxes: Callable[[], Mapping[str, Mailbox]]
    observe: Observe = unobserved
    #: What was wrong with a mailbox when it was last told.
    _told: dict[str, str] = field(init=False, default_factory=dict)
    #: The digests of what was not understood.
    _strange: set[str] = field(init=False, default_factory=set)
    _ending: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread | None = field(init=False, default=None)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="hearing", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """What is not read yet is read at the next start."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(FAREWELL)

    def _work(self) -> None:
        pause = FIRST
        with suppress(LedgerClosed):
            while not self._ending.wait(pause):
                pause = LOOK
                try:
                    self.look()
                except LedgerClosed:
                    raise
                except RunError as error:
                    log.warning("hearing_put_off", extra={"detail": error.message})
                except Exception:
                    log.exception("hearing_crashed")

    def look(self) -> int:
        """Read what has arrived; how many messages were understood."""
        return sum(self._read(at, box) for at, box in self.mailboxes().items())

    def _read(self, at: str, box: Mailbox) -> int:
        heard = strange = 0
        try:
            for one in box.arrived(MOST):
                if self._ending.is_set():
                    break
                understood = self._hear(one)
                box.put_away(one, understood=understood)
                heard += understood
                strange += not understood and self._is_new(one.digest)
        except RunError as error:
            self._complain(at, error.message)
            return heard
        finally:
            box.close()
        self._told.pop(at, None)
        if strange:
            detail = (
                f"{counted(strange, 'message')} in {at} told nothing of a mail of ours"
            )
            log.warning("bounces_not_understood", extra={"detail": detail})
        return heard

    def _is_new(self, digest: str) -> bool:
        """Whether nobody was told of it: a queue gives again what was not understood."""
        if digest in self._strange:
            return False
        if len(self._strange) >= _REMEMBERED:
            self._strange.clear()
        self._strange.add(digest)
        return True

    def _hear(self, one: Returned) -> bool:
        """Kept in the ledger before it is put away: a kill between reads it again."""
        if one.report is None:
            return False
        told = one.report.told(one.digest, self.ledger.return_key())
        key = self.ledger.hear(told, now=self.clock.now())
        if key is None:
            return False
        detail = f"the mail to {key.recipient} of {key.run_id}: {told.kind} {told.code}"
        log.info("mail_news", extra={"detail": detail})
        self.observe(Heard(news=told.kind.value))
        return True

    def _complain(self, at: str, what: str) -> None:
        """Once, until it is another or all is well again."""
        if self._told.get(at) != what:
            self._told[at] = what
            log.warning("bounces_unreadable", extra={"detail": f"{at}: {what}"})
