"""`burst`: whether its parts can be had, and what templates may know of them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from boe_reconciler.core import burst, sql
from boe_reconciler.core.burst import Part
from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.language.addresses import address_flaw, addresses_in
from boe_reconciler.core.language.places import Source
from boe_reconciler.core.language.texts import TextFinding
from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.plan.check_report import ResolvedReport
from boe_reconciler.core.plan.policy import domain_findings
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.envelope import Schedule
from boe_reconciler.core.resources.schedule import Burst

_AT: Path = ("spec", "burst")
#: What is told of one file at most.
_TOLD = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedBurst:
    #: With the path of its file from the root.
    spec: Burst | None = None
    #: Path from the root -> sha256.
    files: Mapping[str, str]
    #: What templates see of its first part; None: that is known only as it runs.
    part: Mapping[str, str] | None = None
    #: All of them; empty: they are known only as it runs.
    parts: Sequence[Part] = ()


NONE = ResolvedBurst(files={})


def check_burst(
    check: Check, schedule: Schedule, report: ResolvedReport | None
) -> ResolvedBurst:
    wish = schedule.spec.burst
    if wish is None:
        return NONE
    _possible(check, schedule, wish, report)
    if wish.recipients_file is not None:
        return _file(check, wish, wish.recipients_file)
    if wish.recipients_query is not None and report is not None:
        dialect = sql.DIALECTS.get(report.connection.type, "")
        declared = report.spec.parameters
        wrong = sql.check(wish.recipients_query, dialect=dialect, declared=declared)
        check.find_in_text(wrong, (*_AT, "recipients_query"))
    known = {wish.values_from: "value"} if wish.values_from else None
    return ResolvedBurst(spec=wish, files={}, part=known)


def _possible(
    check: Check, schedule: Schedule, wish: Burst, report: ResolvedReport | None
) -> None:
    spec = report.spec if report else None
    if spec and spec.workbook and len(spec.workbook.sheets) > 1:
        detail = "a burst needs the rows of one query; the report has several sheets"
        check.add("BOE280", _AT, detail, "use a report with one query")
    if spec and spec.on_too_many == "split":
        detail = "a burst makes the files by key, on_too_many: split by rows"
        check.add("BOE280", _AT, detail, "take on_too_many out of the report")
    if wish.mode == "query":
        _possible_by_query(check, schedule, wish)


def _possible_by_query(check: Check, schedule: Schedule, wish: Burst) -> None:
    if wish.values_from is not None:
        detail = "nobody has the values of a column before the query was asked"
        todo = "use mode: split, or recipients_query"
        check.add("BOE281", (*_AT, "values_from"), detail, todo)
    if schedule.spec.if_unchanged != "send":
        detail = "a query for each part gives no rows to compare as a whole"
        check.add("BOE281", ("spec", "if_unchanged"), detail, "use mode: split")


# --- A file with recipients -----------------------------------------------------------


def _file(check: Check, wish: Burst, reference: str) -> ResolvedBurst:
    at = (*_AT, "recipients_file")
    found = check.file(reference, at)
    if found is None:
        return NONE
    path, content = found
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        check.add("BOE282", at, f"{path} is no UTF-8 text", "save it as UTF-8")
        return NONE
    source = Source(path, text)
    rows, flaws = burst.rows_of(text, wish.key)
    wrong = [_finding("BOE282", text, flaw) for flaw in flaws]
    wrong += [_finding("BOE283", text, flaw) for flaw in _addresses(text, rows)]
    check.find_in_file(wrong[:_TOLD], at, source)
    _domains(check, {a for row in rows for a in _in_row(row)}, at)
    files = {path: hashlib.sha256(content).hexdigest()}
    spec = wish.model_copy(update={"recipients_file": path})
    parts = [] if flaws else _parts(check, rows, wish, at)
    part = parts[0].values if parts else None
    return ResolvedBurst(spec=spec, files=files, part=part, parts=parts)


def _domains(check: Check, addresses: Iterable[str], at: Path) -> None:
    if check.judge is None:
        return
    for address in sorted(addresses):
        check.find(domain_findings(check.judge, address, at))


def _parts(
    check: Check, rows: list[dict[str, str]], wish: Burst, at: Path
) -> Sequence[Part]:
    try:
        return burst.parts(rows, wish.key, wish.max_parts)
    except Permanent as error:
        check.add("BOE284", at, error.message.removesuffix("."), "raise max_parts")
        return []


def _addresses(text: str, rows: list[dict[str, str]]) -> Iterator[burst.Flaw]:
    wrong = {a: flaw for row in rows for a in _in_row(row) if (flaw := address_flaw(a))}
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        for address, detail in wrong.items():
            if address in line:
                yield burst.Flaw(line=number, detail=detail)


def _in_row(row: Mapping[str, str]) -> Iterator[str]:
    for cell in row.values():
        if "@" in cell:
            yield from (found[0] for found in addresses_in(cell))


def _finding(code: str, text: str, flaw: burst.Flaw) -> TextFinding:
    """At its line."""
    lines = list(io.StringIO(text, newline=""))
    before = sum(len(line) for line in lines[: flaw.line - 1])
    line = "".join(lines[flaw.line - 1 : flaw.line]).rstrip()
    return TextFinding(code=code, detail=flaw.detail, offset=before, length=len(line))
