"""What editors show beside the JSON Schema: titles, snippets, messages in plain words.

The keywords are those of yaml-language-server and of VS Code's JSON; who does not
know them passes over them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from boe_reconciler.core.resources import types
from boe_reconciler.core.resources.connection import CONNECTIONS
from boe_reconciler.core.resources.distribution import DESTINATIONS

Schema = dict[str, Any]

#: Model -> its name for people: over hover texts, in lists of completions and in
#: "Expected …". Others keep the name of their model.
HEADINGS = {
    "ReportSpec": "Report",
    "ScheduleDefaults": "Schedule",
    **{
        model.__name__: f"{group} {name}"
        for group, models in (
            ("Connection", CONNECTIONS),
            ("Destination", DESTINATIONS),
        )
        for name, model in models.items()
    },
}
_TITLES = {
    **HEADINGS,
    "EnvSecret": "{env: NAME}",
    "FileSecret": "{file: PATH}",
    "SopsSecret": "{sops: FILE#KEY}",
    "DistributionRef": "{distribution: NAME}",
    "GroupRef": "{group: NAME}",
    "FileText": "{file: PATH}",
    "BusinessDay": "{business_day: N}",
    "DaysOff": "{from: DATE, to: DATE}",
    "Member": "{email: ADDRESS}",
    "OwnedMetadata": "Metadata",
}
_FORMS = {
    **types.FORMS,
    types.DURATION_PATTERN: "a duration is a whole number and a unit: 30s, 15m, 24h or 7d",
    types.SIZE_PATTERN: "a size is a whole number and a unit: 500KB, 25MB or 2GB",
    types.TIME_PATTERN: 'a time is written in quotes, such as "06:30"',
    types.DATE_PATTERN: "a date is written 2026-12-25",
    types.INSTANT_PATTERN: "an instant has its offset, such as 2026-12-25T06:30:00+01:00",
}

#: (model, field) -> what each of its values does.
_MEANINGS: dict[tuple[str, str], dict[Any, str]] = {
    ("Execution", "catchup"): {
        "latest": "the newest one only",
        "all": "each of them, oldest first",
        "none": "nothing: they are missed",
    },
    ("Execution", "overlap"): {
        "skip": "leave the new one out",
        "buffer_one": "let one wait, and leave out the others",
        "buffer_all": "let all wait, one after another",
        "cancel_other": "cancel the one that goes on",
        "allow_all": "run both at once",
    },
    ("LocalDestination", "if_exists"): {
        "number": "ours becomes name-2.xlsx",
        "overwrite": "ours takes its place",
        "error": "the delivery fails",
    },
    ("When", "if_day_off"): {
        "skip": "no run",
        "next": "on the next working day",
        "previous": "on the working day before",
    },
    ("Export", "compress"): {
        False: "the file as it is",
        "gzip": "NAME.xlsx.gz",
        "zip": "NAME.zip",
    },
    **{
        (model, "if_empty"): {
            "send": "the file, with its headers alone",
            "skip": "nothing is sent",
            "notice": "a message without a file",
        }
        for model in ("ScheduleSpec", "SharedScheduleSpec", "ScheduleDefaults")
    },
}

_WHEN: dict[str, Any] = {
    "every weekday": {"cron": '"${1:30 6} * * mon-fri"'},
    "daily": {"frequency": "daily", "at": '"${1:06:30}"'},
    "weekly": {
        "frequency": "weekly",
        "on": "${1|mon,tue,wed,thu,fri,sat,sun|}",
        "at": '"${2:06:30}"',
    },
    "nth business day of the month": {
        "frequency": "monthly",
        "on": {"business_day": "^${1:2}"},
        "at": '"${2:07:00}"',
        "calendar": "${3:my-calendar}",
    },
    "every few minutes": {"every": "${1:15m}"},
    "single instants": {"once": ["${1:2026-12-25T06:30:00+01:00}"]},
}


#: Zones that are offered: all 400 would hide these. Any other one can be typed.
_ZONES = """
    UTC Europe/Amsterdam Europe/Athens Europe/Berlin Europe/Brussels Europe/Copenhagen
    Europe/Dublin Europe/Helsinki Europe/Istanbul Europe/Lisbon Europe/London Europe/Madrid
    Europe/Oslo Europe/Paris Europe/Prague Europe/Rome Europe/Stockholm Europe/Vienna
    Europe/Warsaw Europe/Zurich America/Bogota America/Chicago America/Denver
    America/Los_Angeles America/Mexico_City America/New_York America/Sao_Paulo
    America/Toronto Africa/Cairo Africa/Johannesburg Africa/Lagos Africa/Nairobi Asia/Dubai
    Asia/Hong_Kong Asia/Jakarta Asia/Jerusalem Asia/Kolkata Asia/Seoul Asia/Shanghai
    Asia/Singapore Asia/Tokyo Australia/Melbourne Australia/Sydney Pacific/Auckland
