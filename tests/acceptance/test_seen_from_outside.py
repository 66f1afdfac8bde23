"""`boe run` as the platform team sees it: over HTTP."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.folders import Served, a_folder, run_boe, schedule, serving, until


def url_of(served: Served) -> str:
    found = re.search(r"http://[\d.:]+", served.log.read_text())
    assert found, served.log.read_text()
    return found[0]


def test_a_served_folder_is_ready_and_counts_its_runs(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "repo", schedule("quick"))
    with serving(folder, "--http", "127.0.0.1:0", "--now-all") as served:
        url = url_of(served)
        until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        assert httpx.get(f"{url}/healthz").json()["alive"] is True
        succeeded = 'boe_runs_finished_total{reason="",status="succeeded"} 1.0'
        until(lambda: succeeded in httpx.get(f"{url}/metrics").text)
        text = httpx.get(f"{url}/metrics").text
        assert 'boe_revision_info{attempted="folder@sha1:' in text
        assert "boe_ledger_up 1.0" in text
        other = a_folder(tmp_path / "other", schedule("quick"))
        done = run_boe(other, "run", "--http", url.removeprefix("http://"))
        assert done.returncode == 1
        assert "in use" in done.stderr
        assert "Choose another port" in done.stderr
        assert served.end() == 0


@pytest.mark.slow
def test_the_address_may_stand_in_the_environment(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "repo", schedule("quick"))
    with serving(folder, BOE_HTTP="127.0.0.1:0") as served:
        assert httpx.get(f"{url_of(served)}/healthz").status_code == 200
        assert "http_listening" in served.log.read_text()


@pytest.mark.slow
def test_without_being_asked_it_listens_nowhere(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "repo", schedule("quick"))
    with serving(folder) as served:
        assert "http" not in served.log.read_text()


@pytest.mark.slow
def test_an_address_that_is_none_is_told(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "repo", schedule("quick"))
    done = run_boe(folder, "run", "--http", "8080")
    assert done.returncode == 1
    assert "127.0.0.1:8080" in done.stderr
