"""Children that are kept come when many files are made at once: a crowd of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from boe_reconciler.backends import PRELOAD_FILES
from boe_reconciler.core.ports import Never
from boe_reconciler.transforms import kept as kept_module
from boe_reconciler.transforms.children import Children
from boe_reconciler.transforms.kept import KeptChildren
from tests.folders import until


@contextmanager
def kept_children(
    scratch: Path, data_root: Path, memory: int = 300_000_000
) -> Iterator[KeptChildren]:
    children = Children(
        scratch=scratch, memory=memory, environment=os.environ, preload=PRELOAD_FILES
    )
    made = KeptChildren(children, data_root, 2)
    yield made
    made.close()
    assert children._server._process is None


def crowd(kept: KeptChildren, files: int = 20) -> None:
    """So many files at the same moment; none waits for a child."""
    with ExitStack() as stack, patch.object(kept_module, "_PATIENCE", 0):
        for _ in range(files):
            stack.enter_context(kept.child(Never()))


def with_a_child(kept: KeptChildren, count: int = 1) -> KeptChildren:
    """At least so many of them wait for a file."""
    while len(kept._idle) < count:
        until(lambda: kept._busy is None)
        crowd(kept)
        until(lambda: kept._idle)
    return kept
