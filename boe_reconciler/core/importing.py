"""The older BOE's JSON create requests -> YAML files.

Nothing is dropped in silence: what has no place in the new language becomes a note.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from boe_reconciler.core.resources.envelope import API_VERSION

#: Their words for a format -> ours.
_FORMATS = {"excel": "xlsx", "xls": "xlsx", "text": "csv", "htm": "html"}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: What of a `schedule_config` is understood.
_SCHEDULE = {
    "frequency",
    "timezone",
    "cron",
    "cron_expression",
    "time",
    "at",
    "day_of_week",
    "day_of_month",
    "minute",
}
_EXPORT = {"format", "include_headers", "compress", "filename_pattern"}
_LOCAL = {"base_path", "create_subdirs", "filename_pattern"}
_REQUEST = {
    "report_id",
    "name",
    "description",
    "schedule_config",
    "distribution_config",
    "export_config",
    "is_active",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One create request, and where it stood."""

    place: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the folder has already, so that nothing is overwritten."""

    schedules: frozenset[str] = frozenset()
    reports: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    has_policy: bool = False


@dataclass(kw_only=True, slots=True)
class Imported:
    #: Path below the folder -> text.
    files: dict[str, str] = field(default_factory=dict)
    #: What a person has to know or do.
    notes: list[str] = field(default_factory=list)
    #: Lines that policy.yaml needs, where there is one already.
    policy: dict[str, Any] = field(default_factory=dict)


def convert(
    requests: Sequence[Request],
    *,
    owner: str,
    report_map: Mapping[str, str],
    known: Known,
) -> Imported:
    """All requests as files; `report_map` is report id -> a Report's name."""
    out = Imported()
    taken = set(known.schedules)
    for request in requests:
        name = _unique(slug(str(request.data.get("name") or "schedule")), taken)
        taken.add(name)
        _convert_one(request, name, owner, report_map, known, out)
    _policy(out, owner, len(requests), known)
    if "@" not in owner and owner not in known.groups:
        out.files[f"groups/{owner}.yaml"] = _document(
            "Group", {"name": owner}, {"members": []}, "Add the members' addresses."
        )
        out.notes.append(f"groups/{owner}.yaml: add the members of the group.")
    return out


def slug(text: str) -> str:
    """A name of at most 63 characters: "Daily Sales Report" -> daily-sales-report."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:60].strip("-") or "x"


def _unique(name: str, taken: set[str]) -> str:
    number, candidate = 2, name
    while candidate in taken:
        candidate, number = f"{name}-{number}", number + 1
    return candidate


def _convert_one(  # noqa: PLR0913 one call
    request: Request,
    name: str,
    owner: str,
    report_map: Mapping[str, str],
    known: Known,
    out: Imported,
) -> None:
    data, place = request.data, request.place
    _unknown(out, place, "", data, _REQUEST)
    metadata = {"name": name, "owner": owner, "title": data.get("name")}
    if data.get("description"):
        metadata["description"] = data["description"]
    spec: dict[str, Any] = {
        "report": _report(request, owner, report_map, known, out),
        "when": _when(request, out),
        "export": _export(request, out),
        "deliver_to": _deliver_to(request, out),
    }
    if data.get("is_active") is False:
        spec["paused"] = True
    out.files[f"schedules/{name}.yaml"] = _document(
        "Schedule", metadata, spec, f"Imported from {place}."
    )


def _report(
    request: Request,
    owner: str,
    report_map: Mapping[str, str],
    known: Known,
    out: Imported,
) -> str:
    """The Report's name; an unknown one becomes a stub that says what to fill in."""
    old = str(request.data.get("report_id") or "unknown-report")
    name = report_map.get(old, slug(old))
    path = f"reports/{name}.yaml"
    if old in report_map or name in known.reports or path in out.files:
        return name
    spec = {"connection": "fill-in", "query": "select 'fill in' as fill_in"}
    title = str(request.data.get("name") or old)
    out.files[path] = _document(
        "Report",
        {"name": name, "owner": owner, "title": title},
        spec,
        f"FILL IN: the Connection and the query of the older report {old}.",
    )
    out.notes.append(
        f"{path}: fill in the Connection and the query of the older report {old} "
        "(or name its Report with --report-map)."
    )
    return name


