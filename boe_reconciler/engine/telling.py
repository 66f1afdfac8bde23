"""People are told how revisions fare: decided here, sent by threads of their own.

What is to be sent stands in the ledger first: a slow forge holds up nothing, and a
restart goes on where the last process stopped.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from boe_reconciler.core import notices
from boe_reconciler.core.errors import Permanent, RunError, Temporary
from boe_reconciler.core.facts import Noticed, Observe, Posted, unobserved
from boe_reconciler.core.forge import CommitStatus, State
from boe_reconciler.core.notices import (
    FORGE,
    WEBHOOK,
    Finding,
    Incident,
    Notice,
    Owed,
    Sent,
)
from boe_reconciler.core.ports import Clock, Ledger
from boe_reconciler.core.remote import commit_of
from boe_reconciler.core.runs import Event
from boe_reconciler.core.spec import Activation

log = logging.getLogger(__name__)
#: What the incident of revisions is called.
REVISION = "revision"
#: Seconds between two looks at what is due.
LOOK = 1.0
#: Seconds until a ledger that failed is asked again.
AGAIN = 15.0
#: A look that takes no longer is not worth telling of.
AT_LENGTH = timedelta(seconds=3)
#: Seconds that sending may still take at the end of the process.
FAREWELL = 3.0
#: Sends one message. Raises Temporary or Permanent.
Send = Callable[[Owed], None]


@dataclass(kw_only=True)
class Teller:
    """Told of each revision by the reconciler; raises nothing."""

    ledger: Ledger
    clock: Clock
    postmen: Sequence[Postman]
    remind: timedelta
    #: Of the commit statuses.
    context: str = "boe"
    target_url: str | None = None
    observe: Observe = unobserved
    _incident: Incident | None = field(init=False, default=None)
    #: What was found and could not be written yet.
    _finding: Finding | None = field(init=False, default=None)
    _statuses: list[Owed] = field(init=False, default_factory=list)
    #: When to try that again, on the monotonic clock.
    _try_at: float = field(init=False, default=0.0)

    def begun(self, revision: str) -> None:
        """Somebody looks at a new revision."""
        text = "BOE looks at this commit."
        self._owe_status(revision, self._status("pending", text), AT_LENGTH)
        self._settle()

    def found(self, activation: Activation) -> None:
        """This became of it."""
        self._finding = notices.finding(activation)
        status = notices.commit_status(activation, self.context, self.target_url)
        self._owe_status(activation.attempted, status)
        self._settle()

    def look(self) -> None:
        """Asked often: reminders, and what could not be written before."""
        if self.clock.monotonic() >= self._try_at:
            self._settle()

    def _status(self, state: State, text: str) -> CommitStatus:
        return CommitStatus(
            state=state,
            description=text,
            context=self.context,
            target_url=self.target_url,
        )

    def _owe_status(
        self, revision: str, status: CommitStatus, after: timedelta = timedelta(0)
    ) -> None:
        """Only the last one of a commit is worth sending."""
        commit = commit_of(revision)
        if commit is None or not self._has(FORGE):
            return
        now = self.clock.now()
        owed = Owed(
            channel=FORGE,
            key=commit[1],
            body={
                "state": status.state,
                "description": status.description,
                "context": status.context,
                "target_url": status.target_url,
            },
            since=now,
            next_try=now + after,
        )
        self._statuses = [one for one in self._statuses if one.key != owed.key]
        self._statuses.append(owed)

    def _settle(self) -> None:
        try:
            self._write()
            return
        except Temporary as error:
            log.warning("ledger_unavailable", extra={"detail": error.message})
        except Exception:
            log.exception("telling_crashed")
        self._try_at = self.clock.monotonic() + AGAIN

    def _write(self) -> None:
        before = self._incident or self._kept()
        known = Finding(failing=before.failing, message=before.message)
        current, notice = notices.tell(
            before,
            self._finding or known,
            now=self.clock.now(),
            remind=self.remind,
        )
        if current != before or self._statuses:
            told = self._told(notice)
            self.ledger.tell(current, [*self._statuses, *told], self._events(notice))
            self._say(notice)
            for one in self.postmen:
                one.wake()
        self._incident, self._finding, self._statuses = current, None, []

    def _kept(self) -> Incident:
        found = {one.subject: one for one in self.ledger.notices()}
        return found.get(REVISION) or Incident(subject=REVISION)

    def _told(self, notice: Notice | None) -> list[Owed]:
        if notice is None or not self._has(WEBHOOK):
            return []
        now = self.clock.now()
        # The last one replaces what could not be sent yet: it is what holds now.
        body = {"text": notice.text, "at": now.isoformat()}
        return [Owed(channel=WEBHOOK, key=REVISION, body=body, since=now, next_try=now)]

    def _events(self, notice: Notice | None) -> list[Event]:
        if notice is None:
            return []
        action = f"revision_{notice.word}"
        return [Event(at=self.clock.now(), action=action, message=notice.text)]

    def _say(self, notice: Notice | None) -> None:
        if notice is not None:
            self.observe(Noticed(word=notice.word))
            log.warning("revision_%s", notice.word, extra={"detail": notice.text})

    def _has(self, channel: str) -> bool:
        return any(one.channel == channel for one in self.postmen)


def dismiss(postmen: Sequence[Postman], clock: Clock) -> None:
    """They send what is due, for a few seconds; the rest is owed at the next start."""
    for one in postmen:
        one.finish()
    end = clock.monotonic() + FAREWELL
    for one in postmen:
        one.join(max(end - clock.monotonic(), 0.0))


@dataclass(kw_only=True)
class Postman:
    """Sends what one channel owes, on a thread of its own, the earliest due first."""

    channel: str
    send: Send
    ledger: Ledger
    clock: Clock
    random: Callable[[], float]
    observe: Observe = unobserved
    #: Each goes to somebody else: one that fails says nothing of the next.
    apart: bool = False
    #: The channel, or the ledger, is left alone until then, on the monotonic clock.
    _quiet_until: float = field(init=False, default=0.0)
    _woken: threading.Event = field(init=False, default_factory=threading.Event)
    _ending: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread | None = field(init=False, default=None)

    def start(self) -> None:
        self._thread = threading.Thread(
            target=self._work, name=f"post-{self.channel}", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """There may be something to send."""
        self._woken.set()

    def finish(self) -> None:
        self._ending.set()
        self._woken.set()

    def join(self, seconds: float) -> None:
        if self._thread is not None:
            self._thread.join(seconds)

    def _work(self) -> None:
        ending = False
        while not ending:
            self._woken.wait(LOOK)
            self._woken.clear()
            ending = self._ending.is_set()
            try:
                self.round()
                continue
            except Temporary as error:
                log.warning("ledger_unavailable", extra={"detail": error.message})
            except Exception:
                log.exception("post_crashed")
            self._quiet_until = self.clock.monotonic() + AGAIN

    def round(self) -> None:
        """Send what is due; after a failure the rest waits as long as that one."""
        if self.clock.monotonic() < self._quiet_until:
            return
        for owed in self.ledger.owed(self.channel):
            now = self.clock.now()
            if not owed.is_due(now):
                return
            after = self._tried(owed)
            self.ledger.tried(owed, after)
            if after.next_try and not self.apart:
                pause = (after.next_try - now).total_seconds()
                self._quiet_until = self.clock.monotonic() + pause
                return

    def _tried(self, owed: Owed) -> Owed:
        try:
            self.send(owed)
        except RunError as error:
            return self._failed(owed, error)
        except Exception as error:
            # Whatever it says may hold what nobody should read.
            name = type(error).__name__
            return self._failed(owed, Permanent("post_crashed", f"It broke: {name}."))
        self.observe(Posted(channel=self.channel, result="sent"))
        return notices.sent(owed)

    def _failed(self, owed: Owed, error: RunError) -> Owed:
        after = notices.failed(owed, error, now=self.clock.now(), random=self.random())
        over = after.result is Sent.GIVEN_UP
        result = "given_up" if over else "failed"
        self.observe(Posted(channel=self.channel, result=result))
        told = {"channel": self.channel, "key": owed.key, "detail": error.told}
        if over:
            log.warning("post_given_up", extra=told)
        elif not owed.tries:
            log.warning("post_failed", extra=told)
        return after
