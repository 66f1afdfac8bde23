"""`{sops: file#key}`: a value of an encrypted file, by the sops program.

The file goes in by a pipe and its values come back by one: no plaintext touches a disk,
and nothing secret stands in an argument.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.plan.sops import Pinned

#: Seconds that sops may take for one file.
PATIENCE = 30.0
#: Variables of our environment that sops sees. Not HOME: what a file in git names
#: (a Vault, a cloud's keys) is never asked with what lies about there.
_PASSED = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE")
#: Where sops itself looks for age keys, below the home.
_KEYS = ".config/sops/age/keys.txt", "Library/Application Support/sops/age/keys.txt"
#: Ending -> sops' name of the format; all else is one value, whatever its bytes.
_TYPES = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".env": "dotenv",
    ".ini": "ini",
}
#: The key of a file that is one value.
WHOLE = "data"
_BY_HAND = "somebody changed it by hand", "edit it with `sops`"
#: What sops complains -> what is wrong, and what to do. Its own words stay unsaid: they
#: may hold what it has read.
_COMPLAINTS = {
    "metadata not found": ("it is not encrypted with sops", "encrypt it"),
    "MAC mismatch": _BY_HAND,
    "does not match sops' data format": _BY_HAND,
    "message authentication failed": _BY_HAND,
    "data key": (
        "no key at hand opens it",
        "give BOE_SOPS_AGE_KEY_FILE a file with an age key that it was encrypted for",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sops:
    """Decrypts files of the Blobs store; `environment` is our own."""

    environment: Mapping[str, str]
    #: Of the setting: a file with age keys.
    key_file: Path | None
    read_blob: Callable[[str], bytes]

    def value(self, reference: str) -> str:
        """The value behind a pinned reference. Permanent without it, Temporary `sops_timeout`."""
        pinned = _pinned(reference)
        kind = _TYPES.get(Path(pinned.path).suffix, "binary")
        if Path(pinned.path).name == ".env":
            kind = "dotenv"
        out = self._decrypt(pinned, kind)
        if kind == "binary":
            return _whole(pinned, out)
        return _value(pinned, _read(pinned, out))

    def _decrypt(self, pinned: Pinned, kind: str) -> bytes:
        out = "binary" if kind == "binary" else "json"
        arguments = ["--input-type", kind, "--output-type", out, "/dev/stdin"]
        try:
            done = subprocess.run(  # noqa: S603 a literal list of arguments; no shell
                [self._program(), "--decrypt", *arguments],
                input=self.read_blob(pinned.sha256),
                capture_output=True,
                check=False,
                timeout=PATIENCE,
                env=self._environment(),
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            detail = f"sops did not open {pinned.path} within {PATIENCE:.0f} s"
            raise Temporary("sops_timeout", detail) from None
        except OSError as error:
            raise _absent(error.strerror or "") from None
        if done.returncode != 0:
            raise _failed(pinned, done.stderr.decode(errors="replace"))
        return done.stdout

    def _program(self) -> str:
        path = self.environment.get("PATH", os.defpath)
        found = shutil.which("sops", path=path)
        if found is None:
            raise _absent("it is not on the PATH")
        return found

    def _environment(self) -> Mapping[str, str]:
        own = self.environment
        passed = {name: own[name] for name in _PASSED if own.get(name)}
        given = self.key_file or self._usual_key_file(passed)
        if given:
            passed["SOPS_AGE_KEY_FILE"] = str(given)
        return {**passed, "LC_ALL": "C", "SOPS_DISABLE_VERSION_CHECK": "1"}

    def _usual_key_file(self, passed: Mapping[str, str]) -> Path | None:
        home = self.environment.get("HOME")
        if not home or "SOPS_AGE_KEY" in passed or "SOPS_AGE_KEY_FILE" in passed:
            return None
        usual = (Path(home) / each for each in _KEYS)
        return next((each for each in usual if each.is_file()), None)


def _pinned(reference: str) -> Pinned:
    pinned = Pinned.of(reference)
    if pinned is None:
        raise Permanent("secret_missing", f"{reference} names no file of a plan")
    return pinned


def _whole(pinned: Pinned, out: bytes) -> str:
    if pinned.key != WHOLE:
        todo = f"write {pinned.path}#{WHOLE}, or give the file an ending that says more"
        raise _missing(pinned, "it is one value, without keys", todo)
    try:
        return _present(pinned, out.decode().removesuffix("\n"))
    except UnicodeDecodeError:
        raise _missing(pinned, "it is not UTF-8") from None


def _read(pinned: Pinned, out: bytes) -> dict[str, Any]:
    try:
        found = json.loads(out)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _missing(pinned, "sops answered something that is no map of values")
    return found


def _value(pinned: Pinned, data: dict[str, Any]) -> str:
    """The value at a.b.c; a key that holds dots itself is found, too."""
    if pinned.key in data:
        found = data[pinned.key]
    else:
        found = data
        for step in pinned.key.split("."):
            if not isinstance(found, dict) or step not in found:
                raise _missing(pinned, f'it has no key "{pinned.key}"')
            found = found[step]
    if isinstance(found, bool | int | float):
        return json.dumps(found)
    if not isinstance(found, str):
        raise _missing(pinned, f'"{pinned.key}" is not a single value')
    return _present(pinned, found)


def _present(pinned: Pinned, value: str) -> str:
    if not value:
        raise _missing(pinned, f'"{pinned.key}" is empty')
    return value


def _missing(pinned: Pinned, detail: str, todo: str = "") -> Permanent:
    todo = todo or f"`sops {pinned.path}` shows and edits it"
    return Permanent("secret_missing", f"{pinned.path}: {detail}", todo)


def _absent(why: str) -> Permanent:
    return Permanent(
        "secret_missing",
        f"the sops program cannot be started: {why}",
        "install sops (https://getsops.io) where `boe run` starts",
    )


def _failed(pinned: Pinned, complaint: str) -> Permanent:
    for words, (detail, todo) in _COMPLAINTS.items():
        if words in complaint:
            return _missing(pinned, f"sops cannot open it: {detail}", todo)
    todo = f"`sops decrypt {pinned.path}` tells why"
    return _missing(pinned, "sops cannot open it", todo)