def _when(request: Request, out: Imported) -> dict[str, Any]:
    config = _section(request, "schedule_config", out)
    _unknown(out, request.place, "schedule_config.", config, _SCHEDULE)
    when: dict[str, Any] = {}
    cron = config.get("cron_expression") or config.get("cron")
    if cron:
        when["cron"] = cron
    else:
        when["frequency"] = str(config.get("frequency") or "daily").lower()
        when.update(_details(when["frequency"], config))
    when["timezone"] = config.get("timezone") or "UTC"
    return when


def _details(frequency: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """`at` and `on` of a frequency."""
    found: dict[str, Any] = {}
    at = config.get("time") or config.get("at")
    if frequency == "hourly":
        if config.get("minute") is not None:
            found["at"] = f":{int(config['minute']):02d}"
    elif at:
        found["at"] = str(at)[:5]
    if frequency == "weekly" and config.get("day_of_week") is not None:
        found["on"] = _weekday(config["day_of_week"])
    if frequency == "monthly" and config.get("day_of_month") is not None:
        found["on"] = config["day_of_month"]
    return found


def _weekday(value: Any) -> Any:
    """0 is Monday, as in Python's own count; words by their first three letters."""
    if isinstance(value, int) and 0 <= value < len(_WEEKDAYS):
        return _WEEKDAYS[value]
    return str(value)[:3].lower()


def _export(request: Request, out: Imported) -> dict[str, Any]:
    config = _section(request, "export_config", out)
    _unknown(out, request.place, "export_config.", config, _EXPORT)
    name = str(config.get("format") or "xlsx").lower()
    export: dict[str, Any] = {"format": _FORMATS.get(name, name)}
    if config.get("include_headers") is False:
        export["include_headers"] = False
    compress = config.get("compress")
    if compress:
        export["compress"] = compress if isinstance(compress, str) else "zip"
    if config.get("filename_pattern"):
        export["filename_pattern"] = config["filename_pattern"]
    return export


def _deliver_to(request: Request, out: Imported) -> list[dict[str, Any]]:
    config = _section(request, "distribution_config", out)
    _unknown(out, request.place, "distribution_config.", config, {"local"})
    found = config.get("local")
    local: Mapping[str, Any] = found if isinstance(found, dict) else {}
    _unknown(out, request.place, "distribution_config.local.", local, _LOCAL)
    base = str(local.get("base_path") or "exports/scheduled")
    if base.startswith("/"):
        roots = out.policy.setdefault("allow", {}).setdefault("local_roots", [])
        if base not in roots:
            roots.append(base)
    destination: dict[str, Any] = {"type": "local", "base_path": base}
    if local.get("create_subdirs") is False:
        destination["create_subdirs"] = False
    if local.get("filename_pattern"):
        destination["filename_pattern"] = local["filename_pattern"]
    return [destination]


def _section(request: Request, key: str, out: Imported) -> Mapping[str, Any]:
    found = request.data.get(key)
    if found is None or isinstance(found, dict):
        return found or {}
    out.notes.append(f"{request.place}: {key} is no object and was left out.")
    return {}


def _unknown(
    out: Imported, place: str, prefix: str, data: Mapping[str, Any], known: set[str]
) -> None:
    out.notes.extend(
        f"{place}: {prefix}{key} has no place here and was left out: {data[key]!r}"
        for key in sorted(set(data) - known)
    )


def _policy(out: Imported, owner: str, count: int, known: Known) -> None:
    """What the result needs of the Policy: absolute folders, more than ten schedules."""
    if count > 10:
        limit = {"default": 10, owner: count}
        out.policy["limits"] = {"schedules_per_owner": limit}
    if not out.policy:
        return
    if known.has_policy:
        lines = yaml.safe_dump(out.policy, sort_keys=False).rstrip()
        out.notes.append(f"policy.yaml: add below spec:\n{lines}")
        return
    roots = out.policy.get("allow", {}).get("local_roots")
    if roots:
        # Naming roots takes away the default one; relative folders still need it.
        roots.insert(0, ".")
    out.files["policy.yaml"] = _document(
        "Policy", {"name": "policy"}, out.policy, "What the imported schedules need."
    )


def _document(
    kind: str, metadata: Mapping[str, Any], spec: Mapping[str, Any], comment: str
) -> str:
    body = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": dict(metadata),
        "spec": dict(spec),
    }
    text = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=100)
    return f"# {comment}\n{text}"
