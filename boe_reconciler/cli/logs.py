"""Log lines: an action name, a run id and details, as text or JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime

#: What every record of the standard library has; the rest are our details.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class _Lines(logging.Formatter):
    def __init__(self, *, as_json: bool, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._as_json = as_json
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        details = {
            key: value for key, value in vars(record).items() if key not in _STANDARD
        }
        if record.exc_info:
            details["traceback"] = self.formatException(record.exc_info)
        details = {key: self._redact(str(value)) for key, value in details.items()}
        moment = datetime.fromtimestamp(record.created, UTC)
        at = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level, action = record.levelname.lower(), self._redact(record.getMessage())
        if self._as_json:
            line = {"at": at, "level": level, "action": action, **details}
            return json.dumps(line)
        told = " ".join(f"{key}={value}" for key, value in details.items())
        return f"{at} {level:<8}{action} {told}".rstrip()


def start_logging(
    log_format: str, redact: Callable[[str], str], level: int = logging.INFO
) -> None:
    """To standard error: warnings of others, and of ours what is at least `level`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)
    handler.setFormatter(_Lines(as_json=log_format == "json", redact=redact))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("boe_reconciler").setLevel(logging.INFO)
