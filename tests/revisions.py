"""Revisions in memory: files with marks where Problems are to stand."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from textwrap import dedent
from typing import Any

from boe_reconciler.core.errors import InputError
from boe_reconciler.core.plan import Plan, make_plan
from boe_reconciler.core.plan.files import blob_id
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.snapshot import Snapshot
from boe_reconciler.core.spec import Served, ServedObject

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
#: (code, file, line, column).
Spot = tuple[str, str, int, int]
Files = Mapping[str, str | bytes]
_MARK = re.compile("⟦(BOE[0-9]{3})⟧")


def a_document(kind: str, name: str, spec: str, metadata: str = "") -> str:
    """YAML with `spec` in its seventh line and below; `metadata` is more of it."""
    owner = "" if kind in ("Policy", "Group", "Calendar", "Environment") else OWNER
    head = f"apiVersion: boe/v1\nkind: {kind}\nmetadata:\n  name: {name}\n{owner}"
    body = dedent(spec).strip("\n").replace("\n", "\n  ")
    return f"{head}{metadata}spec:\n  {body}\n"


OWNER = "  owner: ops@example.com\n"

#: A repo in which all is well.
GOOD: dict[str, str] = {
    "connections/db.yaml": a_document("Connection", "db", "type: duckdb"),
    "reports/sales.yaml": a_document(
        "Report",
        "sales",
        """
        connection: db
        query: select 1 as one
        """,
    ),
    "distributions/archive.yaml": a_document(
        "Distribution", "archive", "destinations: [{type: local, base_path: exports}]"
    ),
    "schedules/daily.yaml": a_document(
        "Schedule",
        "daily",
        """
        report: sales
        when: {cron: "30 6 * * *", timezone: UTC}
        deliver_to: [archive]
        """,
    ),
}


def a_snapshot(files: Files, unreadable: Mapping[str, str] | None = None) -> Snapshot:
    contents = {
        path: text.encode() if isinstance(text, str) else text
        for path, text in files.items()
    }
    blobs = {path: blob_id(content) for path, content in contents.items()}
    digest = hashlib.sha1(repr((sorted(blobs.items()), unreadable)).encode())

    def read(path: str) -> bytes:
        if path not in contents:
            raise InputError(f"{path} is not there.")
        return contents[path]

    return Snapshot(
        revision=f"folder@sha1:{digest.hexdigest()}",
        files=blobs,
        unreadable=unreadable or {},
        read=read,
    )


def plan_of(files: Files, **options: Any) -> Plan:
    options = {"served": None, "now": NOW, **options}
    return make_plan(a_snapshot(files, options.pop("unreadable", None)), **options)


def unmarked(files: Files) -> tuple[dict[str, str | bytes], set[Spot]]:
    """The files without their marks, and the spots that those name."""
    clean: dict[str, str | bytes] = {}
    spots: set[Spot] = set()
    for path, content in files.items():
        text = content if isinstance(content, str) else ""
        while mark := _MARK.search(text):
            above, _, before = text[: mark.start()].rpartition("\n")
            line = above.count("\n") + bool(above) + 1
            spots.add((mark[1], path, line, len(before) + 1))
            text = _MARK.sub("", text, count=1)
        clean[path] = text or content
    return clean, spots


def spot(problem: Problem) -> Spot:
    at = problem.range
    return problem.code, at.filename, at.start.line, at.start.column


class Ledger:
    """What a ledger and a Blobs store keep of plans."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.served: Served | None = None

    def activate(self, plan: Plan) -> None:
        self.blobs |= plan.blobs
        found = plan.activation
        before = self.served.objects if self.served else ()
        objects = before if found.serving is None else found.objects
        assert self.served or found.serving
        self.served = Served(
            attempted=found.attempted,
            serving=found.serving or (self.served and self.served.serving),
            objects=[through_json(one) for one in objects],
            stalled=found.stalled,
            problems=found.problems,
            judge=found.judge if found.serving else self.served and self.served.judge,
            environment=found.environment,
        )

    def plan(self, files: Files, **options: Any) -> Plan:
        options = {"served": self.served, "read_blob": self.read, **options}
        return plan_of(files, **options)

    def read(self, sha256: str) -> bytes:
        return self.blobs[sha256]

    def step(self, files: Files, **options: Any) -> Plan:
        plan = self.plan(files, **options)
        self.activate(plan)
        return plan


def through_json(one: ServedObject) -> ServedObject:
    fields = {name: getattr(one, name) for name in ServedObject.__slots__}
    return ServedObject(**json.loads(json.dumps(fields)))
