"""What a task of a peer does: one line, durable, in a file that the bench counts."""

from __future__ import annotations

import os
import time


def happened(task: str) -> None:
    line = f"{task} {time.time():.3f}\n".encode()
    fd = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, line)
        os.fsync(fd)
    finally:
        os.close(fd)
