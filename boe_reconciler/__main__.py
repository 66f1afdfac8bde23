"""`boe` and `python -m boe_reconciler`."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    # A short command makes many objects and no garbage; App turns it on for the others.
    gc.disable()
    from boe_reconciler.cli import run  # noqa: PLC0415 so that an import error is reported too

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
