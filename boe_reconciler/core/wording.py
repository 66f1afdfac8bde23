"""Instants, numbers and names as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def local(moment: datetime, zone: str) -> str:
    """Tue 2026-11-24 06:30 CET"""
    there = moment.astimezone(ZoneInfo(zone))
    seconds = ":%S" if there.second else ""
    return there.strftime(f"%a %Y-%m-%d %H:%M{seconds} %Z")


def both(moment: datetime, zone: str) -> str:
    """Tue 2026-11-24 06:30 CET (05:30 UTC), with the day where that is another."""
    shown, there = local(moment, zone), moment.astimezone(UTC)
    if shown.endswith("UTC"):
        return shown
    same_day = there.date() == moment.astimezone(ZoneInfo(zone)).date()
    return f"{shown} ({there:{'' if same_day else '%m-%d '}%H:%M} UTC)"


def counted(number: int, word: str) -> str:
    """1 error, 2 errors"""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def quoted(names: Sequence[str], word: str) -> str:
    """ "a", "b" and "c" """
    *others, last = [f'"{name}"' for name in names]
    return f"{', '.join(others)} {word} {last}" if others else last


def lasting(length: timedelta) -> str:
    """7 days, 36 hours, 90 minutes"""
    seconds = int(length.total_seconds())
    units = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    return next(counted(seconds // n, word) for n, word in units if seconds % n == 0)


def title_of(name: str) -> str:
    """For people, of an object that was given none."""
    return name.replace("-", " ").capitalize()


def one_line(text: str) -> str:
    """What a database says in several lines, for a place that has one."""
    return " ".join(text.split())


def printable(text: str) -> str:
    """On one line, without what cannot be seen, or turns the text around."""
    return one_line("".join(each if each.isprintable() else " " for each in text))


def sentence(text: str) -> str:
    """On one line, with a capital (an address stays as it is) and a full stop."""
    text = one_line(text)
    if not text:
        return ""
    first = text[0] if "@" in text.split()[0] else text[0].upper()
    return f"{first}{text[1:]}" + ("" if text[-1] in ".!?" else ".")
