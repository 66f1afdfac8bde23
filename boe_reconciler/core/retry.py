"""When to try again (docs/life-of-a-run.md). Only Temporary errors come here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

#: Digits of a number of seconds that are read: more than any wait has.
_DIGITS = 10
#: The longest wait that a far side can ask for.
MOST_PATIENT = timedelta(days=7)


def delay(
    tries: int, *, initial: timedelta, most: timedelta, random: float
) -> timedelta:
    """The wait after so many failed tries: doubled each time, capped, spread.

    `random` in [0, 1) chooses between half of it and all of it.
    """
    # 2^40 times the shortest `initial` is beyond any cap, and cannot overflow.
    doubled = min(
        initial.total_seconds() * 2.0 ** min(tries - 1, 40), most.total_seconds()
    )
    return timedelta(seconds=doubled * (0.5 + random / 2))


def asked(
    headers: Mapping[str, str],
    now: datetime | None = None,
    *,
    most: timedelta = MOST_PATIENT,
) -> timedelta | None:
    """The wait that an HTTP answer asks for (Retry-After), at most `most`.

    None: it asks for none, or nothing that can be read. A date counts from the answer's
    own Date, since clocks differ, else from `now`. `headers` has its names in lower
    case, or minds no case.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        wait = timedelta(seconds=int(text[:_DIGITS]))
        return min(wait, most)
    until = _instant(text)
    since = _instant(headers.get("date", "")) or now
    if until is None or since is None:
        return None
    return min(max(until - since, timedelta()), most)


def _instant(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
        # In UTC, so that no difference of two overflows.
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
