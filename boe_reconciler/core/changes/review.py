"""A Comparison as a reviewer reads it: a verdict, then sections of lines.

Text and Markdown show the same of it; JSON has all that it is made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from boe_reconciler.core.changes import Changes, changes
from boe_reconciler.core.changes.compare import Comparison
from boe_reconciler.core.changes.deliveries import next_occurrence
from boe_reconciler.core.changes.impact import Impact, impact
from boe_reconciler.core.changes.impact.words import READ
from boe_reconciler.core.changes.impact.words import sections as impact_sections
from boe_reconciler.core.changes.masks import masked_text
from boe_reconciler.core.changes.recipients import Recipient, recipients_of
from boe_reconciler.core.plan.policy import spec_of
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.others import PolicySpec
from boe_reconciler.core.runs import Pause
from boe_reconciler.core.spec import ObjectStatus
from boe_reconciler.core.windows import next_window
from boe_reconciler.core.wording import counted

Sign = Literal["-", "~", "+", " "]
#: Whether something goes, changes, comes, or is only told; and what.
Line = tuple[Sign, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    title: str
    #: What must not be missed stands first: the end may be cut off.
    lines: Sequence[Line]


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    comparison: Comparison
    found: Changes
    now: datetime
    #: Runs of so many days are looked at.
    days: int
    #: What it means beyond that.
    impact: Impact
    #: What each Schedule in question would deliver next; None: nobody asked.
    expanded: Sequence[Recipient] | None = None

    @property
    def kept(self) -> Sequence[ObjectStatus]:
        """Objects that are not served as the newer side has them."""
        return self.comparison.after.activation.stalled

    @property
    def errors(self) -> int:
        problems = self.comparison.after.problems
        return sum(problem.severity == "error" for problem in problems)

    @property
    def problems(self) -> Sequence[Problem]:
        """The errors, and the warnings that the older side does not have."""
        before = self.comparison.before
        known = {_same(one) for one in before.activation.problems} if before else set()
        return [
            problem
            for problem in self.comparison.after.problems
            if problem.severity == "error"
            or _same(problem.as_diagnostic()) not in known
        ]


def _same(diagnostic: Mapping[str, Any]) -> tuple[object, ...]:
    """A Problem, on whichever line it stands."""
    where = diagnostic["range"]["filename"]
    return diagnostic["code"], where, diagnostic["path"], diagnostic["detail"]


def review(
    comparison: Comparison,
    *,
    now: datetime,
    days: int,
    pauses: Sequence[Pause] = (),
    expand: bool = False,
) -> Review:
    """All that there is to see; `expand` tells who would get which file next.

    `pauses`: those put on at run time, where they are known.
    """
    before, after = comparison.before, comparison.after
    found = changes(before, after, now=now, days=days, read_blob=comparison.read_blob)
    return Review(
        comparison=comparison,
        found=found,
        now=now,
        days=days,
        impact=impact(before, after, now=now, days=days, pauses=pauses),
        expanded=list(_expanded(comparison, found, now)) if expand else None,
    )


def _expanded(
    comparison: Comparison, found: Changes, now: datetime
) -> Iterator[Recipient]:
    """Of all Schedules where nothing was before, else of those that change."""
    after = comparison.after
    schedules = sorted(after.schedules.items())
    touched = {one.name for one in found.changes if one.kind == "Schedule"}
    touched.update(name for one in found.changes for name in one.schedules)
    for name, schedule in schedules:
        if comparison.before is None or name in touched:
            at = next_occurrence(schedule, now)
            yield from recipients_of(schedule, after.objects, at)


# --- The verdict ------------------------------------------------------------------


#: What becomes of an object, in the order in which it is told.
ACTIONS = {"delete": "to remove", "update": "to change", "create": "to add"}
#: Sets a name, or what is to be typed, apart from the sentence around it.
Quoted = Callable[[str], str]


def verdict(seen: Review, quoted: Quoted = str) -> list[str]:
    """What a reviewer has to know, in a sentence each; the first one is always there."""
    told = (
        _objects(seen),
        _runs(seen),
        _recipients(seen, quoted),
        _files(seen),
        _tables(seen, quoted),
        _beyond(seen),
        _window(seen),
        _removals(seen, quoted),
        _kept(seen),
        _unknown(seen, quoted),
        _past(seen),
        _known_warnings(seen),
    )
    return [sentence for sentence in told if sentence]


def _objects(seen: Review) -> str:
    actions = Counter[str](change.action for change in seen.found.changes)
    told = [f"{actions[one]:,} {ACTIONS[one]}" for one in ACTIONS if actions[one]]
    return f"{', '.join(told)}." if told else "No changes."


def _runs(seen: Review) -> str:
    counts = {
        "removed": len(seen.found.runs_removed),
        "moved": len(seen.found.runs_moved),
        "added": len(seen.found.runs_added),
    }
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return f"Runs within {counted(seen.days, 'day')}: {told}." if told else ""


def _recipients(seen: Review, quoted: Quoted) -> str:
    if seen.comparison.before is None:
        return ""
    found = seen.found.deliveries
    counts = {
        "lost": len({(one.type, one.name) for one in found.lost}),
        "gained": len({(one.type, one.name) for one in found.gained}),
    }
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    new = ", ".join(map(quoted, found.places_gained[:3]))
    more = ", …" if len(found.places_gained) > 3 else ""
    first = f"; for the first time to {new}{more}" if new else ""
    return f"Recipients: {told}{first}." if told else ""


def _files(seen: Review) -> str:
    files = seen.found.deliveries.files
    counts = {
        "vanish": sum(one.after is None for one in files),
        "get another name": sum(bool(one.before and one.after) for one in files),
        "appear": sum(one.before is None for one in files),
    }
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    return f"Files: {told}." if told else ""


def _tables(seen: Review, quoted: Quoted) -> str:
    names = [quoted(masked_text(name)) for name in _newly_read(seen)]
    more = ", …" if len(names) > 3 else ""
    return f"Newly read: {', '.join(names[:3])}{more}." if names else ""


def _newly_read(seen: Review) -> list[str]:
    return sorted({name for one in seen.impact.tables for name in one.gained})


def _beyond(seen: Review) -> str:
    """The sections that nobody expects of a change, where nothing is said of them."""
    told = {READ} if _newly_read(seen) else set()
    titles = [one.title for one in impact_sections(seen.impact)]
    others = [f"{one[0].lower()}{one[1:]}" for one in titles if one not in told]
    if not others or seen.comparison.before is None:
        return ""
    return f"See also: {', '.join(others)}."


def _removals(seen: Review, quoted: Quoted) -> str:
    held = sum(one.reason == "RemovalHeld" for one in seen.kept)
    if not held:
        return ""
    return (
        f"{counted(held, 'removal')} will wait until a commit has the trailer "
        f"{quoted(f'Boe-Allow-Removals: {held}')}."
    )


def _window(seen: Review) -> str:
    """When the Policy of the base lets the change in."""
    before = seen.comparison.before
    policies = (
        [one for key, one in before.objects.items() if key[0] == "Policy"]
        if before
        else ()
    )
    policy = spec_of(policies[0].data.get("spec"))[0] if policies else PolicySpec()
    if not (policy.change_windows and seen.found.changes):
        return ""
    opening = next_window(policy, seen.now)
    if opening is None:
        return "No change window ever opens: it will wait for a release."
    if opening.at <= seen.now:
        return "A change window is open: merged now, it is served at once."
    return f"It will wait for the next change window, which opens {opening}."


def _kept(seen: Review) -> str:
    others = [one for one in seen.kept if one.reason != "RemovalHeld"]
    served = sum(one.serving_revision is not None for one in others)
    new = len(others) - served
    told = [
        f"{counted(served, 'object')} will stay as served" if served else "",
        f"{counted(new, 'object')} will not be served" if new else "",
    ]
    return f"{' and '.join(filter(None, told))}: see the Problems." if others else ""


def _unknown(seen: Review, quoted: Quoted) -> str:
    count = len(seen.comparison.unknown)
    if not count:
        return ""
    return (
        f"{counted(count, 'object')} of the base cannot be used: what is served "
        f"instead is not known here ({quoted('boe --state DIR plan')} knows it)."
    )


def _past(seen: Review) -> str:
    past = seen.comparison.past
    if past.lost is None:
        return ""
    held = " As it is, the Policy would hold it." if past.refusal else ""
    return (
        "The head lacks commits of the base: what those brought looks taken away. "
        f"Merge the base, or rebase, for the true plan.{held}"
    )


def _known_warnings(seen: Review) -> str:
    count = len(seen.comparison.after.problems) - len(seen.problems)
    verb = "was" if count == 1 else "were"
    return f"{counted(count, 'warning')} {verb} there before." if count else ""
