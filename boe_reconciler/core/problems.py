"""A Problem: one finding at file:line:column, with a code, a reason and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from boe_reconciler.core.codes import CODES
from boe_reconciler.core.records import dataclass

Severity = Literal["error", "warning"]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    #: 1-based line.
    line: int
    #: 1-based column, in characters.
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """Where a value stands; `end` is the position just after its last character."""

    filename: str
    start: Position
    end: Position

    @classmethod
    def whole_file(cls, filename: str) -> Range:
        return cls(filename, Position(1, 1), Position(1, 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    #: A key of `codes.CODES`.
    code: str
    #: What is wrong, with the values at hand.
    detail: str
    #: What to do about it; may be empty.
    help: str = ""
    #: Path of the value in its document, such as ("spec", "when", "cron").
    path: Path = ()
    range: Range
    #: Kind and name of the object the Problem belongs to, where they are known.
    kind: str | None = None
    name: str | None = None
    severity: Severity = "error"

    @property
    def summary(self) -> str:
        return CODES[self.code].summary

    @property
    def order(self) -> tuple[object, ...]:
        """The one order in which Problems are shown: by place, then by code."""
        return (self.range, self.code, self.detail)

    def __str__(self) -> str:
        """`file:line:col: error BOE012 spec.when.cron: what is wrong (what to do)`"""
        at = self.range.start
        where = f"{self.range.filename}:{at.line}:{at.column}"
        path = f" {dotted(self.path)}" if self.path else ""
        todo = f" ({self.help})" if self.help else ""
        return f"{where}: {self.severity} {self.code}{path}: {self.detail}{todo}"

    def as_diagnostic(self) -> dict[str, object]:
        """The JSON object that `boe validate --format json` prints for it."""
        start, end = self.range.start, self.range.end
        return {
            "severity": self.severity,
            "code": self.code,
            "summary": self.summary,
            "detail": self.detail,
            "help": self.help,
            "resource": {"kind": self.kind, "name": self.name},
            "path": dotted(self.path),
            "range": {
                "filename": self.range.filename,
                "start": {"line": start.line, "column": start.column},
                "end": {"line": end.line, "column": end.column},
            },
        }


def dotted(path: Path) -> str:
    """("spec", "deliver_to", 0, "type") -> "spec.deliver_to[0].type"."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Each Problem once, in the one order."""
    return sorted(set(problems), key=lambda problem: problem.order)