""".split()
#: Fields of `when` whose values no list holds -> some to choose from.
_VALUES: Mapping[str, Sequence[str]] = {
    "timezone": _ZONES,
    "on": "mon tue wed thu fri sat sun last".split(),
    "at": ['"06:30"', '"12:00"', '"18:00"'],
}


def _document(kind: str, spec: Schema) -> Schema:
    return {
        "apiVersion": "boe/v1",
        "kind": kind,
        "metadata": {"name": "${1:name}", "owner": "${2:you@example.com}"},
        "spec": spec,
    }


_DOCUMENTS = {
    "new Schedule": _document(
        "Schedule",
        {
            "report": "${3:my-report}",
            "when": {
                "frequency": "${4|daily,weekly,monthly,quarterly,yearly,hourly|}",
                "at": '"${5:06:30}"',
                "timezone": "${6:Europe/Berlin}",
            },
            "export": {"format": "${7|xlsx,csv,tsv,json,jsonl,parquet,html,pdf|}"},
            "deliver_to": ["${8:archive}"],
        },
    ),
    "new Report": _document(
        "Report", {"connection": "${3:my-connection}", "query": "${4:select 1 as one}"}
    ),
    "new Connection to files": _document(
        "Connection",
        {"type": "duckdb", "files": {"${3:my_table}": "${4:data/my_table.csv}"}},
    ),
    "new Connection to PostgreSQL": _document(
        "Connection",
        {
            "type": "postgres",
            "host": "${3:db.internal}",
            "database": "${4:name}",
            "user": "${5:name}",
            "password": {"env": "${6:DB_PASSWORD}"},
        },
    ),
    "new Distribution": _document(
        "Distribution",
        {"destinations": [{"type": "local", "base_path": "${3:exports}"}]},
    ),
    "new Group": {
        **_document("Group", {"members": ["${2:anna@example.com}"]}),
        "metadata": {"name": "${1:name}"},
    },
}


def snippets_of_documents() -> list[Schema]:
    return _snippets(_DOCUMENTS)


def _snippets(bodies: Mapping[str, Any]) -> list[Schema]:
    return [{"label": label, "body": body} for label, body in bodies.items()]


def for_editors(definitions: dict[str, Schema]) -> None:
    """Add to the definitions, in place."""
    for name, schema in definitions.items():
        schema["title"] = _TITLES.get(name, name.removesuffix("Spec"))
        if "description" in schema:
            _describe_spec(schema)
        for field, property_ in schema.get("properties", {}).items():
            _explain(property_, _MEANINGS.get((name, field), {}))
    _name(definitions)
    definitions["When"]["defaultSnippets"] = _snippets(_WHEN)
    for field, values in _VALUES.items():
        property_ = definitions["When"]["properties"][field]
        property_["defaultSnippets"] = _snippets({value: value for value in values})
    default = definitions["ScheduleDefaults"]["properties"]["timezone"]
    default["defaultSnippets"] = _snippets({zone: zone for zone in _ZONES})


def _describe_spec(kind: Schema) -> None:
    spec = kind["properties"].get("spec")
    if spec is not None:
        spec.setdefault("description", kind["description"])


def _explain(property_: Schema, meanings: Mapping[Any, str]) -> None:
    """Its default, and what its values do."""
    if "default" in property_:
        shown = json.dumps(property_["default"], ensure_ascii=False)
        text = f"{property_.get('description', '')}\n\nDefault: `{shown}`"
        property_["markdownDescription"] = text
    if meanings:
        texts = [meanings.get(value, "") for value in property_["enum"]]
        property_["enumDescriptions"] = texts


def _name(schema: Any) -> None:
    """Say of each pattern what it asks for, and of each choice by `type` what it is."""
    children = schema
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str) and schema["pattern"] in _FORMS:
            schema["patternErrorMessage"] = _FORMS[schema["pattern"]]
        if "allOf" in schema and schema.get("required") == ["type"]:
            schema["title"] = "{type: …}"
        children = list(schema.values())
    if isinstance(children, list):
        for child in children:
            _name(child)
