"""What deploy/ says, by the rules of those who read it, and as the settings are."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from boe_reconciler.settings import SETTINGS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["boe"]
KUSTOMIZATION = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
#: The user of the image.
UID = 10001


def manifests() -> Iterator[dict[str, Any]]:
    for name in KUSTOMIZATION["resources"]:
        yield from yaml.safe_load_all((KUBERNETES / name).read_text())


def one(kind: str) -> dict[str, Any]:
    (found,) = (each for each in manifests() if each["kind"] == kind)
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = one("Deployment")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return dict(found)


@pytest.mark.parametrize(
    "manifest", list(manifests()), ids=lambda one: str(one["kind"])
)
def test_each_manifest_is_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how the library finds its files
        import kubernetes_validate

        newest = kubernetes_validate.latest_version()
        kubernetes_validate.validate(manifest, newest, strict=True)


def test_the_kustomization_names_every_file() -> None:
    found = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert {*KUSTOMIZATION["resources"], "kustomization.yaml"} == found
    (settings,) = KUSTOMIZATION["configMapGenerator"]
    assert (KUBERNETES / settings["envs"][0]).is_file()
    assert {"configMapRef": {"name": settings["name"]}} in container()["envFrom"]
    assert KUSTOMIZATION["images"][0]["name"] == container()["image"]


def test_one_process_serves_and_has_time_to_end() -> None:
    spec = one("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert pod()["terminationGracePeriodSeconds"] == 60
    assert COMPOSE["stop_grace_period"] == "60s"
    unit = (DEPLOY / "boe.service").read_text()
    assert "TimeoutStopSec=60" in unit


def test_it_runs_as_nobody_in_particular_and_changes_nothing_of_the_image() -> None:
    assert f"\nUSER {UID}\n" in CONTAINERFILE
    assert pod()["securityContext"]["runAsUser"] == UID
    assert pod()["securityContext"]["runAsNonRoot"]
    assert COMPOSE["user"] == f"{UID}:0"
    assert COMPOSE["read_only"]
    assert COMPOSE["cap_drop"] == ["ALL"]
    limits = container()["securityContext"]
    assert limits["readOnlyRootFilesystem"]
    assert limits["capabilities"] == {"drop": ["ALL"]}
    assert not limits["allowPrivilegeEscalation"]
    assert not pod()["automountServiceAccountToken"]


def test_what_is_written_lies_on_volumes() -> None:
    written = set(re.findall(r"(?<=BOE_)(?:STATE|LOCAL_ROOT)=(\S+)", CONTAINERFILE))
    assert written == {"/var/lib/boe", "/exports"}
    mounted = {each["mountPath"] for each in container()["volumeMounts"]}
    assert mounted >= {*written, "/tmp"}
    volumes = {each.split(":")[1] for each in COMPOSE["volumes"]}
    assert volumes >= written
    claims = {each["name"] for each in pod()["volumes"]}
    assert {each["name"] for each in container()["volumeMounts"]} == claims


def test_probes_and_ports_are_those_of_the_image() -> None:
    (port,) = container()["ports"]
    assert f"\nEXPOSE {port['containerPort']}\n" in CONTAINERFILE
    assert f"BOE_HTTP=0.0.0.0:{port['containerPort']}" in CONTAINERFILE
    probes = {
        name: container()[name]["httpGet"]["path"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert probes == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }


@pytest.mark.parametrize(
    "path", [path for path in DEPLOY.rglob("*") if path.is_file()], ids=str
)
def test_only_settings_that_there_are_stand_in_it(path: Path) -> None:
    known = {setting.variable for setting in SETTINGS}
    # What compose asks of its own user is no setting of BOE.
    known |= {"BOE_DATA"}
    assert set(re.findall(r"\bBOE_[A-Z_]+\b", path.read_text())) <= known


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here")
    unit = (DEPLOY / "boe.service").read_text()
    installed = tmp_path / "boe.service"
    # The program that it starts is one that every machine has.
    installed.write_text(unit.replace("/opt/boe/.venv/bin/boe", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(installed)],
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in done.stderr.splitlines() if "boe.service" in line]
    assert (done.returncode, told) == (0, [])
