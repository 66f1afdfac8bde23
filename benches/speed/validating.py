"""`boe validate`: of many files beside PyYAML alone, of the demo beside its imports."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benches import pages
from benches.speed.measure import ROOT, by_turns, middle, spread
from benches.speed.small import BOE

_SAFE_LOADER = """
import sys, pathlib, yaml
for file in pathlib.Path(sys.argv[1]).rglob("*.yaml"):
    for document in yaml.load_all(file.read_bytes(), yaml.SafeLoader):
        pass
"""
_IMPORTS = "import typer, rich, yaml, pydantic"
_CONNECTION = """\
apiVersion: boe/v1
kind: Connection
metadata: {name: orders, owner: ops@example.com}
spec: {type: duckdb}
"""
_SCHEDULE = """\
apiVersion: boe/v1
kind: Schedule
metadata:
  name: orders-NUMBER
  title: Orders of region NUMBER
  owner: teamTEAM@example.com
spec:
  report:
    connection: orders
    query: |
      SELECT region, sum(total) AS total
      FROM orders
      WHERE region = NUMBER
      GROUP BY region
  when:
    cron: "30 6 * * 1-5"
    timezone: Europe/Berlin
  export:
    format: xlsx
    filename_pattern: "orders_NUMBER_{date}.{format}"
  deliver_to:
    - type: local
      base_path: exports
"""


def measured(folder: Path, count: int, rounds: int) -> str:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        repo = Path(name)
        write(repo, count)
        lines = [
            _line(
                f"{count:,} files",
                "PyYAML's SafeLoader, parsing alone",
                {
                    "boe": [BOE, "-C", repo, "validate"],
                    "peer": [sys.executable, "-c", _SAFE_LOADER, repo],
                },
                rounds,
            ),
            _line(
                "the demo",
                "importing typer, rich, yaml and pydantic",
                {
                    "boe": [BOE, "-C", ROOT, "validate"],
                    "peer": [sys.executable, "-c", _IMPORTS],
                },
                rounds,
            ),
        ]
    head = ("`boe validate` of", "seconds", "beside", "seconds", "time of BOE's")
    return f"### Checking a repo\n\n{pages.table(head, lines)}\n"


def write(repo: Path, count: int) -> None:
    (repo / "connections").mkdir()
    (repo / "connections/orders.yaml").write_text(_CONNECTION)
    for number in range(count):
        file = repo / f"schedules/{number % 100}/s{number}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = _SCHEDULE.replace("NUMBER", str(number))
        file.write_text(text.replace("TEAM", str(number // 10)))


def _line(
    what: str, peer: str, ways: dict[str, list[str | Path]], rounds: int
) -> tuple[str, ...]:
    found = by_turns(ways, rounds)
    boe, other = ([took.wall for took in found[name]] for name in ways)
    times = spread(b / a for a, b in zip(boe, other, strict=True))
    return (what, f"{middle(boe):.2f}", peer, f"{middle(other):.2f}", f"{times} x")
