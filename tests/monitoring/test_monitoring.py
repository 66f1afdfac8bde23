"""Alert rules, dashboard and runbooks speak only of what there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from prometheus_client import generate_latest

from boe_reconciler.cli.main import boe
from boe_reconciler.clock import SystemClock
from boe_reconciler.core.health import Health
from boe_reconciler.ledgers.memory import MemoryLedger
from boe_reconciler.web.looking import FAMILIES, Looking, Outlook
from boe_reconciler.web.metrics import Metrics

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = yaml.safe_load((ROOT / "monitoring" / "alerts.yaml").read_text())
ALERTS = {one["alert"]: one for group in RULES["groups"] for one in group["rules"]}
DASHBOARD = json.loads((ROOT / "monitoring" / "dashboard.json").read_text())
PAGES = {page.stem: page for page in RUNBOOKS.glob("*.md") if page.stem != "README"}
WELL = Health(reason="", message="", step_age=0, tick_age=0)
#: What Prometheus adds by itself, and what Linux alone has.
OTHERS = {"up": (), "process_resident_memory_bytes": ()}
#: Labels that Prometheus puts on every series, and that a bucket has.
EVERYWHERE = {"job", "instance", "le"}


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[str, ...]]:
    """Each name that a query can use, and its labels, from a real scrape."""
    metrics = Metrics(SystemClock(), {"version": "1"})
    outlook = Outlook(
        ledger=MemoryLedger(),
        state=tmp_path_factory.mktemp("state"),
        ready=lambda: WELL,
        clock=SystemClock(),
    )
    metrics.registry.register(Looking(outlook))
    text = generate_latest(metrics.registry).decode()
    labels = metrics.labels | {f"boe_{name}": one[1] for name, one in FAMILIES.items()}
    found: dict[str, tuple[str, ...]] = dict(OTHERS)
    for name, kind in re.findall(r"(?m)^# TYPE (\S+) (\S+)", text):
        known = labels.get(name.removesuffix("_total"), ())
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {f"{name}{suffix}": known for suffix in suffixes}
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Where it stands, and the query as Prometheus sees it."""
    for name, alert in ALERTS.items():
        yield name, alert["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "5m")
            yield panel["title"], query.replace("$job", "boe")
    for note in DASHBOARD["annotations"]["list"]:
        yield note["name"], note["expr"].replace("$job", "boe")


QUERIES = list(queries())


def test_every_query_can_be_parsed() -> None:
    parser = pytest.importorskip("promql_parser")
    for where, query in QUERIES:
        assert parser.parse(query), where


def test_every_query_asks_for_metrics_and_labels_that_there_are(
    scraped: Mapping[str, tuple[str, ...]],
) -> None:
    unknown = []
    for where, query in QUERIES:
        for name, selector in re.findall(
            r"\b((?:boe|process)_\w+|up)\b(\{[^}]*\})?", query
        ):
            asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            if name not in scraped:
                unknown.append(f"{where}: {name}")
            elif not asked <= {*scraped[name], *EVERYWHERE}:
                unknown.append(f"{where}: {name}{selector}")
    assert unknown == []


def test_every_query_groups_and_names_by_labels_that_it_has(
    scraped: Mapping[str, tuple[str, ...]],
) -> None:
    shown = [*QUERIES]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            legend = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            shown.append((panel["title"], f"{target['expr']} by ({', '.join(legend)})"))
    for where, query in shown:
        names = re.findall(r"\bboe_\w+", query)
        known = {label for name in names for label in scraped[name]} | EVERYWHERE
        for group in re.findall(r"\bby \(([\w, ]*)\)", query):
            assert set(re.findall(r"\w+", group)) <= known, (where, query)


def test_every_alert_says_how_bad_it_is_and_what_is_wrong() -> None:
    for name, alert in ALERTS.items():
        assert re.fullmatch(r"Boe[A-Z][A-Za-z]+", name)
        assert alert["labels"]["severity"] in ("critical", "warning"), name
        assert alert["annotations"]["summary"].endswith("."), name


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    assert set(PAGES) == set(ALERTS)
    for name, alert in ALERTS.items():
        assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    listed = re.findall(
        r"(?m)^\| \[(\w+)\]\(\1\.md\)", (RUNBOOKS / "README.md").read_text()
    )
    assert sorted(listed) == sorted(ALERTS)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_answers_the_four_questions(
    name: str, scraped: Mapping[str, tuple[str, ...]]
) -> None:
    text = PAGES[name].read_text()
    assert text.startswith(f"# {name}: ")
    assert re.findall(r"(?m)^## (.*)$", text) == [
        "What it means",
        "What users feel",
        "How to look",
        "How to mend",
    ]
    assert all(len(part.strip()) > 10 for part in re.split(r"(?m)^## .*$", text)[1:])
    whole = {re.sub("_(bucket|sum|count)$", "", known) for known in scraped}
    assert set(re.findall(r"\bboe_\w+", text)) <= whole


def commands() -> Iterator[tuple[str, str]]:
    """Each `boe …` in a page, as far as it can be checked: words and options."""
    for page in [*RUNBOOKS.glob("*.md"), ROOT / "docs" / "observing.md"]:
        text = page.read_text()
        blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
        lines = re.findall(r"(?m)(?:^|; )boe ([^|;\n]+)", blocks)
        for line in [*lines, *re.findall(r"`boe ([^`]+)`", text)]:
            yield page.name, " ".join(line.split())


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_a_command_in_a_page_is_one_that_there_is(page: str, line: str) -> None:
    group: Any = typer.main.get_group(boe)
    words = re.sub(r"^((-C|--state|--log-format) \S+ )+", "", line).split()
    command = group.get_command(typer.Context(group), words[0])
    assert command is not None, line
    known = {option for one in command.params for option in one.opts}
    given = {word for word in words[1:] if word.startswith("-")}
    assert given <= known, line


def test_the_dashboard_can_be_imported() -> None:
    needed = {
        "title",
        "uid",
        "schemaVersion",
        "panels",
        "templating",
        "time",
        "refresh",
    }
    assert needed <= set(DASHBOARD)
    variables = [one["name"] for one in DASHBOARD["templating"]["list"]]
    assert variables == ["datasource", "job"]
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["description"].endswith("."), panel["title"]
            refs = [target["refId"] for target in panel["targets"]]
            assert len(set(refs)) == len(refs) > 0


def test_the_panels_stand_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (column, line)
            for column in range(at["x"], at["x"] + at["w"])
            for line in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
