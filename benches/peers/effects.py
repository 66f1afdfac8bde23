"""What a task of a peer does: it takes as long as a small export, and writes one line."""

from __future__ import annotations

import os
import time

#: Seconds. An export of BOE takes about as long while a hundred are due.
WORK = 0.05


def happened(task: str) -> None:
    time.sleep(WORK)
    line = f"{task} {time.time():.3f}\n".encode()
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, line)
        os.fsync(fd)
    finally:
        os.close(fd)
