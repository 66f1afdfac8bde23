"""SARIF 2.1.0, as code scanning of GitHub and many viewers read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from boe_reconciler.cli.forms import Checked, fingerprints, told
from boe_reconciler.core.codes import CODES
from boe_reconciler.core.problems import Problem, Range

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"
    "sarif-schema-2.1.0.json"
)
#: Results of one run that GitHub takes; it refuses a file that has more.
MOST = 25_000


def render(checked: Checked) -> str:
    problems, codes = checked.problems[:MOST], _codes(checked.problems)
    if len(checked.problems) > MOST:
        problems = [*problems[:-1], _more(checked.problems[MOST - 1 :])]
    marks = fingerprints(problems)
    run = {
        "tool": {"driver": _driver(checked.version, codes)},
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(problem, codes.index(problem.code), mark)
            for problem, mark in zip(problems, marks, strict=True)
        ],
    }
    whole = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _codes(problems: Sequence[Problem]) -> list[str]:
    return sorted({problem.code for problem in problems})


def _more(left: Sequence[Problem]) -> Problem:
    """What stands for all that is left out, at the first of them."""
    first = left[0]
    where = Range.whole_file(first.range.filename)
    detail = f"{len(left):,} more problems: run `boe validate`"
    return replace(first, detail=detail, help="", path=(), range=where)


def _driver(version: str, codes: Sequence[str]) -> dict[str, Any]:
    return {"name": "boe", "version": version, "rules": [_rule(code) for code in codes]}


def _rule(code: str) -> dict[str, Any]:
    found = CODES[code]
    text = found.explanation.replace("`", "")
    return {
        "id": code,
        "shortDescription": {"text": found.summary},
        "fullDescription": {"text": text},
        "help": {
            "text": text,
            "markdown": f"**{found.summary}**\n\n{found.explanation}",
        },
    }


def _result(problem: Problem, rule: int, fingerprint: str) -> dict[str, Any]:
    where = problem.range
    artifact = {"uri": quote(where.filename, safe="/"), "uriBaseId": "%SRCROOT%"}
    physical = {"artifactLocation": artifact, "region": _region(where)}
    location: dict[str, Any] = {"physicalLocation": physical}
    if problem.kind and problem.name:
        logical = {"name": problem.name, "fullyQualifiedName": _object(problem)}
        location["logicalLocations"] = [logical]
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": _unlinked(told(problem))},
        "locations": [location],
        "partialFingerprints": {"boeProblem/v1": fingerprint},
    }


def _unlinked(text: str) -> str:
    """Messages may hold links of the form [text](address): ours hold none."""
    return text.replace("](", "] (")


def _object(problem: Problem) -> str:
    return f"{problem.kind}/{problem.name}"


def _region(where: Range) -> dict[str, int]:
    start, end = where.start, where.end
    if start == end:  # an empty region is a place between two characters
        return {"startLine": start.line}
    return {
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    }
