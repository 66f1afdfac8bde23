"""The Code Quality report of GitLab."""

from __future__ import annotations

import json
from typing import Any

from boe_reconciler.cli.forms import Checked, fingerprints, last_line, told
from boe_reconciler.core.problems import Problem

_SEVERITIES = {"error": "major", "warning": "minor"}


def render(checked: Checked) -> str:
    marks = fingerprints(checked.problems)
    found = [
        _violation(problem, mark)
        for problem, mark in zip(checked.problems, marks, strict=True)
    ]
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _violation(problem: Problem, fingerprint: str) -> dict[str, Any]:
    where = problem.range
    return {
        "description": f"{problem.code} {told(problem)}",
        "check_name": problem.code,
        "fingerprint": fingerprint,
        "severity": _SEVERITIES[problem.severity],
        "location": {
            "path": where.filename,
            "lines": {"begin": where.start.line, "end": last_line(where)},
        },
    }
