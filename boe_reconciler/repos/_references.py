"""Which other files each YAML file refers to, for every kind of repo."""

from __future__ import annotations

import re
from collections.abc import Mapping

from boe_reconciler.core.language.documents import read_documents
from boe_reconciler.core.plan.files import is_resource_file, referenced_files

#: A YAML file without any of these refers to no other file.
_MAY_REFER = re.compile(rb"""(_file|file|sops|workbook|text|html|transform)["']?\s*:""")


class References:
    """Remembers by path and blob id: only files that changed are parsed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}

    def knows(self, path: str, blob: str) -> bool:
        return (path, blob) in self._known

    def learn(self, path: str, blob: str, content: bytes) -> None:
        """Of a file of the repo; one that holds no resources refers to nothing."""
        if is_resource_file(path) and not self.knows(path, blob):
            self._known[path, blob] = _references(path, content)

    def of(self, files: Mapping[str, str]) -> list[str]:
        """The other files that these (path -> blob id) refer to, sorted."""
        found = {
            reference
            for path, blob in files.items()
            for reference in self._known[path, blob]
        }
        return sorted(found.difference(files))

    def forget_others(self, files: Mapping[str, str]) -> None:
        """What is no longer there need not be remembered."""
        self._known = {
            key: value
            for key, value in self._known.items()
            if files.get(key[0]) == key[1]
        }


def _references(path: str, content: bytes) -> tuple[str, ...]:
    if not _MAY_REFER.search(content):
        return ()
    documents, _ = read_documents(path, content)
    return tuple(
        target
        for document in documents
        for target in referenced_files(path, document.data)
    )
