"""`boe validate` of many files beside PyYAML alone; commands of the demo beside its imports."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benches import pages
from benches.speed.measure import (
    ROOT,
    Goal,
    Part,
    Times,
    by_turns,
    middle,
    ratios,
    spread,
)
from benches.speed.small import BOE

_SAFE_LOADER = """
import sys, pathlib, yaml
for file in pathlib.Path(sys.argv[1]).rglob("*.yaml"):
    for document in yaml.load_all(file.read_bytes(), yaml.SafeLoader):
        pass
"""
_IMPORTS = "import typer, rich, yaml, pydantic"
#: What people type most, over the demo.
_COMMANDS = ("validate", "next --all", "status", "--help")
#: Of commands that are over in a moment.
_TURNS = 15
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


def measured(folder: Path, count: int, rounds: int) -> Part:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        repo = Path(name)
        write(repo, count)
        many = by_turns(
            {
                "boe": [BOE, "-C", repo, "validate"],
                "peer": [sys.executable, "-c", _SAFE_LOADER, repo],
            },
            rounds,
            f"validate {count:,} files",
        )
        demo = by_turns(
            {
                "peer": [sys.executable, "-c", _IMPORTS],
                **{said: [BOE, "-C", ROOT, *said.split()] for said in _COMMANDS},
            },
            max(_TURNS, rounds * 3),
            "start commands of the demo",
        )
    lines = [
        _line(
            f"`boe validate` of {count:,} files",
            "PyYAML's SafeLoader, parsing alone",
            many["boe"],
            many["peer"],
        ),
        *(
            _line(
                f"`boe {said}` of the demo",
                "importing typer, rich, yaml and pydantic",
                demo[said],
                demo["peer"],
            )
            for said in _COMMANDS
        ),
    ]
    head = ("command", "seconds", "beside", "seconds", "time of BOE's")
    return Part(
        text=f"### Checking a repo\n\n{pages.table(head, lines)}\n",
        goals=[
            Goal(
                what=f"`boe validate` of {count:,} files: the time of SafeLoader's parsing alone",
                ratios=ratios(many["peer"], many["boe"]),
                at_least=6,
            ),
            Goal(
                what="`boe validate` of the demo, by the time of its imports",
                ratios=ratios(demo["validate"], demo["peer"]),
                at_most=1.3,
            ),
        ],
    )


def write(repo: Path, count: int) -> None:
    (repo / "connections").mkdir()
    (repo / "connections/orders.yaml").write_text(_CONNECTION)
    for number in range(count):
        file = repo / f"schedules/{number % 100}/s{number}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = _SCHEDULE.replace("NUMBER", str(number))
        file.write_text(text.replace("TEAM", str(number // 10)))


def _line(what: str, beside: str, boe: Times, peer: Times) -> tuple[str, ...]:
    ours, theirs = (
        f"{middle(took.wall for took in times):.2f}" for times in (boe, peer)
    )
    return what, ours, beside, theirs, f"{spread(ratios(peer, boe))} x"
