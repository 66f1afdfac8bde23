"""Which other files each YAML file refers to, for every kind of repo."""

from __future__ import annotations

import re
from collections.abc import Mapping

from boe_reconciler.core.language.documents import read_documents
from boe_reconciler.core.maps import differing
from boe_reconciler.core.plan.files import is_resource_file, referenced_files

#: A YAML file without a key that ends so refers to no other file.
_REFERRING = (b"file", b"sops", b"workbook", b"text", b"html", b"transform")
_KEY_ENDS = re.compile(rb"""["']?\s*:""")


class References:
    """Remembers by path and blob id: only files that changed are parsed."""

    def __init__(self) -> None:
        #: path -> blob id of each that was parsed.
        self._known: dict[str, str] = {}
        #: path -> what it refers to, of those that refer to something.
        self._found: dict[str, tuple[str, ...]] = {}
        #: The files that were there last; all of them are known.
        self._last: Mapping[str, str] = {}

    def unknown(self, files: Mapping[str, str]) -> dict[str, str]:
        """Those of these files (path -> blob id) that are to be learnt."""
        known, touched = self._known, differing(self._last, files)
        return {
            path: files[path]
            for path in touched
            if path in files and known.get(path) != files[path]
        }

    def learn(self, path: str, blob: str, content: bytes) -> None:
        """Of a file of the repo; one that holds no resources refers to nothing."""
        if not is_resource_file(path) or self._known.get(path) == blob:
            return
        self._known[path] = blob
        self._found.pop(path, None)
        if found := _references(path, content):
            self._found[path] = found

    def of(self, files: Mapping[str, str]) -> list[str]:
        """The other files that these (path -> blob id) refer to, sorted."""
        found = {
            reference
            for path, references in self._found.items()
            if path in files
            for reference in references
        }
        return sorted(found.difference(files))

    def forget_others(self, files: Mapping[str, str]) -> None:
        """What is no longer there need not be remembered."""
        for path in differing(self._last, files):
            if path not in files:
                self._known.pop(path, None)
                self._found.pop(path, None)
        self._last = files


def _references(path: str, content: bytes) -> tuple[str, ...]:
    if not _may_refer(content):
        return ()
    documents, _ = read_documents(path, content)
    return tuple(
        target
        for document in documents
        for target in referenced_files(path, document.data)
    )


def _may_refer(content: bytes) -> bool:
    return any(
        _KEY_ENDS.match(rest) for word in _REFERRING for rest in content.split(word)[1:]
    )
