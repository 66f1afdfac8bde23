"""SQL that changed -> the tables that are read from now on, and no longer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from boe_reconciler.core.changes.impact.pairs import Look, Side
from boe_reconciler.core.resources.schedule import WaitForQuery
from boe_reconciler.core.spec import RunSpec
from boe_reconciler.core.sql_tables import Unreadable, tables_of

#: Characters of SQL that are read for one plan: some fifteen seconds at most.
MOST_TEXT = 500_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A query of which nobody can say what it reads."""

    side: Literal["before", "after"]
    #: "query", "sheet NAME", "check NAME", "only_if" or "wait_for".
    query: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TablesChanged:
    report: str
    #: Those whose queries changed so.
    schedules: Sequence[str]
    #: With an unread query before, some of these may have been read already.
    gained: Sequence[str]
    #: Empty with an unread query after: it may still read them.
    lost: Sequence[str]
    unread: Sequence[Unread]


def tables_changed(look: Look) -> list[TablesChanged]:
    """By Report: schedules that change alike are told together.

    Where nothing was before, every table is new, and nobody is caught out by one.
    """
    reader, names = _Reader(), defaultdict(list)
    known = {
        pair.before.planned.spec.report_name: pair.before
        for pair in look.pairs
        if pair.before
    }
    for pair in look.pairs if look.before else ():
        # What a new Schedule reads is new only where its Report is.
        before = pair.before or known.get(_report(pair.after))
        if pair.after and _queries_changed(before, pair.after):
            found = reader.compare(before, pair.after)
            if any(found):
                names[(pair.after.planned.spec.report_name, *found)].append(pair.name)
    return [
        TablesChanged(
            report=report, schedules=schedules, gained=gained, lost=lost, unread=unread
        )
        for (report, gained, lost, unread), schedules in sorted(
            names.items(), key=lambda one: (one[0][0], one[1])
        )
    ]


def _report(side: Side | None) -> str:
    return side.planned.spec.report_name if side else ""


def _queries_changed(before: Side | None, after: Side) -> bool:
    return before is None or _asked(before) != _asked(after)


def _asked(side: Side) -> tuple[Any, ...]:
    """All that decides what is read."""
    spec = side.planned.spec
    return spec.connection.type, _files(spec), list(_queries(spec))


_Compared = tuple[tuple[str, ...], tuple[str, ...], tuple[Unread, ...]]


class _Reader:
    """Reads each query once: many Schedules share a Report."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], frozenset[str] | str] = {}
        self._left = MOST_TEXT

    def compare(self, before: Side | None, after: Side) -> _Compared:
        was, unread_before = self._reads(before, "before") if before else (set(), [])
        will, unread_after = self._reads(after, "after")
        lost = set() if unread_after else was - will
        unread = (*unread_before, *unread_after)
        return tuple(sorted(will - was)), tuple(sorted(lost)), unread

    def _reads(
        self, side: Side, which: Literal["before", "after"]
    ) -> tuple[set[str], list[Unread]]:
        spec = side.planned.spec
        dialect, files = _dialect_of(spec), _files(spec)
        tables: set[str] = set()
        unread = []
        for where, text in _queries(spec):
            found = self._tables(text, dialect)
            if isinstance(found, str):
                unread.append(Unread(side=which, query=where, why=found))
            else:
                tables |= {_with_file(name, files) for name in found}
        return tables, unread

    def _tables(self, text: str, dialect: str) -> frozenset[str] | str:
        """The tables, or why they are not known."""
        key = text, dialect
        if key not in self._found:
            self._found[key] = self._read(text, dialect)
        return self._found[key]

    def _read(self, text: str, dialect: str) -> frozenset[str] | str:
        if len(text) > self._left:
            return "too much SQL changed at once to read it all"
        try:
            found = tables_of(text, dialect)
        except Unreadable as error:
            return str(error)
        self._left -= len(text)
        return found


def _with_file(name: str, files: dict[str, str]) -> str:
    """A view of `files` is told with what it shows."""
    path = {view.lower(): path for view, path in files.items()}.get(name.lower())
    return f"{name} ({path})" if path else name


def _files(spec: RunSpec) -> dict[str, str]:
    return getattr(spec.connection, "files", {})


def _queries(spec: RunSpec) -> Iterator[tuple[str, str]]:
    """Every query of a run, with where it stands."""
    report = spec.report
    if report.query:
        yield "query", report.query
    for sheet in report.workbook.sheets if report.workbook else ():
        if sheet.query:
            yield f"sheet {sheet.name}", sheet.query
    for check in report.checks:
        yield f"check {check.name}", check.query
    if spec.only_if:
        yield "only_if", spec.only_if.query
    for one in spec.wait_for:
        if isinstance(one, WaitForQuery):
            yield "wait_for", one.query


#: The first part of a SQLAlchemy URL, where it is not the dialect's own name.
_BY_URL = {
    "postgresql": "postgres",
    "cockroachdb": "postgres",
    "mariadb": "mysql",
    "mssql": "tsql",
    "awsathena": "athena",
}


def _dialect_of(spec: RunSpec) -> str:
    """What sqlglot calls the language of its queries; it need not know it."""
    connection = spec.connection
    if connection.type != "sql":
        return connection.type
    driver = connection.url.partition(":")[0].partition("+")[0].lower()
    return _BY_URL.get(driver, driver)
