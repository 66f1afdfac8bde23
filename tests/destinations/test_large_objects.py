"""A large file goes to each object store in memory that does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.far_sides import Servers, Start, azurite, gcs_emulator, s3_moto, s3_rclone

ROOT = Path(__file__).parents[2]
STORES = {
    "azurite": azurite,
    "gcs emulator": gcs_emulator,
    "s3 moto": s3_moto,
    "s3 rclone": s3_rclone,
}
#: Delivers a file of as many bytes, and tells its most memory in KiB.
CHILD = """
import hashlib, json, resource, sys
from pathlib import Path
from importlib import import_module
from boe_reconciler.core.ports import Never
from tests.shipments import a_shipment, means
home, size = Path(sys.argv[1]), int(sys.argv[2])
fields, connection, environment = json.loads(sys.argv[3])
path, digest = home / f"{size}.bin", hashlib.sha256()
with path.open("wb") as file:
    for _ in range(size >> 20):
        digest.update(bytes(1 << 20))
        file.write(bytes(1 << 20))
given = {"path": path, "bytes": size, "sha256": digest.hexdigest()}
shipment = a_shipment(home, fields, content=b"", filename=f"{size}.bin", **given)
found = means(home, connections={"store": connection}, environment=environment)
module = import_module(f"boe_reconciler.destinations.{fields['type']}")
(outcome,) = module.create(found).deliver([shipment], Never())
assert outcome.status == "accepted", outcome
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(most // 1024 if sys.platform == "darwin" else most)
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    started = Servers()
    yield started
    started.close()


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, servers: Servers, store: str
) -> None:
    """A gigabyte to the one that keeps files on a disk; the others keep them in memory."""
    start: Start = STORES[store]
    large = (1 << 30) if store == "s3 rclone" else (128 << 20)
    with start(tmp_path, servers) as far_side:
        told = json.dumps([far_side.fields, far_side.connection, far_side.environment])
        used = [_most(tmp_path, size, told) for size in (16 << 20, large)]
    assert used[1] < used[0] + 16 * 1024


def _most(home: Path, size: int, told: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(home), str(size), told],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    (home / f"{size}.bin").unlink()
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)
