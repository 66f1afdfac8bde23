"""A format that does in a child what the title asks for; in the test's process it does not."""

from __future__ import annotations

import os
import signal
import zoneinfo
from collections.abc import Sequence
from threading import Event
from typing import BinaryIO

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import FormatOptions, Table, Written

_KILLED = {"killed": signal.SIGKILL, "crash": signal.SIGSEGV}


class OddFormat:
    extension = "odd"
    media_type = "text/plain"
    several_tables = True

    def write(
        self, tables: Sequence[Table], target: BinaryIO, options: FormatOptions
    ) -> Written:
        if os.getpid() != int(options.subtitle):
            _misbehave(options.title)
        rows = sum(batch.num_rows for table in tables for batch in table.batches)
        told = zoneinfo.TZPATH if options.title == "zones" else os.getpid()
        target.write(str(told).encode())
        return Written(rows=rows, notes=[("told", f"{rows} rows")])


def _misbehave(how: str) -> None:
    if how in _KILLED:
        os.kill(os.getpid(), _KILLED[how])
    if how == "hang":
        Event().wait(60)
    if how == "break":
        raise OSError(28, "No space left on device")
    if how == "refuse":
        raise Permanent("too_many_rows", "The odd file holds none.", "Take fewer.")


def create() -> OddFormat:
    return OddFormat()
