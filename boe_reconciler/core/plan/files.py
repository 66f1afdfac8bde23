"""Which files of a repo count, and which other files they refer to."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from boe_reconciler.core.names import check_relative, transform_parts
from boe_reconciler.core.problems import Path

POLICY_FILE = "policy.yaml"
#: Where forges look for who reviews what; of several they read the first.
CODE_OWNERS = (
    ".github/CODEOWNERS",
    "CODEOWNERS",
    "docs/CODEOWNERS",
    ".gitlab/CODEOWNERS",
)
#: Folder -> the kind that is expected there, though any kind may be in any of them.
FOLDERS = {
    "schedules": "Schedule",
    "distributions": "Distribution",
    "reports": "Report",
    "connections": "Connection",
    "calendars": "Calendar",
    "templates": "ScheduleTemplate",
    "groups": "Group",
    "environments": "Environment",
}
#: Files that a revision may have, and bytes that one of them may have.
MAX_FILES = 100_000
MAX_BYTES = 50_000_000
#: Folders above a file, and bytes that its path may have.
MAX_FOLDERS = 50
MAX_PATH = 1_000
#: Why a file is not read, wherever it comes from.
IS_LINK = "it is a symbolic link"
NO_FOLDER = "it is not a folder"
TOO_LARGE = f"it has more than {MAX_BYTES:,} bytes"


def is_resource_file(path: str) -> bool:
    """Whether a file of the repo holds resources, by its path from the root."""
    folder, _, name = path.rpartition("/")
    if not name.endswith((".yaml", ".yml")):
        return False
    return path == POLICY_FILE or (_counts(folder) and not is_ignored(name))


@lru_cache
def _counts(folder: str) -> bool:
    """Whether files in it may hold resources: many are in the same."""
    first, *below = folder.split("/")
    return first in FOLDERS and not any(map(is_ignored, below))


def kind_of_path(path: str) -> str | None:
    """The kind that is expected in a file or folder."""
    return (
        "Policy" if path == POLICY_FILE else FOLDERS.get(path.split("/", maxsplit=1)[0])
    )


def is_ignored(name: str) -> bool:
    """Hidden files, and what editors leave beside the file that is being edited."""
    return name.startswith((".", "#", "~")) or name.endswith(("~", ".swp", ".tmp"))


def wrong_path(path: str) -> str:
    """Why no file or folder of this path is read; empty where it is fine.

    Bytes that are no text stand in it as surrogates.
    """
    if path.count("/") > MAX_FOLDERS:
        return f"it is more than {MAX_FOLDERS} folders deep"
    is_ascii = path.isascii()
    if len(path if is_ascii else path.encode(errors="surrogateescape")) > MAX_PATH:
        return f"its path is longer than {MAX_PATH:,} bytes"
    if is_ascii and path.isprintable():
        return ""
    categories = {unicodedata.category(each) for each in path}
    if "Cs" in categories:
        return "its name is not UTF-8"
    if categories & {"Cc", "Cf", "Zl", "Zp"}:
        return "its name holds an invisible character"
    return ""


def shown_path(path: str) -> str:
    """A path on one line: what is no text, or would break the line, is escaped."""
    if not wrong_path(path):
        return path
    text = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    shown = (each if each.isprintable() else repr(each)[1:-1] for each in text)
    return "".join(shown)[:MAX_PATH]


#: What a path is called on machines that ignore case, and ways to write an accent ->
#: which paths those are.
Alike = Mapping[str, tuple[str, ...]]


def alike(before: Alike, *, gone: Iterable[str] = (), new: Iterable[str]) -> Alike:
    """Which paths are one on some machines, once these are gone and there are those."""
    made: dict[str, tuple[str, ...]] = {**before}
    for path in gone:
        left = tuple(one for one in made.pop(_fold(path)) if one != path)
        if left:
            made[_fold(path)] = left
    for path in new:
        made[_fold(path)] = (*made.get(_fold(path), ()), path)
    return made


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def clashes(found: Alike, paths: Collection[str]) -> dict[str, str]:
    """Of all these paths those that are one on some machines, and why neither is read."""
    if len(found) == len(paths):
        return {}
    several = [sorted(each) for each in found.values() if len(each) > 1]
    return {
        path: f"on some machines {other} is the same file"
        for each in several
        for path, other in zip(each, [*each[1:], each[0]], strict=True)
    }


def blob_id(content: bytes) -> str:
    """The id that git gives to a file's content."""
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def in_repo(file: str, reference: str) -> tuple[str, str]:
    """The path from the root that a reference in `file` means, or why it means none.

    Exactly one of the two is empty.
    """
    folders = file.split("/")[:-1]
    below = re.sub(r"^\./", "", reference)
    while below.startswith("../"):
        if not folders:
            return "", "it leaves the repo"
        folders.pop()
        below = below.removeprefix("../")
    wrong = check_relative(below)
    return ("", wrong) if wrong else ("/".join([*folders, below]), "")


def referenced_files(file: str, data: Any, path: Path = ()) -> Iterator[str]:
    """The files that a document of `file` names, from the root; wrong ones are left out."""
    items = enumerate(data) if isinstance(data, list) else ()
    for key, value in data.items() if isinstance(data, dict) else items:
        here = (*path, key)
        if isinstance(value, dict | list):
            yield from referenced_files(file, value, here)
        elif isinstance(value, str) and (target := _target(file, here, value)):
            yield target


def _target(file: str, path: Path, value: str) -> str:
    if path[-1] == "sops":
        return in_repo(file, value.partition("#")[0])[0]
    if path[-1] == "transform":
        return in_repo("", transform_parts(value)[0])[0]
    return in_repo(file, value)[0] if _names_a_file(path) else ""


def _names_a_file(path: Path) -> bool:
    """A query, a recipient list, a workbook template, the body of a mail."""
    key, above = path[-1], path[-2] if len(path) > 1 else None
    return (
        key in ("query_file", "recipients_file")
        or (key == "template" and above == "workbook")
        or (key == "file" and above in ("text", "html"))
    )
