"""An export needs no pandas; loading it would cost a second at each start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from pathlib import Path
from boe_reconciler.cli import run
assert run(["init", "repo"]) == 0
repo = Path("repo/reports/sales-by-region.yaml")
text = repo.read_text().replace("select region", "select now() as moment, region")
repo.write_text(text.replace("group by region", "group by moment, region"))
assert run(["-C", "repo", "run", "--once", "--now-all"]) == 0
sys.exit("pandas" in sys.modules)
"""


@pytest.mark.slow
def test_a_run_does_not_load_pandas(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
