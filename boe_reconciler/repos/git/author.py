"""Who works with the clone around a folder, as git knows them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def author_of(folder: Path) -> str | None:
    """git's user.email, from the clone or the user's own settings."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 the git program, with no argument from outside
            [git, "config", "user.email"],
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace").strip() or None
