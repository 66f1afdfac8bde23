"""What people are told about revisions: once an incident, then when it changes or lasts.

An incident begins when a revision is not served whole, and ends when people were told
that one is again. What was told is kept with it, so that a restart says nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from boe_reconciler.core.errors import RunError, Temporary
from boe_reconciler.core.forge import CommitStatus, State
from boe_reconciler.core.holds import HoldKind
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.retry import delay
from boe_reconciler.core.spec import Activation
from boe_reconciler.core.wording import counted

#: What flaps is told so often within `_LATELY`, at most; then the next one waits.
_MOST = 4
_LATELY = timedelta(hours=1)
#: Problems that a notice names, and characters of each.
_NAMED, _WIDE = 5, 300
#: The last line of what is told.
SHOWN = "`boe status` shows all."
#: The wait after a first failure to send, and the longest one.
_FIRST, _LONGEST = timedelta(seconds=5), timedelta(minutes=15)
#: What could not be sent for so long is given up.
GIVE_UP = timedelta(hours=24)
#: So long somebody can look at what was given up.
SHOWN_FOR = timedelta(days=7)


#: The channels: statuses beside commits, the address of a setting, mails, and the
#: webhooks of Distributions.
FORGE, WEBHOOK, MAIL, OPS = CHANNELS = ("forge", "webhook", "mail", "ops")


class Word(StrEnum):
    """What a notice says."""

    FAILING = "failing"
    CHANGED = "changed"
    REMINDER = "reminder"
    RECOVERED = "recovered"


class Sent(StrEnum):
    """What became of something that is owed."""

    OPEN = "open"
    SENT = "sent"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """How it is now."""

    #: Digest of what is wrong; empty: nothing is.
    failing: str
    #: For a person; its first line says it all.
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """What was found last about something, and what people were told of it."""

    #: What it is about: "revision".
    subject: str
    #: Since when it is not well, as far as people know; None: all is well.
    since: datetime | None = None
    #: Of the latest `Finding`.
    failing: str = ""
    message: str = ""
    #: What `failing` was when people were told; empty: that all is well.
    told: str = ""
    #: When they were told lately, the last one at the end.
    told_at: tuple[datetime, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    word: Word
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Owed:
    """Something that a channel has to send, until it is sent or given up."""

    #: "forge" or "webhook".
    channel: str
    #: What it is about: a later one of the same key replaces it.
    key: str
    body: Mapping[str, Any]
    since: datetime
    tries: int = 0
    #: None: it is over.
    next_try: datetime | None
    result: Sent = Sent.OPEN
    #: What the last failure said.
    detail: str = ""

    def is_due(self, now: datetime) -> bool:
        return self.next_try is not None and self.next_try <= now


def tell(
    before: Incident, found: Finding, *, now: datetime, remind: timedelta
) -> tuple[Incident, Notice | None]:
    """The incident as it is now, and what has to be told, if anything."""
    quiet = not found.failing and not before.told
    current = replace(
        before,
        failing=found.failing,
        message=found.message,
        since=None if quiet else before.since or now,
    )
    word = _word(current, now, remind)
    lately = tuple(one for one in before.told_at if one > now - _LATELY)
    if word is None or len(lately) >= _MOST:
        return current, None
    told = replace(current, told=found.failing, told_at=(*lately, now))
    if word is Word.RECOVERED:
        told = replace(told, since=None)
    return told, Notice(word=word, text=_text(word, current))


def _word(current: Incident, now: datetime, remind: timedelta) -> Word | None:
    if current.failing != current.told:
        if not current.failing:
            return Word.RECOVERED
        return Word.CHANGED if current.told else Word.FAILING
    if current.failing and now >= max(current.told_at, default=now) + remind:
        return Word.REMINDER
    return None


def _text(word: Word, current: Incident) -> str:
    since = f"{current.since:%Y-%m-%d %H:%M} UTC"
    return {
        Word.FAILING: current.message,
        Word.CHANGED: f"Something else is wrong now (not well since {since}). "
        f"{current.message}",
        Word.REMINDER: f"Still so, since {since}. {current.message}",
        Word.RECOVERED: f"Well again (it was not since {since}). {current.message}",
    }[word]


# --- Of a revision ----------------------------------------------------------------


def finding(activation: Activation) -> Finding | None:
    """Whether a revision is served whole; None: all is as before until its window opens.

    What is wrong is told apart by code, file and object: a line that moved, or other
    words, are the same.
    """
    if in_time(activation):
        return None
    errors = [one for one in activation.problems if one["severity"] == "error"]
    keys = {
        f"{one['code']} {one['range']['filename']} {_object(one)}" for one in errors
    }
    keys |= {f"{one.reason} {one.kind} {one.name}" for one in activation.stalled}
    message = f"{activation.attempted}: {headline(activation)}"
    if not keys and activation.serving == activation.attempted:
        return Finding(failing="", message=message)
    failing = hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()
    lines = [_line(one) for one in errors[:_NAMED]]
    more = [f"… and {len(errors) - _NAMED} more."] if len(errors) > _NAMED else []
    text = "\n".join([message, *lines, *more, SHOWN])
    return Finding(failing=failing, message=text)


def in_time(activation: Activation) -> bool:
    """Whether nothing is wrong with it, but that its change window is not open yet."""
    windows = [one.kind is HoldKind.CHANGE_WINDOW for one in activation.waits]
    errors = any(one["severity"] == "error" for one in activation.problems)
    return bool(windows) and all(windows) and not errors


def headline(activation: Activation) -> str:
    """One sentence: how much of it is served."""
    total = activation.total
    if in_time(activation):
        return activation.waits[0].message
    if activation.serving != activation.attempted:
        return f"Nothing of it is served. {_first(activation)}".rstrip()
    stalled = activation.stalled
    kept = sum(one.serving_revision is not None for one in stalled)
    parts = []
    if kept:
        keep = "keeps its" if kept == 1 else "keep their"
        parts.append(f"{kept} of {total} objects {keep} last good version")
    if lost := len(stalled) - kept:
        verb = "is" if lost == 1 else "are"
        parts.append(f"{lost} of {total} objects {verb} not served")
    errors = sum(one["severity"] == "error" for one in activation.problems)
    if not parts and errors:
        parts.append(f"All is served, with {counted(errors, 'error')}")
    whole = f"All is served: {counted(total, 'object')}"
    return f"{', '.join(parts) or whole}."


def commit_status(
    activation: Activation, context: str, target_url: str | None
) -> CommitStatus:
    found = finding(activation)
    return CommitStatus(
        state=_state(found),
        description=headline(activation),
        context=context,
        target_url=target_url,
    )


def _state(found: Finding | None) -> State:
    if found is None:
        return "pending"
    return "failure" if found.failing else "success"


def _first(activation: Activation) -> str:
    errors = [one for one in activation.problems if one["severity"] == "error"]
    return str(errors[0]["detail"]) if errors else ""


def _object(problem: Mapping[str, Any]) -> str:
    resource = problem.get("resource") or {}
    return f"{resource.get('kind')} {resource.get('name')}"


def _line(problem: Mapping[str, Any]) -> str:
    at = problem["range"]
    where = f"{at['filename']}:{at['start']['line']}"
    return f"{where}: {problem['code']} {problem['detail']}"[:_WIDE]


# --- Sending ----------------------------------------------------------------------


def sent(owed: Owed) -> Owed:
    return replace(owed, tries=owed.tries + 1, next_try=None, result=Sent.SENT)


def failed(owed: Owed, error: RunError, *, now: datetime, random: float) -> Owed:
    """Tried again later, unless that has no sense (any more)."""
    tried = replace(owed, tries=owed.tries + 1, detail=error.message)
    if not isinstance(error, Temporary) or now - owed.since >= GIVE_UP:
        return replace(tried, next_try=None, result=Sent.GIVEN_UP)
    pause = error.delay or delay(
        tried.tries, initial=_FIRST, most=_LONGEST, random=random
    )
    return replace(tried, next_try=now + pause)
