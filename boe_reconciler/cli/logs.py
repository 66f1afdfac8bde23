"""Log lines: an action name, a run id and details, as text or JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

#: What every record of the standard library has; the rest are our details.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class _Lines(logging.Formatter):
    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        details = {
            key: value for key, value in vars(record).items() if key not in _STANDARD
        }
        if record.exc_info:
            details["traceback"] = self.formatException(record.exc_info)
        moment = datetime.fromtimestamp(record.created, UTC)
        at = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level, action = record.levelname.lower(), record.getMessage()
        if self._as_json:
            line = {"at": at, "level": level, "action": action, **details}
            return json.dumps(line, default=str)
        told = " ".join(f"{key}={value}" for key, value in details.items())
        return f"{at} {level:<8}{action} {told}".rstrip()


def start_logging(log_format: str) -> None:
    """To standard error: warnings of others, everything of ours."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(as_json=log_format == "json"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("boe_reconciler").setLevel(logging.INFO)
