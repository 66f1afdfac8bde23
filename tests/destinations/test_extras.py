"""What is no part of every installation: who lacks it is told how to get it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from boe_reconciler.core.ports import Never
from boe_reconciler.core.runs import DeliveryStatus
from tests.shipments import a_shipment, means

STORES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "azure": (
        "azure",
        {"type": "azure", "account_url": "https://boe.blob.core.windows.net"},
        {"container": "c"},
    ),
    "gcs": ("google.cloud", {"type": "gcs"}, {"bucket": "b"}),
}


@pytest.mark.parametrize("extra", STORES)
def test_a_missing_extra_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    package, connection, fields = STORES[extra]
    module = import_module(f"boe_reconciler.destinations.{extra}")
    found = means(tmp_path, connections={"store": connection})
    shipment = a_shipment(
        tmp_path, {"type": extra, "connection": "store", "prefix": "out/", **fields}
    )
    for name in [one for one in sys.modules if one.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    (outcome,) = module.create(found).deliver([shipment], Never())
    assert outcome.status is DeliveryStatus.FAILED
    assert outcome.reason == "extra_missing"
    assert f"pip install 'boe-reconciler[{extra}]'" in outcome.message
