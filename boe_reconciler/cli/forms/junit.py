"""JUnit XML: a test case for each file, so that a green run shows what it looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from boe_reconciler.cli.forms import Checked
from boe_reconciler.cli.output import counted, one_line
from boe_reconciler.core.problems import Problem

#: What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(checked: Checked) -> str:
    found: dict[str, list[Problem]] = {file: [] for file in checked.files}
    for problem in checked.problems:
        found.setdefault(problem.range.filename, []).append(problem)
    root = Element("testsuites")
    suite = SubElement(root, "testsuite", _counts(found))
    for file in sorted(found):
        _case(suite, file, found[file])
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, "unicode")}\n'


def _counts(found: Mapping[str, Sequence[Problem]]) -> dict[str, str]:
    failures = sum(any(map(_is_error, problems)) for problems in found.values())
    numbers = {"tests": len(found), "failures": failures, "errors": 0, "skipped": 0}
    return {
        "name": "boe validate",
        **{key: str(value) for key, value in numbers.items()},
    }


def _case(suite: Element, file: str, problems: Sequence[Problem]) -> None:
    """One <failure> with all errors: readers take the first of several only."""
    folder, slash, _ = file.rpartition("/")
    named = {"classname": folder if slash else ".", "name": file, "file": file}
    case = SubElement(suite, "testcase", {k: _safe(v) for k, v in named.items()})
    errors = [problem for problem in problems if _is_error(problem)]
    warnings = [problem for problem in problems if not _is_error(problem)]
    if errors:
        first = _line(errors[0])
        message = first if len(errors) == 1 else counted(len(errors), "error")
        about = {"type": errors[0].code, "message": message}
        SubElement(case, "failure", about).text = _lines(errors)
    if warnings:
        SubElement(case, "system-out").text = _lines(warnings)


def _is_error(problem: Problem) -> bool:
    return problem.severity == "error"


def _lines(problems: Sequence[Problem]) -> str:
    return "\n".join(map(_line, problems))


def _line(problem: Problem) -> str:
    return _safe(one_line(str(problem)))


def _safe(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
