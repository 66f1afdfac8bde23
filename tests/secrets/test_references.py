"""Secrets: read where they are kept, and in no message."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.resources.connection import EnvSecret, FileSecret
from boe_reconciler.secrets.references import Secrets


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    return Secrets({"DB": "p@ss wörd/1", "EMPTY": "", "TINY": "ab"}, tmp_path, str)


def test_a_variable_and_a_file_are_read(secrets: Secrets, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    assert secrets.resolve(EnvSecret(env="DB")) == "p@ss wörd/1"
    assert secrets.resolve(FileSecret(file="token")) == "s3cret"
    assert secrets.resolve(FileSecret(file=str(tmp_path / "token"))) == "s3cret"


@pytest.mark.parametrize(
    ("content", "value"), [("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")]
)
def test_one_line_end_is_stripped_and_nothing_else(
    secrets: Secrets, tmp_path: Path, content: str, value: str
) -> None:
    (tmp_path / "t").write_bytes(content.encode())
    assert secrets.resolve(FileSecret(file="t")) == value


def test_a_rotated_file_is_seen(secrets: Secrets, tmp_path: Path) -> None:
    for value in ("first-value", "second-value"):
        (tmp_path / "t").write_text(value)
        assert secrets.resolve(FileSecret(file="t")) == value
    assert secrets.redact("first-value second-value") == "*** ***"


@pytest.mark.parametrize("name", ["NOPE", "EMPTY"])
def test_a_missing_variable_is_told_by_name(secrets: Secrets, name: str) -> None:
    with pytest.raises(Permanent, match=name) as error:
        secrets.resolve(EnvSecret(env=name))
    assert error.value.reason == "secret_missing"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 70_000])
def test_an_unusable_file_is_told_by_its_path_alone(
    secrets: Secrets, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "t").write_bytes(content)
    with pytest.raises(Permanent, match=r"\bt\b") as error:
        secrets.resolve(FileSecret(file="t"))
    assert "xxx" not in error.value.message


def test_a_resolved_value_is_redacted_in_every_shape(secrets: Secrets) -> None:
    value = secrets.resolve(EnvSecret(env="DB"))
    shapes = [
        *(value, quote(value, safe=""), quote(value), quote(value, safe="").lower()),
        *(json.dumps(value)[1:-1], ascii(value)[1:-1], value.encode().hex()),
    ]
    for shape in shapes:
        assert secrets.redact(f"cannot log in with {shape}!") == (
            "cannot log in with ***!"
        )


@pytest.mark.parametrize("before", ["", "u:", "me:", "you:", "somebody:"])
@pytest.mark.parametrize("after", ["", "!", "!!", "!!!"])
def test_a_value_inside_of_base64_is_redacted(
    secrets: Secrets, before: str, after: str
) -> None:
    value = secrets.resolve(EnvSecret(env="DB"))
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode((before + value + after).encode()).decode()
        shown = secrets.redact(f"Authorization: Basic {whole}")
        known = base64.urlsafe_b64decode(
            re.sub(r"[^\w-]", "A", shown.rpartition(" ")[2]).ljust(40, "A")
        )
        assert "***" in shown
        assert value.encode()[2:-2] not in known


def test_the_lines_of_a_key_are_redacted(secrets: Secrets, tmp_path: Path) -> None:
    key = "-----BEGIN KEY-----\nMIIabcdef\nghijk=\n-----END KEY-----\n"
    (tmp_path / "key").write_text(key)
    secrets.resolve(FileSecret(file="key"))
    assert secrets.redact("bad line MIIabcdef") == "bad line ***"


def test_ordinary_words_stay(secrets: Secrets) -> None:
    assert secrets.redact("a table") == "a table"
    secrets.resolve(EnvSecret(env="TINY"))
    assert secrets.redact("a table") == "a table"
