"""`{sops: file#key}` by the real sops: every format, and every way that it goes wrong."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from boe_reconciler.core.errors import Permanent, Temporary
from boe_reconciler.core.resources.connection import SopsSecret
from boe_reconciler.secrets import sops as module
from boe_reconciler.secrets.references import Secrets
from boe_reconciler.secrets.sops import Sops
from tests.sops import IDENTITY, PATH, encrypted, key_file, needs_sops

YAML = 'db:\n  user: u\n  password: "p@ss: wörd"\n  port: 5432\n  on: true\nempty: ""\n'


class Store(dict[str, bytes]):
    def put(self, path: str, content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        self[sha256] = content
        return f"{sha256}:{path}"


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def sops(store: Store, tmp_path: Path) -> Sops:
    return Sops(
        environment={"PATH": PATH},
        key_file=key_file(tmp_path),
        read_blob=store.__getitem__,
    )


@needs_sops
@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "kind", "content", "values"),
    [
        (
            "s.enc.yaml",
            "yaml",
            YAML,
            {"db.password": "p@ss: wörd", "db.port": "5432", "db.on": "true"},
        ),
        ("s.json", "json", '{"a": {"b.c": "x"}, "d.e": "y"}', {"d.e": "y"}),
        ("prod.env", "dotenv", "TOKEN=a=b c\n", {"TOKEN": "a=b c"}),
        (".env", "dotenv", "TOKEN=abc\n", {"TOKEN": "abc"}),
        ("s.ini", "ini", "[db]\npassword = abc\n", {"db.password": "abc"}),
        ("server.key", "binary", "-----BEGIN\nabc\n", {"data": "-----BEGIN\nabc"}),
    ],
)
def test_each_format_gives_its_values(
    sops: Sops,
    store: Store,
    path: str,
    kind: str,
    content: str,
    values: dict[str, str],
) -> None:
    pinned = store.put(path, encrypted(content, kind))
    assert {key: sops.value(f"{pinned}#{key}") for key in values} == values


@needs_sops
@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("db.nope", 'no key "db.nope"'),
        ("db.user.x", "no key"),
        ("db", "not a single value"),
        ("empty", "is empty"),
    ],
)
def test_a_key_that_is_no_value_is_told(
    sops: Sops, store: Store, key: str, told: str
) -> None:
    pinned = store.put("a/s.yaml", encrypted(YAML, "yaml"))
    with pytest.raises(Permanent, match=told) as error:
        sops.value(f"{pinned}#{key}")
    assert error.value.reason == "secret_missing"
    assert "a/s.yaml" in error.value.message


@needs_sops
@pytest.mark.slow
def test_what_no_key_opens_is_told(store: Store, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    # A valid key, and another one.
    other.write_text(
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n"
    )
    pinned = store.put("s.yaml", encrypted(YAML, "yaml"))
    for key in (other, tmp_path / "nowhere", None):
        sops = Sops(
            environment={"PATH": PATH}, key_file=key, read_blob=store.__getitem__
        )
        with pytest.raises(Permanent, match="no key at hand") as error:
            sops.value(f"{pinned}#db.user")
        assert "BOE_SOPS_AGE_KEY_FILE" in error.value.help


@needs_sops
@pytest.mark.slow
@pytest.mark.parametrize(
    ("found", "put"),
    [("db:", "db:\n    more: x"), (" user:", " name:"), (" port:", " #")],
)
def test_a_file_that_was_changed_by_hand_is_told(
    sops: Sops, store: Store, found: str, put: str
) -> None:
    whole = encrypted(YAML, "yaml").decode()
    pinned = store.put("s.yaml", whole.replace(found, put, 1).encode())
    with pytest.raises(Permanent, match="by hand"):
        sops.value(f"{pinned}#db.user")


@needs_sops
@pytest.mark.slow
@pytest.mark.parametrize("content", [b"a: canary-in-plain-text\n", b"\xff\0", b": :"])
def test_what_is_not_encrypted_is_told_without_its_content(
    sops: Sops, store: Store, content: bytes
) -> None:
    pinned = store.put("s.yaml", content)
    with pytest.raises(Permanent, match="sops cannot open it") as error:
        sops.value(f"{pinned}#a")
    assert "canary" not in error.value.told


@needs_sops
@pytest.mark.slow
def test_a_binary_file_has_one_value(sops: Sops, store: Store) -> None:
    pinned = store.put("k", encrypted("abc", "binary"))
    with pytest.raises(Permanent, match="without keys"):
        sops.value(f"{pinned}#x")
    pinned = store.put("k", encrypted(b"\xff\xfe\xfd", "binary"))
    with pytest.raises(Permanent, match="not UTF-8"):
        sops.value(f"{pinned}#data")


@needs_sops
@pytest.mark.slow
@pytest.mark.parametrize("where", ["variable", "home", "variable of a file"])
def test_the_key_is_found_where_sops_looks_for_it(
    store: Store, tmp_path: Path, where: str
) -> None:
    usual = tmp_path / ".config/sops/age/keys.txt"
    usual.parent.mkdir(parents=True)
    usual.write_text(IDENTITY)
    given = {
        "variable": {"SOPS_AGE_KEY": IDENTITY},
        "home": {"HOME": str(tmp_path)},
        "variable of a file": {"SOPS_AGE_KEY_FILE": str(usual)},
    }
    sops = Sops(
        environment={"PATH": PATH, **given[where]},
        key_file=None,
        read_blob=store.__getitem__,
    )
    pinned = store.put("s.yaml", encrypted(YAML, "yaml"))
    assert sops.value(f"{pinned}#db.user") == "u"


@needs_sops
def test_a_value_is_redacted_from_now_on(sops: Sops, store: Store) -> None:
    secrets = Secrets({}, Path(), sops.value)
    pinned = store.put("s.yaml", encrypted(YAML, "yaml"))
    assert secrets.resolve(SopsSecret(sops=f"{pinned}#db.password")) == "p@ss: wörd"
    assert secrets.redact("failed: p@ss: wörd") == "failed: ***"


def test_without_the_program_it_is_told_what_to_install(store: Store) -> None:
    sops = Sops(
        environment={"PATH": "/nowhere"}, key_file=None, read_blob=store.__getitem__
    )
    pinned = store.put("s.yaml", b"x")
    with pytest.raises(Permanent, match="not on the PATH") as error:
        sops.value(f"{pinned}#a")
    assert "install sops" in error.value.help


def a_program(folder: Path, script: str) -> Sops:
    """A sops that does what `script` says."""
    program = folder / "sops"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Sops(
        environment={
            "PATH": f"{folder}:{os.defpath}",
            "HOME": "/root",
            "VAULT_TOKEN": "secret",
        },
        key_file=folder / "key",
        read_blob=lambda _: b"the file",
    )


def test_the_program_sees_the_file_by_a_pipe_and_little_else(tmp_path: Path) -> None:
    script = (
        f'echo "$@" > {tmp_path}/arguments; env > {tmp_path}/env; cat > {tmp_path}/in; '
        'echo \'{"a": "b"}\''
    )
    assert a_program(tmp_path, script).value(f"{'0' * 64}:x/s.yaml#a") == "b"
    assert (tmp_path / "in").read_bytes() == b"the file"
    arguments = "--decrypt --input-type yaml --output-type json /dev/stdin"
    assert (tmp_path / "arguments").read_text().strip() == arguments
    seen = (tmp_path / "env").read_text()
    assert "VAULT_TOKEN" not in seen
    assert "HOME" not in seen
    assert f"SOPS_AGE_KEY_FILE={tmp_path}/key" in seen


def test_a_program_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    with pytest.raises(Temporary, match="did not open") as error:
        a_program(tmp_path, "exec sleep 60").value(f"{'0' * 64}:s.yaml#a")
    assert error.value.reason == "sops_timeout"


def test_a_program_that_cannot_start_is_told(tmp_path: Path) -> None:
    sops = a_program(tmp_path, "")
    (tmp_path / "sops").write_bytes(b"\x7fELF nothing")
    with pytest.raises(Permanent, match="cannot be started"):
        sops.value(f"{'0' * 64}:s.yaml#a")
    assert (tmp_path / "sops").stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("out", ["", "no json", "[1]", "[" * 100_000])
def test_an_odd_answer_is_told(tmp_path: Path, out: str) -> None:
    sops = a_program(tmp_path, f"cat > /dev/null; echo '{out}'")
    with pytest.raises(Permanent, match="sops"):
        sops.value(f"{'0' * 64}:s.yaml#a")


def test_a_reference_that_no_plan_has_pinned_leads_nowhere(sops: Sops) -> None:
    with pytest.raises(Permanent, match="no file of a plan"):
        sops.value("s.yaml#a")
