"""CODEOWNERS -> who reviews a file, as GitHub and GitLab read it.

Patterns are those of .gitignore but for three things: `docs/*` means no file of a folder
below docs, brackets mean themselves, and `!` takes files out of a section (GitLab).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.plan.files import CODE_OWNERS
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.snapshot import Snapshot

#: Forges read no larger one.
_MAX_BYTES = 3_000_000
#: `[Name]`, `^[Name]` (optional), `[Name][2]`, each perhaps with default owners.
_SECTION = r"\^?\[(?P<name>[^]]+)\](\[\d+\])?(?P<owners>\s.*|)$"
#: A backslash takes away what the next character means.
_WORD = r"(?:\\.|\S)+"
_CHARACTER = r"(?s)\\?."


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    line: int
    #: In small letters; empty before the first one.
    section: str
    #: Matches the whole paths of its files.
    pattern: re.Pattern[str]
    #: Addresses, and handles with their @.
    owners: tuple[str, ...]


class CodeOwners:
    def __init__(
        self, path: str, stamp: str | None, rules: Sequence[Rule] = (), lacks: str = ""
    ) -> None:
        #: Where it stands; "" where there is none.
        self.path = path
        #: Changes with its bytes.
        self.stamp = stamp
        #: Why there are no rules; empty where there may be some.
        self.lacks = lacks
        self._rules = tuple(reversed(rules))
        self._known: dict[str, tuple[Rule, ...]] = {}

    def of(self, file: str) -> tuple[Rule, ...]:
        """The rules that say who reviews a file, one of each section that has some."""
        if file not in self._known:
            self._known[file] = tuple(self._find(file))
        return self._known[file]

    def _find(self, file: str) -> Iterator[Rule]:
        decided = set()
        for rule in self._rules:
            if rule.section not in decided and rule.pattern.fullmatch(file):
                decided.add(rule.section)
                if rule.owners:
                    yield rule


def code_owners(snapshot: Snapshot, known: CodeOwners | None) -> CodeOwners:
    """The one of a snapshot; `known`, where that is still the same.

    One that could not be read is tried again, as it may have changed at that moment.
    """
    path = _path(snapshot)
    stamp = snapshot.files.get(path) or snapshot.unreadable.get(path)
    if known and not known.lacks and (known.path, known.stamp) == (path, stamp):
        return known
    if path not in snapshot.files:
        why = f"{path} cannot be read: {stamp}" if path else "there is no CODEOWNERS"
        return CodeOwners(path, stamp, lacks=why)
    try:
        content = snapshot.read(path)
    except InputError as error:
        return CodeOwners(path, stamp, lacks=error.message.removesuffix("."))
    if len(content) > _MAX_BYTES:
        why = f"{path} has more than {_MAX_BYTES:,} bytes, so no forge reads it"
        return CodeOwners(path, stamp, lacks=why)
    return CodeOwners(path, stamp, list(rules(content.decode(errors="replace"))))


def _path(snapshot: Snapshot) -> str:
    """The first; one that cannot be read only where there is no other."""
    there = [path for path in CODE_OWNERS if path in snapshot.files]
    there += [path for path in CODE_OWNERS if path in snapshot.unreadable]
    return there[0] if there else ""


def rules(text: str) -> Iterator[Rule]:
    """In their order; comments, and what is none, are left out."""
    section = ""
    defaults: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        words = re.findall(_WORD, line)
        if not words or words[0].startswith("#"):
            continue
        if header := re.match(_SECTION, line.strip()):
            section = header["name"].strip().casefold()
            defaults = _owners(header["owners"].split())
            continue
        excluded = words[0].startswith("!")
        yield Rule(
            line=number,
            section=section,
            pattern=expression(words[0].removeprefix("!")),
            owners=() if excluded else _owners(words[1:]) or defaults,
        )


def _owners(words: Sequence[str]) -> tuple[str, ...]:
    """Up to a comment."""
    end = next((n for n, word in enumerate(words) if word[0] == "#"), len(words))
    return tuple(word for word in words[:end] if "@" in word)


# --- Patterns -------------------------------------------------------------------------


def expression(pattern: str) -> re.Pattern[str]:
    """What matches the files of a pattern, soon, whatever is in it.

    A star that others follow takes as little as it can, and never tries again (`(?>…)`).
    """
    steps = [step for step in pattern.split("/") if step]
    if not steps:
        return re.compile(r"(?!)")
    if "/" not in pattern.rstrip("/"):
        steps.insert(0, "**")
    if pattern.endswith("/"):
        steps.append("**")
    below = "" if steps[-1] in ("*", "**") else "(?:/.+)?"
    first, *others = _runs(steps)
    if not others:
        return re.compile(first + below, re.DOTALL)
    begin = f"{first}/" if first else ""
    *middle, last = others
    begin += "".join(f"(?>(?:[^/]+/)*?{run}/)" for run in middle if run)
    end = f"(?:[^/]+/)*{last}" if last else ".+"
    return re.compile(begin + end + below, re.DOTALL)


def _runs(steps: Sequence[str]) -> list[str]:
    """What stands before, between and after each `**`; empty: nothing does."""
    runs: list[list[str]] = [[]]
    for step in steps:
        if step == "**":
            runs.append([])
        else:
            runs[-1].append(_step(step))
    return ["/".join(run) for run in runs]


def _step(text: str) -> str:
    """One name between slashes."""
    if text == "*":
        return "[^/]+"
    chunks = [""]
    for character in re.findall(_CHARACTER, text):
        if character == "*":
            chunks.append("")
        else:
            literal = re.escape(character[-1])
            chunks[-1] += "[^/]" if character == "?" else literal
    first, *others = chunks
    if not others:
        return first
    *middle, last = others
    stars = "".join(f"(?>[^/]*?{one})" for one in middle if one)
    return f"{first}{stars}(?>[^/]*{last})"
