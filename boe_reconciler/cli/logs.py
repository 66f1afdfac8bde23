"""Log lines: when, how bad, an action name and its details, as text or JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

#: What every record of the standard library has; the rest are our details.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
#: The details that a reader looks for first.
_FIRST = ("run_id", "schedule")
#: What a library says has no action name of ours.
FOREIGN = "library_log"


class Lines(logging.Formatter):
    """Each record a line: no value can start another one, none holds a secret."""

    def __init__(self, *, as_json: bool, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._write = _json_line if as_json else _text_line
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        details = self._details(record)
        if record.exc_info:
            details["exception"] = self.formatException(record.exc_info)
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "action": details.pop("action"),
            **details,
        }
        return self._write({key: self._plain(value) for key, value in line.items()})

    def _details(self, record: logging.LogRecord) -> dict[str, Any]:
        given = {key: one for key, one in vars(record).items() if key not in _STANDARD}
        if not record.name.startswith("boe_reconciler"):
            said = {"logger": record.name, "detail": record.getMessage()}
            return {"action": FOREIGN, **said}
        first = {key: given.pop(key) for key in _FIRST if key in given}
        return {"action": record.getMessage(), **first, **given}

    def _plain(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._redact(str(value))


def _json_line(line: Mapping[str, Any]) -> str:
    return json.dumps(line)


def _text_line(line: Mapping[str, Any]) -> str:
    """For people: a traceback stands below its line, indented."""
    details = dict(line)
    head = f"{details.pop('ts')} {details.pop('level'):<8}{details.pop('action')}"
    exception = details.pop("exception", "")
    told = "".join(f" {key}={_quoted(value)}" for key, value in details.items())
    below = "".join(f"\n    {row}" for row in exception.splitlines())
    return head + told + below


def _quoted(value: Any) -> str:
    """In quotes where it would not be one word otherwise."""
    text = "" if value is None else str(value)
    harmless = text.isprintable()
    if harmless and text and not set(text) & {" ", '"', "="}:
        return text
    return json.dumps(text, ensure_ascii=not harmless)


def start_logging(
    log_format: str, redact: Callable[[str], str], level: int = logging.INFO
) -> None:
    """To standard error: warnings of others, and of ours what is at least `level`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)
    handler.setFormatter(Lines(as_json=log_format == "json", redact=redact))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("boe_reconciler").setLevel(level)
