"""Where a file came from, as JSON that anybody can make again from the ledger.

A manifest holds nothing but what the ledger keeps of a run, so it needs no room of its own;
one line of the run's history holds their common sha256 and the BOE that wrote the files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

from boe_reconciler.core.language.credentials import hidden
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.report import ReportSpec
from boe_reconciler.core.runs import Artifact, Event, Run
from boe_reconciler.core.spec import RunSpec

FORMAT_VERSION = "1.0"
#: The action of the line in a run's history.
ACTION = "manifest_made"
_SENTENCE = re.compile(
    r"BOE (?P<version>\S+) wrote the files; "
    r"the sha256 of their manifests is (?P<sha256>[0-9a-f]{64})\."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What the files of one run have in common."""

    run: Run
    spec: RunSpec
    #: Final values of its parameters, as text.
    parameters: Mapping[str, str]
    #: Of the BOE that wrote the files.
    version: str

    def manifest(self, artifact: Artifact) -> dict[str, Any]:
        occurrence, zone = self.run.occurrence, ZoneInfo(self.spec.timezone)
        return {
            "format_version": FORMAT_VERSION,
            "run_id": self.run.run_id,
            "schedule": self.run.schedule,
            "occurrence": {
                "utc": f"{occurrence.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "local": occurrence.astimezone(zone).isoformat(timespec="seconds"),
                "timezone": self.spec.timezone,
            },
            "artifact": {
                "part": artifact.part,
                "name": artifact.name,
                "media_type": artifact.media_type,
                "bytes": artifact.bytes,
                "sha256": artifact.sha256,
                "rows": artifact.rows,
            },
            "queries": list(_queries(self.spec.report)),
            "parameters": hidden(dict(self.parameters), suspect=True),
            "revision": self.run.revision,
            "spec_sha256": self.run.spec_digest,
            "files": dict(self.spec.files),
            # Older specs have none, and the manifests of their files stay what they were.
            **({"blob_ids": dict(self.spec.blob_ids)} if self.spec.blob_ids else {}),
            "boe_version": self.version,
            "tzdb_version": self.run.tzdb,
        }

    def sha256(self, artifact: Artifact) -> str:
        """Of the manifest's canonical text."""
        return _sha256(text(self.manifest(artifact)))

    def common_sha256(self, artifacts: Iterable[Artifact]) -> str:
        """Of the manifests of all files of the run, in the order of their parts."""
        parts = sorted(artifacts, key=lambda one: one.part)
        return _sha256("".join(f"{self.sha256(one)}\n" for one in parts))

    def sentence(self, artifacts: Sequence[Artifact]) -> str:
        """What the run's history says of its files."""
        return (
            f"BOE {self.version} wrote the files; "
            f"the sha256 of their manifests is {self.common_sha256(artifacts)}."
        )


def text(manifest: Mapping[str, Any]) -> str:
    """The canonical form, which is that of `jq -S .`."""
    return json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def recorded(events: Iterable[Event]) -> tuple[str, str] | None:
    """The version and the common sha256 in a run's history; None: it has none.

    The last one counts: what an attempt wrote before it failed is gone.
    """
    found = [
        match.group("version", "sha256")
        for event in events
        if event.action == ACTION and (match := _SENTENCE.fullmatch(event.message))
    ]
    return (found[-1][0], found[-1][1]) if found else None


def _queries(report: ReportSpec) -> Iterator[dict[str, str | None]]:
    if report.workbook is None:
        yield {"sheet": None, "sha256": _sha256(report.query or "")}
        return
    for sheet in report.workbook.sheets:
        yield {"sheet": sheet.name, "sha256": _sha256(sheet.query or "")}


def _sha256(text_: str) -> str:
    return hashlib.sha256(text_.encode()).hexdigest()
