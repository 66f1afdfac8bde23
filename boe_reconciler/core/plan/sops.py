"""References to encrypted files of the repo, pinned to the bytes that they mean.

`{sops: secrets.yaml#db}` becomes `{sops: <sha256>:connections/secrets.yaml#db}`: so a
resolved spec changes with its file, and a run needs nothing but the Blobs store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from boe_reconciler.core.plan.check import Check
from boe_reconciler.core.problems import Path
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.resources.base import Model
from boe_reconciler.core.resources.connection import FREE_MAPS, SopsSecret

#: What stands before each value that sops has encrypted.
_ENCRYPTED = b"ENC[AES256_GCM,"
#: Bytes that a file with secrets may have.
MOST = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pinned:
    """An encrypted file of the Blobs store, and the key of a value in it."""

    sha256: str
    #: From the root of the repo.
    path: str
    #: Steps from the top, with dots between them.
    key: str

    @classmethod
    def of(cls, reference: str) -> Pinned | None:
        """None for a reference that no plan has pinned."""
        sha256, colon, rest = reference.partition(":")
        path, _, key = rest.partition("#")
        if not colon or len(sha256) != 64:
            return None
        return cls(sha256=sha256, path=path, key=key)

    def __str__(self) -> str:
        return f"{self.sha256}:{self.path}#{self.key}"


def pin(check: Check, text: str, path: Path) -> str:
    """A reference at `path`, pinned; as it is where the file cannot be used."""
    reference, _, key = text.partition("#")
    found = check.file(reference, path)
    if found is None:
        return text
    target, content = found
    if len(content) > MOST:
        detail = f"{target} has more than {MOST:,} bytes"
        check.add("BOE172", path, detail, "keep secrets in a small file of their own")
    elif _ENCRYPTED not in content:
        todo = f"sops encrypt --in-place {target}; if the values are real, change them"
        check.add("BOE172", path, f"{target} is not encrypted", todo)
    sha256 = hashlib.sha256(content).hexdigest()
    return str(Pinned(sha256=sha256, path=target, key=key))


def pin_all(check: Check, data: Any, path: Path) -> Any:
    """A Connection's plain values with each of its references pinned."""
    return _replaced(data, path, lambda text, at: pin(check, text, at))


def _replaced(data: Any, path: Path, change: Callable[[str, Path], str]) -> Any:
    if isinstance(data, list):
        return [_replaced(one, (*path, n), change) for n, one in enumerate(data)]
    if not isinstance(data, dict):
        return data
    if [*data] == ["sops"]:
        return {"sops": change(data["sops"], (*path, "sops"))}
    return {
        key: value if key in FREE_MAPS else _replaced(value, (*path, key), change)
        for key, value in data.items()
    }


def pinned_files(*specs: Any) -> dict[str, str]:
    """Path -> sha256 of the encrypted files that resolved specs refer to."""
    found = (Pinned.of(secret.sops) for spec in specs for secret in secrets_in(spec))
    return {one.path: one.sha256 for one in found if one}


def secrets_in(spec: Any) -> Iterator[SopsSecret]:
    if isinstance(spec, SopsSecret):
        yield spec
        return
    below: Iterable[Any] = ()
    if isinstance(spec, Model):
        below = map(spec.__getattribute__, type(spec).model_fields)
    elif isinstance(spec, list):
        below = spec
    for one in below:
        if isinstance(one, Model | list):
            yield from secrets_in(one)
